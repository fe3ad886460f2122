"""Conversations as RFC 9051's grammar allows them, each with what it says; and the same ones spoilt."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st

from imap.model import Facts, Fetched, Headers
from imap.sets import write_set
from imap.sieve import Script
from tests.fuzz.parsers import WANTED

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[T]], T]
Said = tuple[object, bytes]
"""What a parser must make of it, and the octets that the server sends."""

WORD = st.text(st.sampled_from("abcXYZ019$._/&+-"), min_size=1, max_size=12).map(str.encode)
FLAG = st.one_of(st.sampled_from([b"\\Seen", b"\\Answered", b"\\Flagged", b"$Label1"]), WORD.map(lambda w: b"k" + w))
NAME = st.one_of(WORD, st.binary(min_size=1, max_size=20), st.sampled_from([b"INBOX", b"NIL", b'a"b\\c', b"R&D {3}"]))
BODY = st.one_of(st.binary(max_size=60), st.sampled_from([b"", b"a\r\nb", b")\r\nR1 OK\r\n", b"{5}\r\n", b'"', b"NIL"]))
DATE = st.sampled_from([b"01-Jan-2020 00:00:00 +0000", b" 1-Feb-1999 23:59:60 -0730", b"31-Dec-2049 12:00:00 +0100"])
NUMBER = st.one_of(st.integers(1, 50), st.integers(1, 0xFFFFFFFF))
_NOISE = [
    b"* OK [ALERT] the disk is nearly full\r\n",
    b"* 9 EXISTS\r\n",
    b"* 0 recent\r\n",
    b"* 2 FETCH (FLAGS (\\Seen) MODSEQ (12))\r\n",
    b"* NO [UNAVAILABLE] something else\r\n",
    b"* STATUS elsewhere (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n",
    b"* STATUS broken (MESSAGES\r\n",
    b'* X-NEWS {3}\r\na\r\n "b"\r\n',
    b"* CAPABILITY IMAP4rev1\r\n",
    b"+ idling\r\n",
    b"\r\n".rjust(5000, b"x").join([b"* OK ", b""]),
]


def string(draw: Draw[Any], octets: bytes) -> bytes:
    """Write a string in one of the ways the grammar allows."""
    ways = [b"{%d}\r\n%b", b"~{%d}\r\n%b", b"{%d+}\r\n%b"]
    if not set(octets) & {0, 10, 13}:
        ways.append(b"")
    way = draw(st.sampled_from(ways))
    return way % (len(octets), octets) if way else b'"' + re.sub(rb'(["\\])', rb"\\\1", octets) + b'"'


def astring(draw: Draw[Any], octets: bytes) -> bytes:
    """Write a mailbox's name: an atom too, where it can be one."""
    if re.fullmatch(rb"[A-Za-z0-9$._/&+-]+", octets) and octets.upper() != b"NIL" and draw(st.booleans()):
        return octets
    return string(draw, octets)


def case(draw: Draw[Any], word: bytes) -> bytes:
    """Write a keyword in one of the cases, which say nothing."""
    return draw(st.sampled_from([word, word.lower(), word.title()]))  # type: ignore[no-any-return]


def between(draw: Draw[Any], lines: list[bytes], *, end: bytes = b"R1 OK done\r\n") -> bytes:
    """Put news that nobody asked for before, between and after the lines."""
    out = b""
    for line in [*lines, end]:
        out += b"".join(draw(st.lists(st.sampled_from(_NOISE), max_size=2))) + line
    return out


def attributes(draw: Draw[Any], number: int, pairs: dict[bytes, bytes]) -> bytes:
    """Write a FETCH response with its attributes in any order."""
    order = draw(st.permutations(list(pairs)))
    inner = b" ".join(case(draw, name) + b" " + pairs[name] for name in order)
    return b"* %d %b (%b)\r\n" % (number, case(draw, b"FETCH"), inner)


def flags_written(flags: list[bytes]) -> bytes:
    """Write a list of flags."""
    return b"(" + b" ".join(flags) + b")"


def flags_read(flags: list[bytes]) -> tuple[str, ...]:
    """Return flags as we keep them."""
    return tuple(sorted({flag.decode("latin-1") for flag in flags}))


