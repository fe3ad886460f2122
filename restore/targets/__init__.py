"""Targets: an IMAP server, a Maildir, mbox files, eml files, behind one contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imap.model import Endpoint, Login
from imap.url import parse_delivery_url, parse_url
from restore.errors import RestoreTrouble
from restore.targets.base import Target
from restore.targets.delivery import DeliveryTarget
from restore.targets.eml import EmlTarget
from restore.targets.imap import ImapTarget
from restore.targets.maildir import MaildirTarget
from restore.targets.mbox import MboxTarget

_FILES: dict[str, Callable[[Path], Target]] = {"maildir": MaildirTarget, "mbox": MboxTarget, "eml": EmlTarget}
DELIVERY = ("lmtp", "smtp", "smtps")


def open_target(url: str, login: Callable[[Endpoint], Login], ledgers: Path) -> Target:
    """Return the target that a URL names: `imaps://…`, `lmtp://…`, `smtp://…`, `maildir:DIR`, `mbox:DIR`, `eml:DIR`.

    `login` is asked for a server's login only where one is needed; below `ledgers` stands what was delivered. Connects
    to nothing yet. Raises RestoreTrouble, BadUrl.
    """
    scheme, colon, rest = url.partition(":")
    if scheme in _FILES and colon and rest:
        return _FILES[scheme](Path(rest.removeprefix("//")).absolute())
    if scheme in ("imap", "imaps"):
        endpoint = parse_url(url)
        return ImapTarget(endpoint, login(endpoint))
    if scheme in DELIVERY:
        endpoint = parse_delivery_url(url)
        return DeliveryTarget(endpoint, login(endpoint) if endpoint.acting_as else None, ledgers)
    raise RestoreTrouble(f"{url} names no target", hint="use imaps://user@host, maildir:DIR, mbox:DIR or eml:DIR")
