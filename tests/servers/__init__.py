"""Real servers on loopback with throw-away data, driven from tests."""

from tests.servers.base import ImapServer, User
from tests.servers.courier import CourierServer
from tests.servers.cyrus import CyrusServer
from tests.servers.dovecot import DovecotServer
from tests.servers.imap4d import Imap4dServer
from tests.servers.maildir import Mail, deliver, maildir
from tests.servers.rclone import RcloneS3
from tests.servers.wire import RawImap, Seen

__all__ = [
    "CourierServer",
    "CyrusServer",
    "DovecotServer",
    "Imap4dServer",
    "ImapServer",
    "Mail",
    "RawImap",
    "RcloneS3",
    "Seen",
    "User",
    "deliver",
    "maildir",
]