FLAGS = st.lists(FLAG, max_size=4)
SOME = st.lists(st.sampled_from(WANTED), unique=True).map(sorted)


@st.composite
def looked(draw: Draw[Any]) -> Said:
    """LIST with STATUS."""
    names = draw(st.lists(NAME, unique_by=bytes.upper, max_size=4))
    lines, told = [], []
    for name in names:
        numbers = [draw(NUMBER) for _ in range(4)]
        keys = [b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY", b"HIGHESTMODSEQ"]
        delimiter = draw(st.sampled_from([b'"/"', b"NIL", b'"."', b'"\\\\"']))
        lines.append(b"* %b () %b %b\r\n" % (case(draw, b"LIST"), delimiter, astring(draw, name)))
        items = b" ".join(case(draw, k) + b" %d" % n for k, n in zip(keys, numbers, strict=True))
        lines.append(b"* %b %b (%b)\r\n" % (case(draw, b"STATUS"), astring(draw, name), items))
        told.append((name, *numbers))
    return sorted(told), between(draw, lines)


@st.composite
def facts(draw: Draw[Any]) -> Said:
    """FETCH of what is known without a body."""
    told, lines = [], []
    for uid in draw(SOME):
        flags, date, size, known = draw(FLAGS), draw(DATE), draw(st.integers(0, 1 << 40)), draw(WORD)
        told.append(Facts(uid, flags_read(flags), date.decode(), size, known))
        pairs = {
            b"UID": b"%d" % uid,
            b"FLAGS": flags_written(flags),
            b"INTERNALDATE": string(draw, date),
            b"RFC822.SIZE": b"%d" % size,
            b"EMAILID": b"(" + known + b")" if known.upper() != b"NIL" else string(draw, known),
        }
        lines.append(attributes(draw, uid, pairs))
    return told, between(draw, draw(st.permutations(lines)))


@st.composite
def headers(draw: Draw[Any]) -> Said:
    """FETCH of header fields."""
    told, lines = [], []
    for uid in draw(SOME):
        header, date, size = draw(BODY), draw(DATE), draw(st.integers(0, 1 << 40))
        told.append(Headers(uid, header, size, date.decode()))
        name = b"BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)]"
        pairs = {b"UID": b"%d" % uid, b"INTERNALDATE": string(draw, date), b"RFC822.SIZE": b"%d" % size}
        lines.append(attributes(draw, uid, pairs | {name: string(draw, header)}))
    return told, between(draw, lines)


@st.composite
def messages(draw: Draw[Any]) -> Said:
    """FETCH of bodies, all that were asked for."""
    told, lines = [], []
    for uid in WANTED:
        octets = draw(BODY)
        told.append(Fetched(uid, octets))
        lines.append(attributes(draw, uid, {b"UID": b"%d" % uid, b"BODY[]": string(draw, octets)}))
    return told, between(draw, lines)


@st.composite
def flags(draw: Draw[Any]) -> Said:
    """FETCH of flags."""
    told, lines = [], []
    for uid in draw(SOME):
        found = draw(FLAGS)
        told.append((uid, flags_read(found)))
        lines.append(attributes(draw, uid, {b"UID": b"%d" % uid, b"FLAGS": flags_written(found)}))
    return told, between(draw, draw(st.permutations(lines)))


@st.composite
def uids(draw: Draw[Any]) -> Said:
    """SEARCH in its old form, any number of lines, in any order."""
    found = draw(st.permutations(range(1, 10)))
    cut = draw(st.integers(0, 9))
    parts = [b"".join(b" %d" % uid for uid in part) for part in (found[:cut], found[cut:])]
    lines = [b"* " + case(draw, b"SEARCH") + part + b"\r\n" for part in parts]
    return [(1, 9)], between(draw, lines)


@st.composite
def uids_by_range(draw: Draw[Any]) -> Said:
    """ESEARCH."""
    found = draw(SOME)
    told = b'* ESEARCH (TAG "R1") UID' + (b" ALL " + write_set(found) if found else b"") + b"\r\n"
    ranges: list[tuple[int, int]] = []
    for uid in found:
        if ranges and ranges[-1][1] == uid - 1:
            ranges[-1] = (ranges[-1][0], uid)
        else:
            ranges.append((uid, uid))
    return ranges, between(draw, [told])


@st.composite
def opened(draw: Draw[Any]) -> Said:
    """EXAMINE."""
    exists, validity, uidnext, modseq = draw(st.integers(0, 99)), draw(NUMBER), draw(NUMBER), draw(NUMBER)
    lines = [
        b"* %d %b\r\n" % (exists, case(draw, b"EXISTS")),
        b"* OK [%b %d] ok\r\n" % (case(draw, b"UIDVALIDITY"), validity),
        b"* OK [UIDNEXT %d]\r\n" % uidnext,
        b"* OK [HIGHESTMODSEQ %d] highest\r\n" % modseq,
        b"* FLAGS (\\Answered \\Seen x)\r\n",
    ]
    noise = between(draw, []).removesuffix(b"R1 OK done\r\n")
    order = draw(st.permutations(lines))
    return (exists, validity, uidnext, modseq), noise + b"* OK [CLOSED]\r\n" + b"".join(
        order
    ) + b"R1 OK [READ-ONLY]\r\n"


@st.composite
def appended(draw: Draw[Any]) -> Said:
    """APPEND of many, answered with their UIDs or without."""
    first = draw(st.integers(1, 1 << 31))
    told = draw(st.booleans())
    code = b"[APPENDUID 7 %d:%d] " % (first, first + len(WANTED) - 1) if told else b""
    expected = [first + n if told else None for n in range(len(WANTED))]
    return expected, between(draw, [], end=b"R1 OK " + code + b"stored\r\n")


@st.composite
def logged_in(draw: Draw[Any]) -> Said:
    """LOGIN, with capabilities in its code or before it."""
    words = draw(st.lists(WORD, min_size=1, max_size=5))
    line = b" ".join(words)
    lines = [b"* OK hello\r\n", b"* %b %b\r\n" % (case(draw, b"CAPABILITY"), line)]
    in_code = draw(st.booleans())
    text = b"R1 OK [CAPABILITY " + line + b"] in\r\n" if in_code else b"".join([*lines, b"R1 OK in\r\n"])
    return frozenset(w.decode().upper() for w in words), text


@st.composite
def quotas(draw: Draw[Any]) -> Said:
    """QUOTA, of resources we know and of others."""
    told, lines = [], []
    for root in draw(st.lists(WORD, max_size=3)):
        used, most = draw(NUMBER), draw(NUMBER)
        told.append((root.decode(), used << 10, most << 10))
        line = b"* %b %b (%b %d %d X-DOGS 1 2)\r\n"
        lines.append(line % (case(draw, b"QUOTA"), string(draw, root), case(draw, b"STORAGE"), used, most))
    return told, between(draw, lines)


@st.composite
def belongings(draw: Draw[Any]) -> Said:
    """ACL and METADATA of one mailbox, after what the server and another have said."""
    entries = draw(st.dictionaries(WORD.map(lambda w: b"/private/" + w.lower()), BODY, max_size=3))
    people = draw(st.dictionaries(WORD, st.sampled_from([b"lrs", b"lrswipkxtea", b""]), max_size=3))
    acl = b"".join(b" " + astring(draw, who) + b" " + string(draw, rights) for who, rights in people.items())
    inner = b" ".join(astring(draw, entry) + b" " + string(draw, value) for entry, value in entries.items())
    lines = [b"* ACL INBOX" + acl + b"\r\n", b"R2 OK\r\n", b"R3 OK\r\n"]
    lines += [b"* METADATA INBOX (" + inner + b")\r\n"] * bool(entries) + [b"R4 OK\r\n", b"R5 OK\r\n", b"R6 OK\r\n"]
    told = sorted((who.decode(), rights.decode()) for who, rights in people.items())
    kept = sorted((entry.decode(), value) for entry, value in entries.items() if entry != b"/private/specialuse")
    return (told, kept), b"R1 OK\r\n" + between(draw, lines, end=b"R7 OK\r\n")


@st.composite
def scripts(draw: Draw[Any]) -> Said:
    """LISTSCRIPTS and a GETSCRIPT for each (RFC 5804)."""
    kept = draw(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), BODY, max_size=3))
    active = draw(st.sampled_from([*kept, ""]))
    listed = [
        string(draw, name.encode()) + (b" " + case(draw, b"ACTIVE")) * (name == active) + b"\r\n" for name in kept
    ]
    ends = st.sampled_from([b"OK\r\n", b'ok "done"\r\n', b'OK (TAG "x") {2}\r\nno\r\n'])
    got = [string(draw, octets) + b"\r\n" + draw(ends) for octets in kept.values()]
    told = sorted(Script(name, octets, name == active) for name, octets in kept.items())
    return told, b"".join([*listed, draw(ends), *got])


