"""What targets in the file system share: durable writes, and errors told in one line."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imap.names import encode_name
from restore.errors import MailboxRefused, TargetTrouble
from restore.model import Alteration, Levels
from vault.internaldate import epoch_of
from vault.model import MessageRow

_OURS = re.compile(r"\.(mbox|eml|jsonl)$", re.IGNORECASE)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn a failing file system into one line that says what and where; a name it can't hold into MailboxRefused."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            hint = "map it to a shorter name with --map"
            raise MailboxRefused("its name is too long for the file system", hint=hint) from None
        hint = "make room there and run the same command again: what is restored is not restored twice"
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            hint = "check that the directory can be written by you"
        reason = (error.strerror or "input/output error").lower()
        raise TargetTrouble(f"can't write {path}: {reason}", hint=hint) from None


def seconds(row: MessageRow) -> int:
    """Return a message's INTERNALDATE as seconds since 1970; 0 where the server's text was malformed."""
    return epoch_of(row.internaldate) or 0


def folder_name(levels: Levels) -> str:
    """Return a mailbox's place as a relative path that no name can lead out of."""
    return "/".join(_harmless(encode_name(level).decode("ascii")) for level in levels)


def _harmless(name: str) -> str:
    name = name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    # No mailbox may take the place of another one's files.
    name = _OURS.sub(r"%2E\1", name)
    return "%2E" + name[1:] if name.startswith(".") else name


def with_unix_ends(octets: bytes) -> bytes:
    """Return a message with LF line ends, as Maildirs and mbox files have it: servers make CR CR LF of CRLF.

    One with a LF that stands alone, or behind two CR, stays as it is: it could not be told from the others any more.
    """
    plain = octets.replace(b"\r", b"")
    if plain.replace(b"\n", b"\r\n") == octets:  # as nearly always; five times as fast as looking for pairs
        return plain
    plain = octets.replace(b"\r\n", b"\n")
    stood_alone = plain.count(b"\n") > len(octets) - len(plain)
    return octets if stood_alone or (b"\r" in plain and b"\r\n" in plain) else plain


def write_new(path: Path, data: bytes) -> None:
    """Write a file whole, not yet synced."""
    # A file object would ask the kernel four more things of each of a million files.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def keeps_no_annotations(metadata: Sequence[tuple[str, bytes]]) -> list[Alteration]:
    """Say that annotations are lost in a file system, where there are any."""
    return [Alteration("", None, "files keep no annotations of a server")] if metadata else []
