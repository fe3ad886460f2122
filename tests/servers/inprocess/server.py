"""The in-process server: connections, and the commands of RFC 3501 that clients of all kinds use."""

from __future__ import annotations

import base64
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.servers.base import ImapServer, User
from tests.servers.inprocess.mail import TODAY, Account, Entry, Mailbox, Provider, Refusal

_WORD = re.compile(rb'\(|\)|"(?:[^"\\]|\\.)*"|[^\s()"]+(?:\[[^\]]*\][^\s()"]*)?')

Words = list[bytes]


class InProcessServer(ImapServer):
    """A server that plays a provider, on a thread of its own. `heard` is what clients sent, without their secrets."""

    def __init__(self, provider: Provider) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        super().__init__(Path("/nonexistent"), self._listener.getsockname()[1])
        self.provider = provider
        self.accounts: dict[str, Account] = {}
        self.tokens: dict[str, str] = {}
        self.heard: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def commands(self, pattern: str) -> list[str]:
        """Return the commands heard that match."""
        return [command for command in self.heard if re.match(pattern, command, re.IGNORECASE)]

    def stop(self) -> None:
        """Take no more connections."""
        self._listener.close()

    kill = remove = stop

    def _add(self, user: User) -> None:
        self.accounts[user.name] = Account(self.provider)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, EOFError), connection:
            Connection(self, connection).run()


class Command(NamedTuple):
    """One command: tag, verb (`UID FETCH` as one), its words, and all of it as text with literals in place."""

    tag: str
    verb: str
    words: Words
    text: str


