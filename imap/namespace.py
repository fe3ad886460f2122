"""Whose mailboxes are whose: the personal namespace, other users' and shared ones (RFC 2342, RFC 9051 §6.3.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

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


def owners(namespaces: Namespaces | None) -> Callable[[bytes], tuple[NamespaceKind, bytes]]:
    """Return what says to which namespace a mailbox belongs, and its prefix: the longest that fits.

    In doubt, and INBOX, it is the user's own.
    """
    places = [
        # The namespace's own root is listed without the delimiter at its end.
        (kind, space.prefix, space.prefix.removesuffix((space.delimiter or "").encode("latin-1")))
        for kind, spaces in (namespaces.by_kind().items() if namespaces else ())
        for space in spaces
    ]
    places.sort(key=lambda place: len(place[1]), reverse=True)

    def whose(raw: bytes) -> tuple[NamespaceKind, bytes]:
        if raw.upper() != b"INBOX":
            for kind, prefix, root in places:
                if raw.startswith(prefix) or raw == root:
                    return kind, prefix
        return "", b""

    return whose
