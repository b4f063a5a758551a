"""What a job did, recorded in MLflow; nothing else in this project imports MLflow.

MLflow is imported when a tracker is opened, since that takes seconds. No run is "active" anywhere
and no global address is set: the handle is passed.
"""

from ppo_marketing.tracking.run import Run
from ppo_marketing.tracking.store import ui_command
from ppo_marketing.tracking.tracker import Tracker, open_tracker

__all__ = ["Run", "Tracker", "open_tracker", "ui_command"]