class Connection:
    """One client."""

    def __init__(self, server: InProcessServer, sock: socket.socket) -> None:
        self._server = server
        self._provider = server.provider
        self._sock = sock
        self._reader = sock.makefile("rb")
        self._account: Account | None = None
        self._box: Mailbox | None = None
        self._errors = 0
        self._uid_only = False
        self._said: list[bytes] = []

    def run(self) -> None:
        """Greet, then answer commands until the client or we hang up."""
        self._sock.sendall(f"* {self._provider.greeting}\r\n".encode())
        while line := self._reader.readline():
            self._said = []
            command = self._command(line)
            last = command.verb == "LOGOUT"
            try:
                self._refuse_some(command)
                words = self._answer(command)
            except Refusal as refusal:
                self._errors += 1
                words, last = refusal.words, refusal.last
            if self._provider.most_errors and self._errors >= self._provider.most_errors:
                words, last = f"{words}\r\n* {self._provider.farewell}", True
            self._sock.sendall(b"".join(self._said) + f"{command.tag} {words}\r\n".encode())
            if last:
                return

    def _refuse_some(self, command: Command) -> None:
        if self._account is None or not self._provider.throttle_each or command.verb == "LOGOUT":
            return
        self._account.commands += 1
        if self._account.commands % self._provider.throttle_each == 0:
            raise Refusal(self._provider.throttle)

    def _say(self, line: str, literal: bytes | None = None, tail: str = "") -> None:
        middle = b" {%d}\r\n" % len(literal) + literal if literal is not None else b""
        self._said.append(line.encode() + middle + tail.encode() + b"\r\n")

    def _command(self, line: bytes) -> Command:
        pieces: Words = []
        text = b""
        while True:
            found = re.search(rb"\{(\d+)(\+?)\}\r\n$", line)
            head = line[: found.start()] if found else line.rstrip(b"\r\n")
            pieces += [_unquoted(word) for word in _WORD.findall(head)]
            text += head
            if not found:
                break
            if not found[2]:
                self._sock.sendall(b"+ go ahead\r\n")
            pieces.append(self._reader.read(int(found[1])))
            text += b"{}"
            line = self._reader.readline()
        tag, verb, words = pieces[0].decode(), pieces[1].decode().upper(), pieces[2:]
        if verb == "UID":
            verb, words = f"UID {words[0].decode().upper()}", words[1:]
        secret = verb in ("LOGIN", "AUTHENTICATE")
        self._server.heard.append(verb if secret else text.decode("latin-1").partition(" ")[2])
        return Command(tag, verb, words, text.decode("latin-1"))

    def _answer(self, command: Command) -> str:
        name = "_do_" + command.verb.lower().replace(" ", "_")
        done: Callable[[Command], str | None] | None = getattr(self, name, None)
        if done is None:
            raise Refusal("BAD Command Error. 12")
        if self._account is None:
            return done(command) or f"OK {command.verb} completed."
        with self._account.lock:
            return done(command) or f"OK {command.verb} completed."

    # Before login

    def _do_capability(self, _: Command) -> None:
        offered = self._provider.capabilities if self._account else self._provider.before_login
        self._say(f"* CAPABILITY {offered}")

    def _do_noop(self, _: Command) -> None:
        pass

    def _do_logout(self, _: Command) -> None:
        self._say(f"* BYE {self._provider.name} signing off.")

    def _do_login(self, command: Command) -> str:
        name, password = (word.decode() for word in command.words)
        return self._let_in(name, self._server.users.get(name) == password)

    def _do_authenticate(self, command: Command) -> str:
        mechanism = command.words[0].upper()
        if len(command.words) < 2:
            self._sock.sendall(b"+ \r\n")
        given = command.words[1] if len(command.words) > 1 else self._reader.readline().strip()
        text = base64.b64decode(given).decode()
        if mechanism == b"XOAUTH2":
            found = re.fullmatch(r"user=([^\1]*)\x01auth=Bearer ([^\x01]*)\x01\x01", text)
            name, token = (found[1], found[2]) if found else ("", "")
            return self._let_in(name, bool(token) and self._server.tokens.get(name) == token)
        _, name, password = text.split("\0")
        return self._let_in(name, self._server.users.get(name) == password)

    def _let_in(self, name: str, right: bool) -> str:
        if not right or name not in self._server.accounts:
            raise Refusal("NO LOGIN failed.")
        self._account = self._server.accounts[name]
        return "OK LOGIN completed."

    # Mailboxes

    @property
    def _mine(self) -> Account:
        if self._account is None:
            raise Refusal("BAD Command received in Invalid state.")
        return self._account

    @property
    def _open(self) -> Mailbox:
        if self._box is None:
            raise Refusal("BAD Command received in Invalid state.")
        return self._box

    def _do_id(self, _: Command) -> None:
        self._say(f'* ID ("name" "{self._provider.name}")')

    def _do_enable(self, command: Command) -> None:
        enabled = [word.decode() for word in command.words if self._provider.has(word.decode())]
        self._uid_only = self._uid_only or "UIDONLY" in enabled
        self._say(f"* ENABLED {'' if self._provider.quiet else ' '.join(enabled)}")

    def _do_namespace(self, _: Command) -> None:
        self._say('* NAMESPACE (("" "/")) NIL NIL')

    def _do_list(self, command: Command) -> None:
        if command.words[1] == b"":
            self._say('* LIST (\\Noselect) "/" ""')
            return
        wants_status = re.search(r"STATUS \(([^)]*)\)", command.text)
        for box in self._matching(command.words[1].decode()):
            children = any(other.startswith(f"{box.name}/") for other in self._mine.mailboxes)
            attributes = ["\\HasChildren" if children else "\\HasNoChildren"]
            attributes += [box.role] if box.role else []
            attributes += ["\\Subscribed"] if "RETURN" in command.text and box.subscribed else []
            self._say(f'* LIST ({" ".join(attributes)}) "/" {_quoted(box.name)}')
            if wants_status and self._provider.has("LIST-STATUS"):
                self._say(self._status(box, wants_status[1]))

    def _do_lsub(self, command: Command) -> None:
        for box in self._matching(command.words[1].decode()):
            if box.subscribed:
                self._say(f'* LSUB () "/" {_quoted(box.name)}')

    def _matching(self, pattern: str) -> Iterator[Mailbox]:
        wanted = re.compile(re.escape(pattern).replace(r"\*", ".*").replace("%", "[^/]*"))
        yield from (box for name, box in sorted(self._mine.mailboxes.items()) if wanted.fullmatch(name))

    def _do_status(self, command: Command) -> None:
        box = self._mine.open(command.words[0].decode())
        self._say(self._status(box, " ".join(w.decode() for w in command.words[2:-1])))

    def _status(self, box: Mailbox, items: str) -> str:
        numbers = {
            "MESSAGES": len(self._shown(box)), "UIDNEXT": box.uidnext, "UIDVALIDITY": box.uidvalidity, "RECENT": 0,
            "UNSEEN": sum("\\Seen" not in entry.flags for entry in box.entries), "HIGHESTMODSEQ": self._mine.modseq,
        }  # fmt: skip
        told = " ".join(f"{item} {numbers[item]}" for item in items.split())
        return f"* STATUS {_quoted(box.name)} ({told})"

    def _do_create(self, command: Command) -> None:
        self._mine.make(command.words[0].decode().rstrip("/"))

    def _do_subscribe(self, command: Command) -> None:
        self._mine.open(command.words[0].decode()).subscribed = True

    def _do_select(self, command: Command) -> str:
        return self._select(command, "READ-WRITE")

    def _do_examine(self, command: Command) -> str:
        return self._select(command, "READ-ONLY")

    def _select(self, command: Command, way: str) -> str:
        box = self._box = self._mine.open(command.words[0].decode())
        flags = " ".join(flag for flag in self._provider.permanent if flag != "\\*")
        permanent = " ".join(self._provider.permanent) if way == "READ-WRITE" else ""
        self._say(f"* {len(self._shown(box))} EXISTS")
        self._say("* 0 RECENT")
        self._say(f"* FLAGS ({flags})")
        self._say(f"* OK [PERMANENTFLAGS ({permanent})] Permanent flags")
        self._say(f"* OK [UIDVALIDITY {box.uidvalidity}] UIDVALIDITY value")
        self._say(f"* OK [UIDNEXT {box.uidnext}] The next unique identifier value")
        if self._provider.has("CONDSTORE"):
            self._say(f"* OK [HIGHESTMODSEQ {self._mine.modseq}]")
        known = re.search(r"\(QRESYNC \((\d+) (\d+)", command.text)
        if known and self._provider.has("QRESYNC") and int(known[1]) == box.uidvalidity:
            self._tell_changes(box, int(known[2]))
        return f"OK [{way}] {command.verb} completed."

    def _tell_changes(self, box: Mailbox, since: int) -> None:
        """Say what happened since a MODSEQ, as QRESYNC asks (RFC 7162 §3.2.5)."""
        gone = [str(uid) for modseq, uid in box.gone if modseq > since]
        if gone:
            self._say(f"* VANISHED (EARLIER) {','.join(gone)}")
        for number, entry in enumerate(self._shown(box), 1):
            if entry.modseq > since:
                told = "" if self._uid_only else f"UID {entry.uid} "
                told += f"FLAGS ({' '.join(sorted(entry.flags))}) MODSEQ ({entry.modseq})"
                self._say(f"{self._about(number, entry)} ({told})")

    def _shown(self, box: Mailbox) -> list[Entry]:
        """What of a mailbox this client sees."""
        hidden = bool(self._provider.shows) and not self._uid_only
        return box.entries[-self._provider.shows :] if hidden else box.entries

    def _about(self, number: int, entry: Entry) -> str:
        return f"* {entry.uid} UIDFETCH" if self._uid_only else f"* {number} FETCH"

    def _numbers(self) -> None:
        """Refuse what goes by message numbers where the client has given them up (RFC 9586 §3)."""
        if self._uid_only:
            raise Refusal("BAD [UIDREQUIRED] Message numbers are not allowed once UIDONLY is enabled")

    def _done(self, verb: str, found: list[tuple[int, Entry]]) -> tuple[list[tuple[int, Entry]], str]:
        """Cut what a command is about, from the highest UID down, and say so (RFC 9738 §3)."""
        limit = self._provider.limit
        if not limit or len(found) <= limit:
            return found, f"OK {verb} completed"
        kept = found[-limit:]
        return kept, f"OK [MESSAGELIMIT {limit} {kept[0][1].uid}] {verb} completed with {limit} partial results"

    def _do_getquotaroot(self, _: Command) -> None:
        self._say('* QUOTAROOT INBOX ""')
        self._say('* QUOTA "" (STORAGE 1 5242880)')

    def _do_getmetadata(self, _: Command) -> None:
        pass

    def _do_unselect(self, _: Command) -> None:
        self._box = None

    _do_close = _do_unselect

    # Messages

    def _do_search(self, command: Command) -> str:
        self._numbers()
        return self._search(command, lambda number, _: number)

    def _do_uid_search(self, command: Command) -> str:
        return self._search(command, lambda _, entry: entry.uid)

    def _search(self, command: Command, told: Callable[[int, Entry], int]) -> str:
        wanted = re.search(r"\bUID ([0-9:*,]+)$", command.text.partition("SEARCH")[2])
        found = self._numbered(wanted[1] if wanted else "1:*", uid=True)
        page = re.search(r"RETURN \(PARTIAL (\d+):(\d+)\)", command.text) if self._provider.has("PARTIAL") else None
        if page:
            found = found[int(page[1]) - 1 : int(page[2])]
        found, words = self._done(command.verb, found)
        numbers = [str(told(number, entry)) for number, entry in found]
        if page:
            everything = f" PARTIAL ({page[1]}:{page[2]} {','.join(numbers) or 'NIL'})"
        else:
            everything = f" ALL {','.join(numbers)}" if numbers and self._provider.esearch else ""
        if "RETURN" in command.text:
            self._say(f'* ESEARCH (TAG "{command.tag}") UID{everything}')
        else:
            self._say(f"* SEARCH {' '.join(numbers)}".rstrip() + self._provider.search_end)
        return words

    def _numbered(self, text: str, *, uid: bool) -> list[tuple[int, Entry]]:
        entries = self._shown(self._open)
        highest = (entries[-1].uid if uid else len(entries)) if entries else 0
        spans = []
        for item in text.split(","):
            first, _, last = item.replace("*", str(highest)).partition(":")
            spans.append(sorted((int(first), int(last or first))))
        numbered = enumerate(entries, 1)
        return [(n, e) for n, e in numbered if any(a <= (e.uid if uid else n) <= b for a, b in spans)]

    def _do_fetch(self, command: Command) -> str:
        self._numbers()
        return self._fetch(command, uid=False)

    def _do_uid_fetch(self, command: Command) -> str:
        return self._fetch(command, uid=True)

    def _fetch(self, command: Command, *, uid: bool) -> str:
        since = re.search(r"CHANGEDSINCE (\d+)", command.text)
        items = command.text.partition(command.words[0].decode())[2].upper()
        wanted = self._numbered(command.words[0].decode(), uid=uid)
        since_then = [(n, e) for n, e in wanted if since is None or e.modseq > int(since[1])]
        found, words = self._done(command.verb, since_then)
        for number, entry in found:
            told = [f"UID {entry.uid}"] if (uid and not self._uid_only) or "UID" in items else []
            told += [f"FLAGS ({' '.join(sorted(entry.flags))})"] if "FLAGS" in items else []
            told += [f'INTERNALDATE "{entry.date}"'] if "INTERNALDATE" in items else []
            told += [f"RFC822.SIZE {self._provider.told_size(entry.message.octets)}"] if "RFC822.SIZE" in items else []
            told += [f"MODSEQ ({entry.modseq})"] if "MODSEQ" in items or since else []
            told += [f"X-GM-MSGID {entry.message.id}"] if "X-GM-MSGID" in items else []
            told += [f"EMAILID (M{entry.message.id})"] if "EMAILID" in items else []
            self._fetched(f"{self._about(number, entry)} ({' '.join(told)}", items, entry)
        return words

    def _fetched(self, line: str, items: str, entry: Entry) -> None:
        fields = re.search(r"BODY(?:\.PEEK)?\[(HEADER\.FIELDS \(([^)]*)\))\]", items)
        if fields:
            self._say(f"{line} BODY[{fields[1]}]", _header(entry.message.octets, fields[2].split()), ")")
        elif "BODY.PEEK[]" in items or "BODY[]" in items:
            if words := self._provider.reluctant(entry.message.octets):
                raise Refusal(words)
            self._say(f"{line} BODY[]", entry.message.octets, ")")
        else:
            self._say(f"{line})")

    def _do_uid_store(self, command: Command) -> str:
        flags = {word.decode() for word in command.words[3:-1]}
        found, words = self._done(command.verb, self._numbered(command.words[0].decode(), uid=True))
        for _, entry in found:
            kept = {flag for flag in flags if self._mine.keeps(flag)}
            way = command.words[1][:1]
            entry.flags = entry.flags | kept if way == b"+" else entry.flags - kept if way == b"-" else kept
            self._mine.modseq += 1
            entry.modseq = self._mine.modseq
        return words

    def _do_uid_copy(self, command: Command) -> None:
        box = self._mine.open(command.words[1].decode())
        for _, entry in self._numbered(command.words[0].decode(), uid=True):
            self._mine.put(box, entry.message, entry.flags, entry.date)

    def _do_uid_move(self, command: Command) -> None:
        self._do_uid_copy(command)
        self._mine.expunge(self._open, {e.uid for _, e in self._numbered(command.words[0].decode(), uid=True)})

    def _do_uid_expunge(self, command: Command) -> None:
        found = self._numbered(command.words[0].decode(), uid=True)
        self._mine.expunge(self._open, {entry.uid for _, entry in found if "\\Deleted" in entry.flags})

    def _do_append(self, command: Command) -> str:
        box = self._mine.open(command.words[0].decode())
        words = command.words[1:]
        flags: set[str] = set()
        if words[0] == b"(":
            end = words.index(b")")
            flags, words = {flag.decode() for flag in words[1:end]}, words[end + 1 :]
        date, octets = (words[0].decode(), words[1]) if len(words) > 1 else (TODAY, words[0])
        uid = self._mine.store(box, octets, flags, date)
        return f"OK [APPENDUID {box.uidvalidity} {uid}] APPEND completed."


def _unquoted(word: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", word[1:-1]) if word[:1] == b'"' else word


def _quoted(name: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", name)
    return f'"{escaped}"'


def _header(octets: bytes, names: list[str]) -> bytes:
    head = re.split(rb"(?<=\n)\r?\n", octets, maxsplit=1)[0]
    fields = re.findall(rb"(?m)^[^\r\n:]+:.*\r?\n(?:[ \t].*\r?\n)*", head)
    return b"".join(f for f in fields if f.partition(b":")[0].decode("latin-1").upper() in names) + b"\r\n"
