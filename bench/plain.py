"""The loop that anyone writes with imapclient: `python -m bench.plain SERVER.json DIRECTORY`.

Fetches each mailbox in batches of 200 and writes a file for each message that is not there yet; nothing else is kept.
"""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from imapclient import IMAPClient

BATCH = 200


def pull(client: IMAPClient, home: Path) -> None:
    """Write every message of every mailbox that has no file yet."""
    for flags, _, name in client.list_folders():
        if {b"\\NonExistent", b"\\Noselect"} & set(flags):
            continue
        client.select_folder(name, readonly=True)
        directory = home / quote(name, safe="")
        directory.mkdir(parents=True, exist_ok=True)
        there = {path.stem for path in directory.iterdir()}
        wanted = [uid for uid in client.search("ALL") if str(uid) not in there]
        for first in range(0, len(wanted), BATCH):
            for uid, data in client.fetch(wanted[first : first + BATCH], ["BODY.PEEK[]"]).items():
                (directory / f"{uid}.eml").write_bytes(data[b"BODY[]"])


def main() -> None:
    """Pull one account after the other."""
    server: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    context = ssl.create_default_context(cafile=server["ca"]) if server["ca"] else None
    for user, password in server["passwords"].items():
        with IMAPClient(server["host"], server["port"], ssl=context is not None, ssl_context=context) as client:
            client.login(user, password)
            pull(client, Path(sys.argv[2]) / quote(user, safe=""))


if __name__ == "__main__":
    main()
