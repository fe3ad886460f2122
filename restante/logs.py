"""Log lines: to stderr, and never with a subject, an address or message text in them."""

from __future__ import annotations

import logging
import sys

import structlog


def tell_warnings() -> None:
    """Send the vault's warnings to stderr: that a store does not answer and is being asked again."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    logger = logging.getLogger("vault")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING)
    logger.propagate = False


def set_up_logs() -> None:
    """Send our lines to stderr, and nothing of the libraries': theirs may quote what passes through them."""
    logging.getLogger().addHandler(logging.NullHandler())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
