"""The look: which mailboxes an account has and whether they changed, in as few round trips as the server allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from imap.arguments import astring
from imap.errors import ConnectionLost
from imap.model import ListedMailbox, MailboxStatus, Namespace, NamespaceKind, Namespaces
from imap.names import decode_name, unique_names
from imap.namespace import owners, parse_namespaces
from imap.refusal import refusal, wants_us_to_wait
from imap.tokens import Response, Status, Value, kind_of, number, tokens
from imap.wire import Wire

_ROLES = {
    r.lower(): r for r in ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash", "\\Important")
}
_AT_ONCE = 50
_PLAIN_LIST = re.compile(
    rb'\* (LIST|LSUB) \(((?:\\[A-Z0-9-]+ ?)*+)\) (?:"([^"\\])"|NIL) (?:"([^"\\]*)"|((?!NIL\Z)[^][ (){}"\\\r\n]+))',
    re.IGNORECASE,
)
_PLAIN_STATUS = re.compile(rb'\* STATUS (?:"([^"\\]+)"|((?!NIL )[^][ (){}"\\]+)) \(([A-Z0-9 ]*)\)', re.IGNORECASE)
"""As nearly all servers write nearly all lines: an account may have thousands, and reading tokens takes a while."""
_BARE_STATUS = re.compile(rb"\* STATUS (.+) \(([^()]*)\)", re.IGNORECASE)


class _Traits(NamedTuple):
    """What a mailbox's attributes say."""

    attributes: tuple[str, ...]
    selectable: bool
    subscribed: bool
    role: str | None


class _Line(NamedTuple):
    raw: bytes
    delimiter: str | None
    traits: _Traits


def look(
    wire: Wire, capabilities: frozenset[str], also: Collection[NamespaceKind] = ()
) -> tuple[list[ListedMailbox], Namespaces | None]:
    """Return all mailboxes of the account, sorted by raw name, each with its four numbers or the reason why not.

    Also returns the server's namespaces. Those of the kinds in `also` are listed on their own too: not every server
    shows them when it is asked for everything.
    """
    numbers = b"MESSAGES UIDNEXT UIDVALIDITY"
    if capabilities & {"CONDSTORE", "QRESYNC"}:
        numbers += b" HIGHESTMODSEQ"
    heard: list[Response] = []
    # Its answer comes before the listing's, and is heard with it.
    asked = wire.start(b"NAMESPACE", what="NAMESPACE") if "NAMESPACE" in capabilities else None
    lines, subscribed, statuses = _list(wire, capabilities, numbers, b"*", heard)
    heard += wire.collect(asked, what="NAMESPACE")[0] if asked else ()
    namespaces = parse_namespaces(heard)
    for prefix in _prefixes(namespaces, also):
        more = _list(wire, capabilities, numbers, prefix + b"*", heard)
        lines, subscribed, statuses = more[0] | lines, more[1] | subscribed, more[2] | statuses
    missing = [line.raw for line in lines.values() if line.traits.selectable and line.raw not in statuses]
    problems = _ask_each(wire, missing, numbers, statuses)
    names, whose = unique_names(list(lines)), owners(namespaces)
    listed = (
        _mailbox(line, name, line.raw in subscribed, statuses.get(line.raw), problems.get(line.raw, ""), whose)
        for line, name in zip(lines.values(), names, strict=True)
    )
    return sorted(listed, key=lambda m: m.raw), namespaces


def _prefixes(namespaces: Namespaces | None, kinds: Collection[NamespaceKind]) -> Iterator[bytes]:
    for kind, spaces in namespaces.by_kind().items() if namespaces else ():
        yield from (space.prefix for space in spaces if kind and kind in kinds and space.prefix)


_Listed = tuple[dict[bytes, _Line], set[bytes], dict[bytes, MailboxStatus]]


def _list(wire: Wire, capabilities: frozenset[str], numbers: bytes, pattern: bytes, heard: list[Response]) -> _Listed:
    listed = None
    if "LIST-STATUS" in capabilities:
        listed = _all_in_one(wire, capabilities, numbers, pattern, heard)
    return _in_two(wire, capabilities, pattern, heard) if listed is None else listed