SPOILERS: list[bytes] = [
    b"* BYE gone\r\n",
    b"* BYE\r\n",
    b"R1 OK\r\n",
    b"R9 OK\r\n",
    b"R1 NO [TRYCREATE]\r\n",
    b"R1 BAD\r\n",
    b"* 4294967295 EXISTS\r\n",
    b"* " + b"9" * 30 + b" EXISTS\r\n",
    b"* " + b"9" * 5000 + b" EXISTS\r\n",
    b"* 3 EXPUNGE\r\n",
    b"* VANISHED 1:4294967295\r\n",
    b"* VANISHED " + b"9" * 5000 + b"\r\n",
    b"* SEARCH " + b"9" * 30 + b"\r\n",
    b"* ESEARCH UID ALL 1:" + b"9" * 5000 + b"\r\n",
    b"* OK [UIDVALIDITY " + b"9" * 30 + b"]\r\n",
    b"* 1 FETCH (UID " + b"9" * 5000 + b" FLAGS ())\r\n",
    b"* 1 FETCH (UID 2 FLAGS NIL INTERNALDATE NIL RFC822.SIZE -5 BODY[] NIL)\r\n",
    b"OK\r\n", b"NO\r\n", b"BYE\r\n", b"NO (QUOTA) {3}\r\na",
    b"NIL", b'"', b"(", b")", b"[", b"]", b"{", b"}", b"{5}\r\n", b"{99999999999}\r\n", b"{10000000000}\r\n",
    b"+OK\r\n", b"+OK\r\n.\r\n", b"+OK\r\n1 99\r\n2 x\r\n.\r\n", b"-ERR\r\n", b"..\r\n", b"1 a\r\n1 a\r\n2 a\r\n.\r\n",
    b'"one" ACTIVE\r\n"two"\r\nOK\r\n', b'{3}\r\nabc\r\nOK "done"\r\n', b"NO (QUOTA) {4}\r\nfull\r\n", b"BYE\r\n",
    b"\0", b"\xff", b"\r", b"\n", b"\r\n", b" ", b"* ", b"+ \r\n", b"9" * 30, b"\xb2", b"-1",
]  # fmt: skip


