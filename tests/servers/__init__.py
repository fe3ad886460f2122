"""Real servers on loopback with throw-away data, driven from tests."""

from tests.servers.base import ImapServer, User
from tests.servers.courier import CourierServer
from tests.servers.cyrus import CyrusServer
from tests.servers.dovecot import DovecotServer
from tests.servers.exim import EximServer
from tests.servers.imap4d import Imap4dServer
from tests.servers.maildir import Mail, deliver, maildir
from tests.servers.ministack import MiniStack
from tests.servers.postfix import PostfixServer
from tests.servers.rclone import RcloneS3
from tests.servers.sendmail import SendmailServer
from tests.servers.wire import RawImap, Seen

__all__ = [
    "CourierServer",
    "CyrusServer",
    "DovecotServer",
    "EximServer",
    "Imap4dServer",
    "ImapServer",
    "Mail",
    "MiniStack",
    "PostfixServer",
    "RawImap",
    "RcloneS3",
    "Seen",
    "SendmailServer",
    "User",
    "deliver",
    "maildir",
]
