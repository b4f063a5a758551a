"""What a job did, recorded in MLflow; nothing else in this project imports MLflow.

MLflow is imported when a tracker is opened, since that takes seconds. No run is "active" anywhere
and no global address is set: the handle is passed.
"""

from ppo_marketing.tracking.registry import Registry
from ppo_marketing.tracking.run import Run
from ppo_marketing.tracking.store import has_store, ui_address, ui_command
from ppo_marketing.tracking.tracker import Recorded, Tracker, open_tracker

__all__ = [
    "Recorded",
    "Registry",
    "Run",
    "Tracker",
    "has_store",
    "open_tracker",
    "ui_address",
    "ui_command",
]
