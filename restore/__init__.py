"""Replays snapshots from a vault to any target."""

from restore.model import Filters, Mapping, RestorePlan, RestoreReport
from restore.plan import describe_plan
from restore.run import execute_restore, make_plan
from restore.targets import open_target

__all__ = [
    "Filters",
    "Mapping",
    "RestorePlan",
    "RestoreReport",
    "describe_plan",
    "execute_restore",
    "make_plan",
    "open_target",
]
