"""The same office, but the store or the mail server is some way off, and all that goes by is counted."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.contestants import Restante
from bench.generate import office
from bench.places import Bucket, MailServer
from bench.ready import Ceilings
from bench.rows import DRAIN, OURS, Figures, Row, figures
from bench.scenarios import SEED, Bench, ours, users_of
from bench.servers import far_bucket, far_server

STORE_WAYS = (0, 20, 100)
MAIL_WAYS = (20, 100)
FARTHEST = 100


def latency_rounds(bench: Bench) -> Iterator[Row]:
    """First backup to a directory, to S3 farther and farther off, and of a mail server farther and farther off."""
    users = users_of(bench.size.users)
    with bench.server("far", users, office(SEED, users, bench.size.mails)) as server:
        restante = bench.restante(server, bench.folder, "near")
        yield Row("path", "first backup to a directory", ours(restante.backup(server)), len(users))
        for way in STORE_WAYS:
            with far_bucket(bench.bucket, way) as bucket:
                others = bench.others(server, bucket, f"s3-{way}", ("restic auto",))
                restante = bench.restante(server, bucket, f"s3-{way}")
                by = {**others.backup(server), **ours(restante.backup(server))}
                yield Row("path", f"first backup, S3 at {way} ms", by, len(users))
                others.close()
        for way in MAIL_WAYS:
            with far_server(server, way) as far:
                yield from _far_mail(bench, far, way)
        yield from _messages(bench, server, restante, users[0])


def _far_mail(bench: Bench, far: MailServer, way: int) -> Iterator[Row]:
    ceilings = Ceilings(bench.root / "ceilings")
    others = bench.others(far, bench.folder, f"imap-{way}", ("restic auto", "plain loop"))
    restante = bench.restante(far, bench.folder, f"imap-{way}")
    by = {**others.backup(far), **ours(restante.backup(far)), DRAIN: figures(ceilings.drain(far))}
    yield Row("path", f"first backup, IMAP at {way} ms", by, len(far.users))
    others.close()
    ceilings.close()


def _messages(bench: Bench, server: MailServer, restante: Restante, user: str) -> Iterator[Row]:
    with far_bucket(bench.bucket, FARTHEST) as bucket:
        for step, by in one_message(restante, server, bench.bucket, bucket, user, "INBOX").items():
            yield Row("path", f"{step}, S3 at {FARTHEST} ms", by)


def one_message(
    restante: Restante, server: MailServer, near: Bucket, far: Bucket, account: str, mailbox: str
) -> dict[str, dict[str, Figures]]:
    """Take the middle message of a mailbox out of a vault that is far off: with a warm cache, on an empty machine."""
    restante.store = near
    restante.configure(server)
    listed = json.loads(restante.run("ls", account, mailbox, "--json").said)
    message = listed[len(listed) // 2]["id"]
    restante.store = far
    restante.configure(server)
    found = {"one message, warm cache": {OURS: figures(restante.run("cat", account, message))}}
    restante.forget()
    found["one message, empty machine"] = {OURS: figures(restante.run("cat", account, message))}
    return found
