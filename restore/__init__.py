"""Replays snapshots from a vault to any target."""

from restore.drill import AccountDrill, Amount, DrillPlan, DrillReport, plan_drill, run_drill
from restore.many import RestoreJob, restore_many
from restore.model import (
    Beside,
    Filters,
    Mapping,
    PlannedMailbox,
    RestorePlan,
    RestoreReport,
    worst,
)
from restore.plan import describe_plan
from restore.room import Fit, NoRoom, fits
from restore.run import execute_restore, make_plan
from restore.scripts import ScriptTarget
from restore.targets import open_target
from restore.targets.base import Target

__all__ = [
    "AccountDrill",
    "Amount",
    "Beside",
    "DrillPlan",
    "DrillReport",
    "Filters",
    "Fit",
    "Mapping",
    "NoRoom",
    "PlannedMailbox",
    "RestoreJob",
    "RestorePlan",
    "RestoreReport",
    "ScriptTarget",
    "Target",
    "describe_plan",
    "execute_restore",
    "fits",
    "make_plan",
    "open_target",
    "plan_drill",
    "restore_many",
    "run_drill",
    "worst",
]
