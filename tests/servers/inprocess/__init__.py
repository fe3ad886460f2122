"""An IMAP server in process, and the providers that it plays: what can't run here, built from what is written of it."""

from tests.servers.inprocess.providers import EXCHANGE, GENERIC, GMAIL, ICLOUD, YAHOO
from tests.servers.inprocess.server import InProcessServer

__all__ = ["EXCHANGE", "GENERIC", "GMAIL", "ICLOUD", "YAHOO", "InProcessServer"]
