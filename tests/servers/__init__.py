"""Real servers on loopback with throw-away data, driven from tests."""

from tests.servers.cyrus import CyrusServer
from tests.servers.dovecot import DovecotServer, User
from tests.servers.maildir import Mail, deliver, maildir
from tests.servers.rclone import RcloneS3
from tests.servers.wire import RawImap, Seen

__all__ = ["CyrusServer", "DovecotServer", "Mail", "RawImap", "RcloneS3", "Seen", "User", "deliver", "maildir"]
