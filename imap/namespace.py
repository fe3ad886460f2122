"""Whose mailboxes are whose: the personal namespace, other users' and shared ones (RFC 2342, RFC 9051 §6.3.10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from imap.model import Namespace, NamespaceKind, Namespaces
from imap.tokens import Response, Value, kind_of, tokens


def parse_namespaces(responses: Iterable[Response]) -> Namespaces | None:
    """Read `* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL`; None where the server told none."""
    for response in responses:
        if kind_of(response)[0] == b"NAMESPACE":
            kinds = [tuple(_spaces(value)) for value in tokens(response, 12)[:3]]
            return Namespaces(*kinds) if len(kinds) == 3 and kinds[0] else None
    return None


def _spaces(value: Value) -> Iterator[Namespace]:
    for space in value if isinstance(value, list) else ():
        match space:
            case [bytes() as prefix, (bytes() | None) as delimiter, *_]:
                yield Namespace(prefix, delimiter.decode("latin-1") if delimiter else None)


def whose(raw: bytes, namespaces: Namespaces | None) -> tuple[NamespaceKind, bytes]:
    """Say to which namespace a mailbox belongs, and its prefix: the longest that fits; the user's own in doubt."""
    if namespaces is not None and raw.upper() != b"INBOX":
        for kind, prefix, root in _places(namespaces):
            if raw.startswith(prefix) or raw == root:
                return kind, prefix
    return "", b""


@lru_cache(maxsize=64)
def _places(namespaces: Namespaces) -> list[tuple[NamespaceKind, bytes, bytes]]:
    """Return kind, prefix and root of each namespace, the longest first: asked for each of thousands of mailboxes."""
    places = [
        # The namespace's own root is listed without the delimiter at its end.
        (kind, space.prefix, space.prefix.removesuffix((space.delimiter or "").encode("latin-1")))
        for kind, spaces in namespaces.by_kind().items()
        for space in spaces
    ]
    return sorted(places, key=lambda place: len(place[1]), reverse=True)
