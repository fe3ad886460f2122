"""Real servers on loopback with throw-away data, driven from tests."""

from tests.servers.cyrus import CyrusServer
from tests.servers.dovecot import DovecotServer
from tests.servers.rclone import RcloneS3

__all__ = ["CyrusServer", "DovecotServer", "RcloneS3"]
