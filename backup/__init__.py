"""Pulls accounts from a source into a vault."""

from backup.job import run_backup
from backup.model import AccountReport, BackupOptions, BackupReport, SourceAccount

__all__ = ["AccountReport", "BackupOptions", "BackupReport", "SourceAccount", "run_backup"]
