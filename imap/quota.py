"""What an account may still store (RFC 2087, RFC 9208)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imap.model import Quota
from imap.tokens import Response, Value, kind_of, number, tokens
from imap.wire import Wire

_RESOURCES = {"STORAGE": ("STORAGE", 1024), "MESSAGE": ("MESSAGE", 1), "MAILBOX": ("MAILBOX", 1)}
"""The resources we can foresee the use of, and how much one of their units is (RFC 9208 §5)."""
# What Cyrus calls them, up to 3.6 at least.
_RESOURCES["X-NUM-FOLDERS"] = _RESOURCES["MAILBOX"]


def inbox_quotas(wire: Wire) -> list[Quota]:
    """Return the limits that hold for the INBOX, storage in octets; none where the server won't say."""
    responses, status = wire.ask(b"GETQUOTAROOT INBOX", what="asking for the quota")
    return [quota for response in responses if status.ok for quota in _quotas(response)]


def _quotas(response: Response) -> Iterator[Quota]:
    """Read `* QUOTA "User quota" (STORAGE 10 512 MESSAGE 3 1000)`."""
    if kind_of(response)[0] == b"QUOTA":
        match tokens(response, 7):
            case [(bytes() | None) as root, list(items), *_]:
                yield from _resources((root or b"NIL").decode("utf-8", "replace"), items)


def _resources(root: str, items: Sequence[Value]) -> Iterator[Quota]:
    for name, used, limit in zip(items[::3], items[1::3], items[2::3], strict=False):
        resource = name.decode("latin-1").upper() if isinstance(name, bytes) else ""
        taken, most = number(used), number(limit)
        if resource in _RESOURCES and taken is not None and most is not None:
            known, unit = _RESOURCES[resource]
            yield Quota(root, known, taken * unit, most * unit)
