"""What can go wrong with a restore."""

from __future__ import annotations

from vault.errors import Trouble


class RestoreTrouble(Trouble):
    """A restore can't be done as asked."""


class MailboxRefused(RestoreTrouble):
    """The target won't have one mailbox."""


class TargetTrouble(RestoreTrouble):
    """A target in the file system can't be written."""