@st.composite
def spoilt(draw: Draw[Any], conversation: st.SearchStrategy[Said]) -> bytes:
    """A conversation with pieces cut out, doubled, put elsewhere or replaced by what no server should say."""
    octets: bytes = draw(conversation)[1]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(octets)))
        to = min(len(octets), at + draw(st.sampled_from([0, 0, 1, 3, 20])))
        match draw(st.integers(0, 3)):
            case 0:
                octets = octets[:at] + draw(st.sampled_from(SPOILERS)) + octets[to:]
            case 1:
                octets = octets[:at] + octets[to:]
            case 2:
                octets = octets[:at] + octets[at:to] + octets[at:]
            case _:
                octets = octets[:at] + bytes(b ^ draw(st.integers(1, 255)) for b in octets[at:to]) + octets[to:]
    return octets


CONVERSATIONS: dict[str, st.SearchStrategy[Said]] = {
    "look in one": looked(),
    "facts": facts(),
    "headers": headers(),
    "messages": messages(),
    "flags": flags(),
    "changes": flags(),
    "uids": uids(),
    "uids by range": uids_by_range(),
    "open": opened(),
    "append many": appended(),
    "login": logged_in(),
    "quotas": quotas(),
    "belongings": belongings(),
    "scripts": scripts(),
}
"""What a good server says, by the parser that reads it."""
