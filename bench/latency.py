"""The same office, but the store or the mail server is some way off, and all that goes by is counted."""

from __future__ import annotations

from collections.abc import Iterator

from bench.places import MailServer
from bench.ready import Ceilings
from bench.rows import DRAIN, Row, figures
from bench.scenarios import FARTHEST, SEED, Bench, far_message, ours, users_of
from bench.servers import far_bucket, far_server

STORE_WAYS = (0, 20, FARTHEST)
MAIL_WAYS = (20, FARTHEST)


def latency_rounds(bench: Bench) -> Iterator[Row]:
    """First backup to a directory, to S3 farther and farther off, and of a mail server farther and farther off."""
    users = users_of(bench.size.users)
    with bench.server("far", users, bench.office(SEED, users, bench.size.mails)) as server:
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
        yield from far_message(bench, server, restante, "path")


def _far_mail(bench: Bench, far: MailServer, way: int) -> Iterator[Row]:
    ceilings = Ceilings(bench.root / "ceilings")
    others = bench.others(far, bench.folder, f"imap-{way}", ("restic auto", "plain loop"))
    restante = bench.restante(far, bench.folder, f"imap-{way}")
    by = {**others.backup(far), **ours(restante.backup(far)), DRAIN: figures(ceilings.drain(far))}
    yield Row("path", f"first backup, IMAP at {way} ms", by, len(far.users))
    others.close()
    ceilings.close()
