"""Maildir++ as target: mailboxes as `.A.B` folders that Dovecot and Courier serve as they lie.

A file's name carries the message's blob id, so that a second restore finds what the first one wrote, and its size as
a file and on the wire, where a LF that stands alone becomes CRLF.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Literal

from imap.names import decode_name, encode_name
from restore.errors import MailboxRefused
from restore.model import Alteration, Levels, Placed, PlannedMailbox, ReadBack, Replay, Survey, TargetMailbox
from restore.plan import INBOX, target_name
from restore.targets.files import keeps_no_annotations, seconds, told, with_unix_ends, write_new
from vault.internaldate import format_internaldate
from vault.model import Flags

_LETTERS = {"\\draft": "D", "\\flagged": "F", "\\answered": "R", "\\seen": "S", "\\deleted": "T"}
_NAMES = {"D": "\\Draft", "F": "\\Flagged", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}
_MAX_KEYWORDS = 26
_FILE = re.compile(r"\d+\.R([0-9a-f]{32})\.(\d+)(\.asis)?\.restante,S=(\d+)(?:,W=(\d+))?(?::2,([A-Za-z]*))?")
"""`.asis` where the line ends are the message's own. W= may be missing: Dovecot takes a size away that it doubts."""


class MaildirTarget:
    """A Maildir on a local file system."""

    known_by: Literal["blob"] = "blob"
    connections = 2

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._keywords: dict[Levels, dict[str, int]] = {}
        self._copies: dict[Levels, Counter[bytes]] = {}
        self._names: dict[str, Levels] = {}

    @property
    def url(self) -> str:
        """The target's address."""
        return f"maildir:{self._root}"

    def survey(self) -> Survey:
        """List the folders there are."""
        if not self._root.is_dir():
            return Survey()
        with told(self._root):
            names = [p.name[1:] for p in self._root.iterdir() if p.name.startswith(".") and (p / "cur").is_dir()]
        return Survey(tuple(TargetMailbox(_levels(name)) for name in names))

    def prepare(self, planned: PlannedMailbox) -> list[Alteration]:
        """Make the folder and note the subscription."""
        name, escaped = _name(planned.levels)
        if self._names.setdefault(name, planned.levels) != planned.levels:
            raise MailboxRefused(f"another mailbox is {name} there already", hint="map one of the two with --map")
        folder = self._folder(planned.levels)
        with told(folder), self._lock:
            for part in ("cur", "new", "tmp"):
                (folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder != self._root:
                (folder / "maildirfolder").touch()
            self._keywords[planned.levels] = _read_keywords(folder)
            if planned.subscribe:
                self._subscribe("INBOX" if planned.levels == INBOX else name)
        return [Alteration(planned.name, None, f"its name becomes {decode_name(name.encode())}")] if escaped else []

    def annotate_server(self, metadata: Sequence[tuple[str, bytes]]) -> list[Alteration]:
        """Files keep none."""
        return keeps_no_annotations(metadata)

    def present(self, planned: PlannedMailbox) -> Counter[bytes]:
        """Count the messages that an earlier restore wrote, by blob."""
        found: Counter[bytes] = Counter()
        copies: Counter[bytes] = Counter()
        for path in self._files(planned.levels):
            if match := _FILE.fullmatch(path.name):
                if path.stat().st_size != int(match[4]):
                    path.unlink()  # a power cut tore it
                    continue
                key = match[1].encode()
                found[key] += 1
                copies[key] = max(copies[key], int(match[2]) + 1)
        self._copies[planned.levels] = copies
        return found

    def append(self, planned: PlannedMailbox, batch: Sequence[Replay]) -> list[Placed]:
        """Write a batch into `tmp`, then move it into `cur`; `close` makes all of it durable."""
        folder = self._folder(planned.levels)
        with told(folder):
            written = [(replay, *self._write(folder, planned.levels, replay)) for replay in batch]
            for _, path, name, _ in written:
                path.rename(folder / "cur" / name)
        return [Placed(altered=dropped) for _, _, _, dropped in written]

    def _write(self, folder: Path, levels: Levels, replay: Replay) -> tuple[Path, str, tuple[str, ...]]:
        key = replay.row.blob.hex()
        with self._lock:
            copy = self._copies[levels][key.encode()]
            self._copies[levels][key.encode()] += 1
        letters, dropped = self._flag_letters(folder, levels, replay.flags)
        content = with_unix_ends(replay.octets)
        asis, on_the_wire = "", len(replay.octets)
        if content == replay.octets:
            asis, on_the_wire = ".asis", len(content) + content.count(b"\n") - content.count(b"\r\n")
        moment = seconds(replay.row)
        sizes = f"S={len(content)},W={on_the_wire}"
        unique = f"{max(moment, 0)}.R{key}.{copy}{asis}.restante,{sizes}"
        path = folder / "tmp" / unique
        write_new(path, content)
        os.utime(path, (moment, moment))
        return path, f"{unique}:2,{letters}", dropped

    def _flag_letters(self, folder: Path, levels: Levels, flags: Flags) -> tuple[str, tuple[str, ...]]:
        letters, dropped = [], []
        for flag in flags:
            letter = _LETTERS.get(flag.lower()) or self._keyword_letter(folder, levels, flag)
            if letter:
                letters.append(letter)
            else:
                dropped.append(f"a Maildir keeps no {flag}: it holds {_MAX_KEYWORDS} keywords a mailbox")
        return "".join(sorted(letters)), tuple(dropped)

    def _keyword_letter(self, folder: Path, levels: Levels, keyword: str) -> str | None:
        """Return the letter `a` to `z` that `dovecot-keywords` gives a keyword, adding it where there is room."""
        with self._lock:
            known = self._keywords[levels]
            if keyword not in known:
                free = set(range(_MAX_KEYWORDS)) - set(known.values())
                if not free:
                    return None
                known[keyword] = min(free)
                lines = "".join(f"{n} {name}\n" for name, n in sorted(known.items(), key=itemgetter(1)))
                temporary = folder / ".dovecot-keywords.tmp"
                write_new(temporary, lines.encode("latin-1"))
                temporary.rename(folder / "dovecot-keywords")
            return chr(ord("a") + known[keyword])

    def _subscribe(self, name: str) -> None:
        """Add to the lists that Dovecot and Courier read; separator `.`, as the folders have."""
        below_inbox = name if name == "INBOX" else f"INBOX.{name}"
        for file, entry in (("subscriptions", name), ("courierimapsubscribed", below_inbox)):
            path = self._root / file
            lines = path.read_text().splitlines() if path.exists() else []
            if entry not in lines:
                write_new(path, "".join(f"{line}\n" for line in [*lines, entry]).encode())

    def read_back(self, planned: PlannedMailbox) -> Iterator[ReadBack]:
        """Yield what the files hold."""
        keywords = {chr(ord("a") + n): name for name, n in self._keywords[planned.levels].items()}
        for path in self._files(planned.levels):
            if match := _FILE.fullmatch(path.name):
                flags = [_NAMES.get(c) or keywords[c] for c in match[6] or ""]
                date = format_internaldate(int(path.stat().st_mtime), 0)
                octets = path.read_bytes()
                octets = octets if match[3] or match[4] == match[5] else octets.replace(b"\n", b"\r\n")
                yield ReadBack(octets, tuple(sorted(flags)), date)

    def _files(self, levels: Levels) -> Iterator[Path]:
        folder = self._folder(levels)
        for part in ("cur", "new"):
            with told(folder):
                yield from sorted((folder / part).iterdir())

    def _folder(self, levels: Levels) -> Path:
        return self._root if levels == INBOX else self._root / f".{_name(levels)[0]}"

    def close(self) -> None:
        """Make all that was written durable; a sync for each of a million files would take days."""
        os.sync()


def _name(levels: Levels) -> tuple[str, bool]:
    """Return a folder's name, levels in modified UTF-7 joined by dots; and whether a dot or slash had to be escaped."""
    name, escaped = target_name(levels, "", ".")
    return encode_name(name).decode("ascii").replace("/", "%2F"), escaped or "/" in name


def _levels(name: str) -> Levels:
    return tuple(decode_name(part.encode()).replace("%2F", "/").replace("%2E", ".") for part in name.split("."))


def _read_keywords(folder: Path) -> dict[str, int]:
    path = folder / "dovecot-keywords"
    lines = path.read_text("latin-1").splitlines() if path.exists() else []
    return {name: int(n) for n, _, name in (line.partition(" ") for line in lines) if n.isdigit()}
