"""Log lines: to stderr, and never with a subject, an address or message text in them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

from imap.errors import ImapError
from restante.errors import tell, where
from vault.errors import Trouble


class _IntoLog(logging.Handler):
    """Turns warnings of the rooms below into lines of our log."""

    def emit(self, record: logging.LogRecord) -> None:
        import structlog

        structlog.get_logger().warning("vault", warning=record.getMessage())


def tell_warnings(*, as_log: bool = False) -> None:
    """Send the vault's warnings to stderr: that a store does not answer and is being asked again."""
    handler = _IntoLog() if as_log else logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    logger = logging.getLogger("vault")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING)
    logger.propagate = False


def set_up_logs() -> None:
    """Send our lines to stderr, and nothing of the libraries': theirs may quote what passes through them."""
    import structlog  # most runs log nothing, and importing it takes a while

    logging.getLogger().addHandler(logging.NullHandler())
    structlog.configure(
        processors=[
            _without_addresses,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _without_addresses(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out of errors what looks like an address: their text is written for the terminal of whoever asked."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = re.sub(r"[^\s\"'<>:/=]+@[^\s\"'<>,;:]+", "(address)", value)
    return event


def why(error: Exception) -> dict[str, Any]:
    """Return an error as fields of one log line."""
    if isinstance(error, Trouble | ImapError):
        first, *more = tell(error)
        return {"error": first.message, "hint": first.hint} | ({"more_faults": len(more)} if more else {})
    return {"error": f"{type(error).__name__} in {where(error)}", "hint": "`restante --debug` shows more by hand"}
