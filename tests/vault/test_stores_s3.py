"""S3 as it is on bad days: a scripted server that refuses, stalls, breaks off and lies; and the real one, stopped."""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.secret import new_secret
from tests.servers import RcloneS3
from vault.errors import ObjectCutShort, ObjectMissing, StoreError, StoreUnavailable
from vault.ids import ObjectName
from vault.stores import open_store
from vault.stores.base import FullStore
from vault.stores.s3 import SENT_AT_ONCE

A = ObjectName("packs/ab/abcd")
PATIENCE = 1.5


@dataclass
class Answer:
    """What the server says; `cut` octets of the body are announced but never sent."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0


@dataclass
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


Script = Callable[[Asked], Answer]


def refusal(status: int, code: str) -> Answer:
    """Return an error as S3 words it."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>No</Message></Error>'.encode()
    return Answer(status, body, {"Content-Type": "application/xml"})


def listing(*names: str, more: str = "") -> Answer:
    """Return a page of a listing; `more` is the token of the next one."""
    found = "".join(
        f"<Contents><Key>{name}</Key><Size>1</Size><LastModified>2026-01-02T03:04:05Z</LastModified></Contents>"
        for name in names
    )
    rest = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    page = f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>{found}{rest}"
    body = f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{page}</ListBucketResult>'
    return Answer(body=body.encode(), headers={"Content-Type": "application/xml"})


@dataclass
class Stub:
    """A server that answers as its script says, and remembers what it was asked."""

    script: Script = field(default=lambda _: Answer())
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def store(self, *, patience: float = PATIENCE, place: str = "bucket/prefix", more: str = "") -> FullStore:
        return open_store(f"s3://{place}?endpoint_url={self.endpoint}&region=eu-1&patience={patience}{more}")

    def says(self, *answers: Answer) -> None:
        """Give these answers one after the other, the last one for ever."""
        left = list(answers)
        self.script = lambda _: left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def serving(stub: Stub) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            asked = Asked(self.command, url.path, parse_qs(url.query), dict(self.headers), body)
            stub.asked.append(asked)
            answer = stub.script(asked)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[: len(answer.body) - answer.cut])
            self.close_connection = bool(answer.cut)

        do_GET = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815 names of the base class

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give made-up credentials, and no way to others."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", secrets.token_hex(10))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", new_secret())
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.fixture
def stub(keys: None) -> Iterator[Stub]:
    stub = Stub()
    with serving(stub):
        yield stub


def every_call(store: FullStore) -> list[Callable[[], object]]:
    return [
        lambda: store.put(A, b"x"),
        lambda: store.get(A),
        lambda: store.stat(A),
        lambda: list(store.list()),
        lambda: store.delete(A),
    ]


def test_only_of_what_is_large_the_store_is_asked_first_whether_it_wants_it(stub: Stub) -> None:
    store = stub.store()
    for size in (0, SENT_AT_ONCE, SENT_AT_ONCE + 1):
        store.put(A, bytes(size))
    assert [len(asked.body) for asked in stub.asked] == [0, SENT_AT_ONCE, SENT_AT_ONCE + 1]
    assert [asked.headers.get("Expect") for asked in stub.asked] == [None, None, "100-continue"]


# Overload.


@pytest.mark.parametrize("status, code", [(503, "SlowDown"), (500, "InternalError"), (502, ""), (429, "Throttling")])
def test_an_overloaded_store_is_asked_again(stub: Stub, status: int, code: str) -> None:
    stub.says(refusal(status, code), refusal(status, code), Answer(body=b"octets"))
    assert stub.store(patience=30).get(A) == b"octets"
    assert len(stub.asked) == 3


@pytest.mark.parametrize("n", range(5), ids=["put", "get", "stat", "list", "delete"])
def test_a_store_that_stays_overloaded_is_given_up_when_patience_ends(stub: Stub, n: int) -> None:
    stub.says(refusal(503, "SlowDown"))
    with pytest.raises(StoreUnavailable) as caught:
        every_call(stub.store())[n]()
    assert caught.value.retryable
    assert "503" in caught.value.message
    assert len(stub.asked) > 1