def _all_in_one(
    wire: Wire, capabilities: frozenset[str], numbers: bytes, pattern: bytes, heard: list[Response]
) -> _Listed | None:
    """LIST with everything it can return (RFC 5258, 5819, 6154); None where the server then won't."""
    wanted = b"SUBSCRIBED " + (b"SPECIAL-USE " if "SPECIAL-USE" in capabilities else b"")
    tail = b" RETURN (" + wanted + b"STATUS (" + numbers + b"))"
    responses, status = wire.ask(b'LIST "" ', astring(pattern), tail, what="listing the mailboxes")
    heard += responses
    if not status.ok:
        return None
    lines = _lines(responses, b"LIST")
    subscribed = {line.raw for line in lines.values() if line.traits.subscribed}
    return lines, subscribed, dict(_statuses(responses, lines))


def _in_two(wire: Wire, capabilities: frozenset[str], pattern: bytes, heard: list[Response]) -> _Listed:
    """LIST and LSUB, sent together."""
    tags = [
        wire.start(verb + b' "" ', astring(pattern), tail, what="listing")
        for verb, tail in ((b"LIST", _roles(capabilities)), (b"LSUB", b""))
    ]
    (mailboxes, status), (subscriptions, _) = (wire.collect(tag, what="listing the mailboxes") for tag in tags)
    heard += mailboxes
    if not status.ok:
        mailboxes, status = wire.run(b'LIST "" ', astring(pattern), what="listing the mailboxes")
    lines = _lines(mailboxes, b"LIST")
    subscribed = {_key(line.raw) for line in _lines(subscriptions, b"LSUB").values() if line.traits.selectable}
    return lines, {raw for raw in lines if _key(raw) in subscribed}, {}


def _ask_each(
    wire: Wire, raws: Sequence[bytes], numbers: bytes, statuses: dict[bytes, MailboxStatus]
) -> dict[bytes, str]:
    """Ask STATUS of mailboxes, many at a time; fill in `statuses`, return why some gave none."""
    problems: dict[bytes, str] = {}
    for start in range(0, len(raws), _AT_ONCE):
        group = raws[start : start + _AT_ONCE]
        tags = [(raw, _ask(wire, raw, numbers)) for raw in group]
        for raw, tag in tags:
            responses, status = wire.collect(tag, what="asking a mailbox's status")
            if not status.ok and wants_us_to_wait(status):
                raise refusal(status, "asking a mailbox's status")
            found = dict(_statuses(responses, group))
            statuses.update(found)
            if raw not in statuses:
                problems[raw] = _why(status)
    return problems


def _ask(wire: Wire, raw: bytes, numbers: bytes) -> bytes:
    return wire.start(b"STATUS ", astring(raw), b" (" + numbers + b")", what="asking a mailbox's status")


def _why(status: Status) -> str:
    if status.ok:
        return "the server gave no status"
    return f"the server says: {status.text or status.kind}"


def _lines(responses: Iterable[Response], verb: bytes) -> dict[bytes, _Line]:
    """Return the lines of LIST or LSUB by name; of a mailbox listed twice the last line holds."""
    lines: dict[bytes, _Line] = {}
    known: dict[tuple[bytes, ...], _Traits] = {}
    for response in responses:
        told = list_line(response, verb)
        if told is not None:
            attributes, delimiter, raw = told
            traits = known.get(attributes) or known.setdefault(attributes, _traits(attributes))
            lines[raw] = _Line(raw, delimiter.decode("latin-1") if delimiter else None, traits)
    return lines


def list_line(response: Response, verb: bytes) -> tuple[tuple[bytes, ...], bytes | None, bytes] | None:
    r"""Read `* LIST (\HasNoChildren) "/" INBOX`: attributes, delimiter and name; None where it is something else."""
    plain = _PLAIN_LIST.fullmatch(response.text)
    if plain and plain[1].upper() == verb:
        return tuple(plain[2].split()), plain[3], plain[plain.lastindex or 0]
    if kind_of(response)[0] != verb:
        return None
    match tokens(response, 2 + len(verb)):
        case [list(attributes), (bytes() | None) as delimiter, (bytes() | None) as name, *_]:
            # `NIL` unquoted is how some servers write a mailbox of that name
            return tuple(a for a in attributes if isinstance(a, bytes)), delimiter, b"NIL" if name is None else name
    raise _odd()


def _traits(told: tuple[bytes, ...]) -> _Traits:
    attributes = tuple(a.decode("latin-1") for a in told)
    lowered = [name.lower() for name in attributes]
    return _Traits(
        attributes,
        selectable="\\noselect" not in lowered and "\\nonexistent" not in lowered,
        subscribed="\\subscribed" in lowered,
        role=next((_ROLES[name] for name in lowered if name in _ROLES), None),
    )


