"""Replays snapshots from a vault to any target."""

from restore.model import (
    Filters,
    Mapping,
    PlannedMailbox,
    RestorePlan,
    RestoreReport,
    failed_restore,
    worst,
)
from restore.plan import describe_plan
from restore.run import execute_restore, make_plan
from restore.targets import open_target
from restore.targets.base import Target

__all__ = [
    "Filters",
    "Mapping",
    "PlannedMailbox",
    "RestorePlan",
    "RestoreReport",
    "Target",
    "describe_plan",
    "execute_restore",
    "failed_restore",
    "make_plan",
    "open_target",
    "worst",
]
