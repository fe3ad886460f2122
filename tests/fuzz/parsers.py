"""Everything that reads what others wrote: from octets to a value, or to one of the errors that users can be told."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from imap import append, fetch, listing, login, scan
from imap.belongings import belongings, set_metadata
from imap.errors import ImapError
from imap.model import Endpoint, Login, Outgoing
from imap.names import decode_name, unique_names
from imap.pop import Numbering, PopSession
from imap.pop_line import PopLine
from imap.profiles import Profile, choose
from imap.quota import inbox_quotas
from imap.session import Session, _enable
from imap.sieve import SieveSession
from imap.tokens import Response, Status, fetch_attributes, kind_of, parse_status, tokens
from imap.wire import Wire
from tests.fuzz.canned import Deaf, canned
from tests.secret import new_secret
from vault import catalogue, recipe, table
from vault.columns import ColumnError, ColumnReader
from vault.ids import BlobId
from vault.index import decode_index
from vault.internaldate import parse_internaldate
from vault.pack import decode_directory
from vault.uses import decode_uses

ALL = frozenset(
    "IMAP4REV1 CONDSTORE QRESYNC ENABLE ID ESEARCH LIST-EXTENDED LIST-STATUS SPECIAL-USE NAMESPACE UIDPLUS"
    " MULTIAPPEND LITERAL+ SASL-IR AUTH=PLAIN OBJECTID ACL METADATA QUOTA".split()
)
NONE = frozenset({"IMAP4REV1"})
WANTED = (1, 2, 3, 5, 9)
_ENDPOINT = Endpoint("mail.example", 143, "anna", "off")
_SECRET = new_secret()


@dataclass(frozen=True)
class Parser:
    """A function of octets, and what it may raise instead of returning a value."""

    read: Callable[[bytes], object]
    raises: tuple[type[Exception], ...] = (ImapError,)

    def survives(self, data: bytes) -> object:
        """Return the value, or the error where it is one of ours; any other is raised."""
        try:
            return self.read(data)
        except self.raises as error:
            return error


def _on_wire(ask: Callable[[Wire], object]) -> Parser:
    def read(data: bytes) -> object:
        wire = canned(data)
        found = ask(wire)
        return list(found) if isinstance(found, Iterator) else found

    return Parser(read)


def _session(capabilities: frozenset[str], ask: Callable[[Session], object]) -> Parser:
    return _on_wire(lambda wire: ask(Session(wire, capabilities, choose(b"Dovecot", capabilities))))


def _log_in(wire: Wire, capabilities: frozenset[str], *, oauth: bool = False) -> object:
    return login.log_in(wire, _ENDPOINT, Login(lambda: _SECRET, oauth=oauth), capabilities)


def _sieve_log_in(wire: Wire) -> None:
    SieveSession(wire, "mail.example").log_in(_ENDPOINT, Login(lambda: _SECRET), {"PLAIN"})


def _append(wire: Wire, capabilities: frozenset[str]) -> object:
    date = "01-Jan-2040 00:00:00 +0000"
    outgoing = [Outgoing(b"Subject: %d\r\n\r\n" % n, ("\\Seen", "Urgent"), date) for n in WANTED]
    return append.append(wire, b"INBOX", outgoing, capabilities, name="INBOX")


def _response(data: bytes) -> object:
    text, _, literal = data.partition(b"\0")
    response = Response(text, (literal,))
    return kind_of(response), parse_status(text), tokens(response), fetch_attributes(response)


def _limits(data: bytes) -> object:
    capabilities = login.told([], Status("OK", b"CAPABILITY " + data, ""))
    return Session(canned(b""), capabilities, choose(data, capabilities)).append_limit


def _pop(data: bytes) -> object:
    line = PopLine(cast("socket.socket", Deaf(data)), None, 1)
    session = PopSession(line, line.capabilities(), Numbering({}, 1, bytes))
    session.examine(b"INBOX")
    uids = [uid for first, last in session.uids() for uid in range(first, last + 1)]
    return list(session.facts(uids)), list(session.messages(uids))


SERVER: dict[str, Parser] = {
    "pop": Parser(_pop),
    "tokens": Parser(_response),
    "look in one": _on_wire(lambda wire: listing.look(wire, ALL - {"NAMESPACE"})),
    "look in two": _on_wire(lambda wire: listing.look(wire, NONE)),
    "look at others' too": _on_wire(lambda wire: listing.look(wire, ALL, ("other", "shared"))),
    "namespaces": _on_wire(lambda wire: listing.ask_namespaces(wire, ALL)),
    "delimiter": _on_wire(lambda wire: listing.ask_namespaces(wire, NONE)),
    "quotas": _on_wire(inbox_quotas),
    "belongings": _on_wire(lambda wire: belongings(wire, ALL, [b"", b"INBOX", b"Sent"], ".*=secret")),
    "annotations": _on_wire(lambda wire: set_metadata(wire, b"INBOX", [("/private/comment", b"a\r\nb")] * 2)),
    "scripts": _on_wire(lambda wire: SieveSession(wire, "mail.example").scripts()),
    "scripts' server": _on_wire(lambda wire: SieveSession(wire, "mail.example").hear_capabilities()),
    "scripts' login": _on_wire(_sieve_log_in),
    "open": _session(NONE, lambda session: session.examine(b"INBOX")),
    "open and catch up": _session(ALL, lambda session: session.examine(b"INBOX", known=(7, 40))),
    "uids": _on_wire(lambda wire: scan.uids(wire, 1, 20, Profile(esearch=False), whole=True)),
    "uids by range": _on_wire(lambda wire: scan.uids(wire, 1, 20, Profile(), whole=False)),
    "uids by pages": _on_wire(lambda wire: scan.uids(wire, 1, 20, Profile(most_at_once=7, pages=True), whole=True)),
    "flags": _on_wire(lambda wire: scan.flags(wire, 1, 20, Profile(), whole=True)),
    "changes": _on_wire(lambda wire: scan.changed_since(wire, 40)),
    "facts": _on_wire(lambda wire: scan.facts(wire, WANTED, b"EMAILID")),
    "headers": _on_wire(lambda wire: scan.headers(wire, WANTED)),
    "messages": _on_wire(lambda wire: fetch.messages(wire, WANTED, sizes=None, at_once=3)),
    "append": _on_wire(lambda wire: _append(wire, NONE)),
    "append many": _on_wire(lambda wire: _append(wire, ALL)),
    "login": _on_wire(lambda wire: _log_in(wire, NONE)),
    "login by mechanism": _on_wire(lambda wire: _log_in(wire, ALL | {"LOGINDISABLED"})),
    "login by token": _on_wire(lambda wire: _log_in(wire, NONE, oauth=True)),
    "identity": _on_wire(lambda wire: [_enable(wire, ALL)]),
    "limits": Parser(_limits),
    "names": Parser(lambda data: (decode_name(data), unique_names(data.split(b"\n")))),
}
"""What a mail server sends, by what was asked of it."""


def _recipe(data: bytes) -> object:
    return recipe.rebuild(data, lambda blob: bytes(blob) * 100)


def _table(data: bytes) -> object:
    def read(_: BlobId) -> bytes:
        return data

    found = table.message_table(read, b"r" * 16)
    return found.count, list(found.rows())


VAULT: dict[str, Parser] = {
    "columns": Parser(lambda data: ColumnReader(data).strings(), (ColumnError,)),
    "recipe": Parser(_recipe, (ColumnError,)),
    "rows": Parser(table.RowCodec().decode, (ColumnError,)),
    "flags": Parser(table.FlagCodec().decode, (ColumnError,)),
    "nodes": Parser(_table, (ColumnError,)),
    "directory": Parser(lambda data: decode_directory(ColumnReader(data), "P", ()), (ColumnError,)),
    "index": Parser(decode_index, (ColumnError,)),
    "catalogue": Parser(catalogue.decode_catalogue, (ColumnError,)),
    "uses": Parser(decode_uses, (ColumnError,)),
    "describe": Parser(lambda data: catalogue.describe(BlobId(bytes(16)), [data])),
    "split": Parser(lambda data: list(recipe.split(data))),
    "readable": Parser(lambda data: catalogue.readable(data.decode("latin-1"))),
    "internaldate": Parser(lambda data: parse_internaldate(data.decode("latin-1"))),
}
"""What lies in a vault, once it is unsealed: whoever holds the meta key of a backup host may have written it."""