def _statuses(responses: Iterable[Response], known: Iterable[bytes]) -> Iterator[tuple[bytes, MailboxStatus]]:
    """Read `* STATUS name (…)`, under the name that LIST gave the mailbox. What names none of them says nothing."""
    by_key = {_key(raw): raw for raw in known}
    for response in responses:
        for name, items in status_lines(response):
            raw = by_key.get(_key(name))
            status = _numbers(items)
            if raw is not None and status is not None:
                yield raw, status
                break


def status_lines(response: Response) -> Iterator[tuple[bytes, list[Value]]]:
    """Yield the ways to read a STATUS line, the right one first; any other line has none.

    GNU's imap4d writes names with blanks and brackets bare.
    """
    plain = _PLAIN_STATUS.fullmatch(response.text)
    if plain:
        yield plain[1] or plain[2], [*plain[3].split()]
    if kind_of(response)[0] != b"STATUS":
        return
    with suppress(ConnectionLost):
        match tokens(response, 8):
            case [(bytes() | None) as name, list(items), *_]:
                yield name or b"NIL", items
    bare = _BARE_STATUS.fullmatch(response.text)
    if bare and not response.literals:
        yield bare[1], [*bare[2].split()]


def _numbers(items: Sequence[Value]) -> MailboxStatus | None:
    found = {
        name.upper(): count
        for name, value in zip(items[::2], items[1::2], strict=False)
        if isinstance(name, bytes) and (count := number(value)) is not None
    }
    if not found.keys() >= {b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY"}:
        return None
    # a mailbox without mod-sequences says 0 (RFC 7162 §3.1.2.2)
    return MailboxStatus(
        found[b"MESSAGES"], found[b"UIDNEXT"], found[b"UIDVALIDITY"], found.get(b"HIGHESTMODSEQ") or None
    )


def _mailbox(  # one caller, same order as the fields
    line: _Line,
    name: str,
    subscribed: bool,  # noqa: FBT001  # likewise
    status: MailboxStatus | None,
    problem: str,
    whose: Callable[[bytes], tuple[NamespaceKind, bytes]],
) -> ListedMailbox:
    kind, prefix = whose(line.raw)
    return ListedMailbox(
        name=name,
        raw=line.raw,
        delimiter=line.delimiter,
        attributes=line.traits.attributes,
        special_use=line.traits.role,
        subscribed=subscribed,
        status=status if line.traits.selectable else None,
        problem=problem,
        namespace=kind,
        namespace_prefix=decode_name(prefix) if kind else "",
    )


def _key(raw: bytes) -> bytes:
    """INBOX is the one name whose case does not matter (RFC 9051 §5.1)."""
    return b"INBOX" if raw.upper() == b"INBOX" else raw


def _odd() -> ConnectionLost:
    return ConnectionLost("the server's listing of mailboxes can't be read")


def ask_namespaces(wire: Wire, capabilities: frozenset[str]) -> Namespaces:
    """Return the namespaces; without NAMESPACE a personal one of no prefix, and the delimiter that LIST tells."""
    if "NAMESPACE" in capabilities:
        responses, status = wire.ask(b"NAMESPACE", what="NAMESPACE")
        if status.ok and (told := parse_namespaces(responses)):
            return told
    responses, _ = wire.run(b'LIST "" ""', what="asking for the delimiter")
    delimiters = [line.delimiter for line in _lines(responses, b"LIST").values()]
    return Namespaces((Namespace(b"", delimiters[0] if delimiters else None),))


def is_there(wire: Wire, raw: bytes) -> bool | None:
    """Whether a mailbox of exactly that name can be opened; None where nothing is called so, not even a level."""
    line = _line_of(wire, raw, b"")
    return line.traits.selectable if line else None


def role_of(wire: Wire, capabilities: frozenset[str], raw: bytes) -> str | None:
    """Return a mailbox's special use (RFC 6154), or None where the server tells none."""
    line = _line_of(wire, raw, _roles(capabilities))
    return line.traits.role if line else None


def _line_of(wire: Wire, raw: bytes, wanted: bytes) -> _Line | None:
    responses, _ = wire.ask(b'LIST "" ', astring(raw), wanted, what="looking for a mailbox")
    return next((line for line in _lines(responses, b"LIST").values() if _key(line.raw) == _key(raw)), None)


def _roles(capabilities: frozenset[str]) -> bytes:
    return b" RETURN (SPECIAL-USE)" if capabilities >= {"LIST-EXTENDED", "SPECIAL-USE"} else b""
