"""The systems that act on decisions: one small file each, all behind `export.target.Target`."""

from ppo_marketing.export.targets.braze import BrazeCatalog, BrazeUsers
from ppo_marketing.export.targets.crm import Crm
from ppo_marketing.export.targets.decision_pack import DecisionPack
from ppo_marketing.export.targets.google_ads import GoogleAds
from ppo_marketing.export.targets.microsoft_ads import MicrosoftAds
from ppo_marketing.export.targets.multipliers import Multipliers

PROFILED = {
    kind.name: kind
    for kind in (GoogleAds, MicrosoftAds, BrazeUsers, BrazeCatalog, Crm, Multipliers)
}
"""Targets that a profile configures, by the name that `--target` has."""

__all__ = [
    "PROFILED",
    "BrazeCatalog",
    "BrazeUsers",
    "Crm",
    "DecisionPack",
    "GoogleAds",
    "MicrosoftAds",
    "Multipliers",
]