def test_an_outage_is_told_in_one_line_that_names_no_secret(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    stub.says(*[refusal(503, "SlowDown")] * 3, Answer(body=b"octets"))
    with caplog.at_level(logging.WARNING):
        stub.store(patience=30).get(A)
    (record,) = caplog.records
    assert A in record.getMessage()
    assert "503" in record.getMessage()


def test_a_put_refused_for_its_checksum_is_sent_again(stub: Stub) -> None:
    stub.says(refusal(400, "BadDigest"), Answer())
    stub.store(patience=30).put(A, b"octets")
    assert [asked.body for asked in stub.asked] == [b"octets", b"octets"]


# Answers that break off.


def test_a_body_that_breaks_off_is_asked_for_again(stub: Stub) -> None:
    stub.says(Answer(body=b"0123456789", cut=4), Answer(body=b"0123456789"))
    assert stub.store(patience=30).get(A) == b"0123456789"


def test_a_body_that_always_breaks_off_is_never_taken_for_the_object(stub: Stub) -> None:
    stub.says(Answer(body=b"0123456789", cut=4))
    with pytest.raises(StoreUnavailable):
        stub.store().get(A)


def test_a_store_that_knows_no_ranges_gives_the_right_octets_nevertheless(stub: Stub) -> None:
    stub.says(Answer(body=b"0123456789"))
    store = stub.store()
    assert store.get(A, start=3, length=4) == b"3456"
    assert store.get(A, start=7) == b"789"
    for start, length in ((8, 5), (11, None)):
        with pytest.raises(ObjectCutShort):
            store.get(A, start=start, length=length)


# Listings.


def test_a_listing_goes_on_from_page_to_page(stub: Stub) -> None:
    stub.says(listing("prefix/a", "prefix/b", more="t1"), listing("prefix/c", more="t2"), listing("prefix/d"))
    assert [info.name for info in stub.store().list()] == ["a", "b", "c", "d"]
    assert [asked.query.get("continuation-token") for asked in stub.asked] == [None, ["t1"], ["t2"]]


@pytest.mark.parametrize(
    "second", [refusal(503, "SlowDown"), refusal(403, "AccessDenied"), listing("prefix/c", more="t1")]
)
def test_a_listing_whose_second_page_fails_never_ends_early(stub: Stub, second: Answer) -> None:
    stub.says(listing("prefix/a", more="t1"), second)
    with pytest.raises(StoreError):
        list(stub.store().list())


def test_a_listing_said_to_go_on_without_saying_where_is_no_listing(stub: Stub) -> None:
    page = listing("prefix/a", more="t1")
    stub.says(Answer(body=page.body.replace(b"<NextContinuationToken>t1</NextContinuationToken>", b"")))
    with pytest.raises(StoreError, match="broke off"):
        list(stub.store().list())


def test_what_others_leave_below_the_prefix_is_passed_over(stub: Stub) -> None:
    stub.says(listing("prefix/", "prefix/packs/", "prefix/packs/a", "prefix/.DS_Store", "prefix/a b", "prefix/../c"))
    assert [info.name for info in stub.store().list()] == ["packs/a"]


# Refusals, told so that an administrator knows what to do.


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"])
def test_a_refused_key_is_told_at_once(stub: Stub, code: str) -> None:
    stub.says(refusal(403, code))
    for n, call in enumerate(every_call(stub.store(patience=600)), 1):
        with pytest.raises(StoreError) as caught:
            call()
        assert "refuses" in caught.value.message
        assert "access key" in caught.value.hint
        assert not caught.value.retryable
        assert len(stub.asked) == n


def test_a_missing_bucket_is_named(stub: Stub) -> None:
    stub.says(refusal(404, "NoSuchBucket"))
    with pytest.raises(StoreError, match='no bucket "bucket"') as caught:
        stub.store(patience=600).put(A, b"x")
    assert not isinstance(caught.value, ObjectMissing)


def test_a_missing_bucket_of_a_real_store_is_named(s3: RcloneS3) -> None:
    bucket = f"b{secrets.token_hex(6)}"
    store = open_store(f"s3://{bucket}/x?endpoint_url={s3.endpoint}&patience=600")
    calls: list[Callable[[], object]] = [lambda: store.put(A, b"x"), lambda: store.get(A), lambda: list(store.list())]
    for call in calls:
        with pytest.raises(StoreError, match=f'no bucket "{bucket}"'):
            call()


def test_a_refused_key_of_a_real_store_is_told(s3: RcloneS3, monkeypatch: pytest.MonkeyPatch) -> None:
    url = s3.vault_url(f"b{secrets.token_hex(6)}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", new_secret())
    with pytest.raises(StoreError, match="refuses"):
        open_store(url).put(A, b"x")


def test_missing_credentials_are_told(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for call in every_call(stub.store(patience=600)):
        with pytest.raises(StoreError, match="no credentials") as caught:
            call()
        assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    assert not stub.asked


def test_an_endpoint_that_was_never_there_is_told_at_once(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        # With ten minutes of patience, only a failure at once lets this test end in time.
        store = open_store(f"s3://bucket?endpoint_url=http://127.0.0.1:{closed.getsockname()[1]}&region=eu-1")
        for call in every_call(store):
            with pytest.raises(StoreUnavailable, match="can't be reached") as caught:
                call()
            assert "endpoint_url" in caught.value.hint
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_host_that_does_not_exist_is_told_at_once(keys: None) -> None:
    store = open_store("s3://bucket?endpoint_url=http://nowhere.invalid&region=eu-1")
    with pytest.raises(StoreUnavailable, match="can't be reached"):
        store.get(A)


def test_an_endpoint_that_is_no_url_is_told(keys: None) -> None:
    with pytest.raises(StoreError):
        open_store("s3://bucket?endpoint_url=nonsense&region=eu-1").get(A)


def test_something_else_than_s3_behind_the_endpoint_is_told(stub: Stub) -> None:
    stub.says(Answer(body=b"<html>Welcome</html>", headers={"Content-Type": "text/html"}))
    with pytest.raises(StoreError):
        list(stub.store().list())


def test_a_store_that_goes_away_and_comes_back_is_waited_for(s3: RcloneS3) -> None:
    server = RcloneS3(s3.directory, s3.port, s3.access_key, s3.secret_key)
    store = open_store(f"{server.vault_url('b' + secrets.token_hex(6))}&patience=60")
    store.put(A, b"before")
    s3.kill()
    back = threading.Timer(1.0, s3.restart)
    back.start()
    try:
        assert store.get(A) == b"before"
    finally:
        back.join()


# What is sent.


def test_an_object_is_one_put_with_its_md5_and_no_framing(stub: Stub) -> None:
    stub.store().put(A, b"octets")
    (asked,) = stub.asked
    assert (asked.method, asked.path, asked.body) == ("PUT", "/bucket/prefix/packs/ab/abcd", b"octets")
    assert base64.b64decode(asked.headers["Content-MD5"]) == hashlib.md5(b"octets").digest()  # noqa: S324 what S3 asks for
    assert "aws-chunked" not in str(asked.headers)
    assert not any("checksum" in name.lower() for name in asked.headers)


def test_only_packs_go_into_the_storage_class_asked_for(stub: Stub) -> None:
    store = stub.store(more="&storage_class=STANDARD_IA")
    store.put(A, b"x")
    store.put(ObjectName("index/1"), b"x")
    assert [asked.headers.get("x-amz-storage-class") for asked in stub.asked] == ["STANDARD_IA", None]
