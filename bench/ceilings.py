"""What wire and machine give at best, with next to nothing done to the mail: `python -m bench.ceilings WHAT SPEC.json`.

`drain` sends one `FETCH 1:* BODY.PEEK[]` for each mailbox and throws the octets away. `append` sends ready-made
MULTIAPPENDs. `prepare` hands mail from files to the vault's writer, the machine's cores at a time, and keeps the packs
in a directory. `bench/ready.py` writes what they read.
"""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from vault.clock import SystemClock
from vault.keyring import init_vault
from vault.slots import Passphrase
from vault.stores.local import LocalStore
from vault.vault import open_vault
from vault.waiting import Stretch
from vault.writer import VaultWriter

Json = dict[str, Any]
PIECE = 1 << 20


class Refused(RuntimeError):
    """The server said something else than OK, or sent less than it holds."""


@contextmanager
def _logged_in(spec: Json, user: str) -> Iterator[socket.socket]:
    with socket.create_connection((spec["host"], spec["port"])) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context(cafile=spec["ca"]) if spec["ca"] else None
        wire = context.wrap_socket(plain, server_hostname=spec["host"]) if context else plain
        wire.recv(PIECE)
        _ask(wire, f"LOGIN {user} {spec['passwords'][user]}")
        yield wire


def _ask(wire: socket.socket, command: str) -> None:
    wire.sendall(f"a {command}\r\n".encode())
    _await(wire, command.split(" ", maxsplit=1)[0])


def _await(wire: socket.socket, what: str) -> None:
    heard = b"\r\n"
    while b"\r\na " not in heard or not heard.endswith(b"\r\n"):
        data = wire.recv(PIECE)
        if not data:
            raise Refused(f"{what}: the server hung up")
        heard += data
    if b"\r\na OK" not in heard:
        raise Refused(f"{what}: {heard[-200:]!r}")


def drain(spec: Json, job: Json) -> None:
    """Read all of some mailboxes' mails over one connection, everything asked for at once."""
    end, octets, tail = secrets.token_hex(8), 0, b""
    asked = [f'b EXAMINE "{box["name"]}"\r\nc FETCH 1:* BODY.PEEK[]\r\n' for box in job["boxes"]]
    buffer = memoryview(bytearray(PIECE))
    with _logged_in(spec, job["user"]) as wire:
        wire.sendall(("".join(asked) + f"{end} NOOP\r\n").encode())
        while f"\r\n{end} OK".encode() not in tail:
            count = wire.recv_into(buffer)
            if not count:
                raise Refused("the server hung up")
            octets += count
            tail = (tail + bytes(buffer[max(0, count - 200) : count]))[-400:]
    if octets < sum(box["octets"] for box in job["boxes"]):
        raise Refused(f"only {octets} octets came")


def append(spec: Json, job: Json) -> None:
    """Send some mailboxes' ready-made commands over one connection, one command under way."""
    with _logged_in(spec, job["user"]) as wire:
        for box in job["boxes"]:
            if box["name"] != "INBOX":
                _ask(wire, f'CREATE "{box["name"]}"')
            with Path(box["file"]).open("rb") as file:
                for start, stop in box["commands"]:
                    wire.sendfile(file, start, stop - start)
                    _await(wire, "APPEND")


def prepare(spec: Json) -> None:
    """Split, hash, compress, seal and pack all mail."""
    store, passphrase = LocalStore(Path(spec["vault"])), secrets.token_hex(16)
    init_vault(store, passphrase)
    vault = open_vault(store, Passphrase(passphrase))
    writer = VaultWriter(vault, store, clock=SystemClock())
    for box in (box for job in spec["jobs"] for box in job["boxes"]):
        stretch = Stretch()
        with Path(box["file"]).open("rb") as file:
            for start, size in box["mails"]:
                file.seek(start)
                writer.add_message(file.read(size), stretch)
    writer.flush()
    writer.close()


def _all(works: list[Callable[[], None]], width: int) -> None:
    with ThreadPoolExecutor(width) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


def main() -> None:
    """Do one of them."""
    what, file = sys.argv[1:]
    spec = json.loads(Path(file).read_text())
    if what == "prepare":
        prepare(spec)
        return
    one = {"drain": drain, "append": append}[what]
    _all([partial(one, spec, job) for job in spec["jobs"]], spec["width"])


if __name__ == "__main__":
    main()
