"""A store in an S3 bucket, or in anything that speaks S3 well enough: single bounded PUTs, ranges, listings."""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from io import SEEK_END, BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import stamina
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from vault.errors import ObjectCutShort, ObjectMissing, StoreError, StoreUnavailable
from vault.ids import ObjectName
from vault.stores.base import LockMode, ObjectInfo, Protection
from vault.stores.credentials import Credentials
from vault.stores.names import check_name, is_name
from vault.stores.versions import Versions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

ResultT = TypeVar("ResultT")
_log = logging.getLogger(__name__)

PATIENCE_SECONDS = 600.0
SENT_AT_ONCE = 256 << 10
"""Octets."""
_OVERLOADED = {500, 502, 503, 504, 429}
_OVERLOADED_CODES = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "BadDigest"}
_MISSING = {"NoSuchKey", "NoSuchVersion", "404", "NotFound"}
_CUT_SHORT = {"InvalidRange", "416"}


# Its own log repeats each retry with the arguments of the call; the one line that matters is told here.
stamina.instrumentation.set_on_retry_hooks(())


@dataclass(frozen=True, slots=True)
class S3Place:
    """Where a vault lies in S3, as its URL says it. `patience` bounds the seconds that one call may be retried.

    With `lock`, first versions are read and deleted by their ids, whatever came over them (vault/stores/versions.py).
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    storage_class: str | None = None
    lock: LockMode | None = None
    patience: float = PATIENCE_SECONDS

    @property
    def url(self) -> str:
        """The address without query."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


class _Unreachable(StoreUnavailable):
    """No connection came about at all."""


class S3Store:
    """Objects below a prefix of a bucket. Safe to use from several threads; connects when first used."""

    def __init__(self, place: S3Place, credentials: Credentials | None = None) -> None:
        self._place = place
        self._credentials = credentials or Credentials()
        self._lock = threading.Lock()
        self._answered = False
        self._waiting = False
        self._versions = Versions(place.bucket, place.url, self._ask) if place.lock else None

    @property
    def url(self) -> str:
        """The store's address, without secrets."""
        return self._place.url

    def put(self, name: ObjectName, data: bytes, *, retain_until: datetime | None = None) -> None:
        """Write one object with one PUT, its MD5 along, so that the store refuses what arrives damaged."""
        options: dict[str, Any] = {}
        if self._place.storage_class and name.startswith("packs/"):
            options["StorageClass"] = self._place.storage_class
        if retain_until and self._place.lock:
            options |= {"ObjectLockMode": self._place.lock, "ObjectLockRetainUntilDate": retain_until}
        digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        key = self._key(name)
        self._try(
            f"write {name} to",
            lambda: self._client.put_object(
                # As a file it goes out piece by piece; octets would be copied behind the request's header.
                Bucket=self._place.bucket,
                Key=key,
                Body=BytesIO(data),
                ContentMD5=digest,
                **options,
            ),
        )

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        """Return octets of one object; an answer that comes short is asked for again."""
        if length == 0:
            self.stat(name)
            return b""
        key = self._key(name)
        end = None if length is None else start + length
        which = self._which(key)
        data = self._try(f"read {name} from", lambda: self._read(key, start, end, which))
        if end is not None and len(data) != length:
            raise ObjectCutShort(f"{name} in {self.url} ends before octet {end}", hint=_CHECK)
        return data

    def _read(self, key: str, start: int, end: int | None, which: dict[str, Any]) -> bytes:
        """Fetch once, with a range only where one is wanted: some stores answer `bytes=0-` of nothing with 416."""
        bucket = self._place.bucket
        if start or end is not None:
            span = f"bytes={start}-{'' if end is None else end - 1}"
            answer = self._client.get_object(Bucket=bucket, Key=key, Range=span, **which)
        else:
            answer = self._client.get_object(Bucket=bucket, Key=key, **which)
        # Not `with answer["Body"]`: that hands out the raw stream, whose errors nobody translates.
        with closing(answer["Body"]) as body:
            data: bytes = body.read()
        if len(data) != answer["ContentLength"]:
            raise IncompleteReadError(actual_bytes=len(data), expected_bytes=answer["ContentLength"])
        # A store that knows no ranges sends the whole object. The status tells nothing: some send ranges with 200.
        if answer.get("ContentRange"):
            return data
        if start > len(data):
            raise ObjectCutShort(f"{self.url} holds only {len(data)} octets of {key}", hint=_CHECK)
        return data[start:end]

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose name starts with `prefix`; a page that fails raises."""
        root = self._root
        if self._versions is not None:
            for version in self._versions.list(root + prefix):
                name = version.key[len(root) :]
                if is_name(name):
                    yield ObjectInfo(ObjectName(name), version.size, version.modified)
            return
        token: dict[str, str] = {}
        while True:
            page = self._try("list", lambda token=token: self._client.list_objects_v2(  # type: ignore[misc]
                Bucket=self._place.bucket, Prefix=root + prefix, **token
            ))  # fmt: skip
            if not page.keys() & {"IsTruncated", "KeyCount", "Name"}:
                raise StoreError(f"{self.url} answers a listing with something else", hint="check endpoint_url")
            for found in page.get("Contents", []):
                name = found["Key"][len(root) :]
                if is_name(name):
                    yield ObjectInfo(ObjectName(name), found["Size"], found["LastModified"])
            if not page.get("IsTruncated"):
                return
            if page.get("NextContinuationToken") in (None, *token.values()):
                raise StoreError(f"{self.url} broke off a listing", hint="the store does not list as S3 does")
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def stat(self, name: ObjectName) -> ObjectInfo:
        """Say what the store knows of one object."""
        head = self._head(name)
        return ObjectInfo(name, head["ContentLength"], head["LastModified"])

    def _head(self, name: ObjectName) -> HeadObjectOutputTypeDef:
        key = self._key(name)
        which = self._which(key)
        return self._try(
            f"look at {name} in", lambda: self._client.head_object(Bucket=self._place.bucket, Key=key, **which)
        )

    def locked_until(self, name: ObjectName) -> datetime | None:
        """Return the end of an object's lock, or None where the store tells of none."""
        return self._head(name).get("ObjectLockRetainUntilDate")

    def extend(self, name: ObjectName, retain_until: datetime) -> None:
        """Keep the first version of an object from deletion for longer."""
        assert self._place.lock is not None, "only a store with a lock is asked to extend it"
        key = self._key(name)
        which, retention = self._which(key), {"Mode": self._place.lock, "RetainUntilDate": retain_until}
        self._try(
            f"extend the lock of {name} in",
            lambda: self._client.put_object_retention(
                Bucket=self._place.bucket, Key=key, Retention=retention, **which  # type: ignore[arg-type]
            ),
        )  # fmt: skip

    def protection(self) -> Protection:
        """Say what the bucket does against deletion, as far as it tells."""
        bucket = self._place.bucket
        try:
            versions = self._try("ask about", lambda: self._client.get_bucket_versioning(Bucket=bucket))
            versioned: bool | None = versions.get("Status") == "Enabled"
        except StoreError:
            versioned = None
        try:
            told = self._try("ask about", lambda: self._client.get_object_lock_configuration(Bucket=bucket))
            lockable: bool | None = told.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
        except StoreError as error:
            lockable = False if "ObjectLockConfigurationNotFound" in error.message else None
        return Protection(versioned, lockable)

    def delete(self, name: ObjectName) -> None:
        """Remove one object; absent is fine."""
        key = self._key(name)
        if self._versions is not None:
            self._versions.delete(key)
            return
        self._try(f"delete {name} from", lambda: self._client.delete_object(Bucket=self._place.bucket, Key=key))

    @property
    def _root(self) -> str:
        return f"{self._place.prefix}/" if self._place.prefix else ""

    def _key(self, name: ObjectName) -> str:
        return self._root + check_name(name)

    def _which(self, key: str) -> dict[str, Any]:
        """Return what names the version to read: the first where there may be several, else whatever there is."""
        return {"VersionId": self._versions.first(key)} if self._versions is not None else {}

    def _ask(self, deed: str, call: Callable[[S3Client], ResultT]) -> ResultT:
        return self._try(deed, lambda: call(self._client))

    @cached_property
    def _client(self) -> S3Client:
        place = self._place
        config = Config(
            # Newer defaults send checksums and framing that stores other than Amazon's refuse or, worse, keep.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            signature_version="s3v4",
            s3={"addressing_style": "path" if place.endpoint_url else "auto"},
            retries={"total_max_attempts": 1},
            max_pool_connections=16,
            connect_timeout=10,
            read_timeout=60,
        )
        own = self._credentials
        session = boto3.session.Session(
            own.access_key, own.secret_key, region_name=place.region, profile_name=own.profile
        )
        client = session.client("s3", endpoint_url=place.endpoint_url, config=config)
        client.meta.events.register_last("before-call.s3", _send_small_at_once)
        return client

    def _try(self, deed: str, call: Callable[[], ResultT]) -> ResultT:
        """Call, and call again while the store is overloaded or out of reach, for as long as patience lasts."""
        for attempt in stamina.retry_context(
            on=self._worth_waiting, attempts=None, timeout=self._place.patience, wait_initial=0.5, wait_max=30
        ):
            with attempt:
                result = self._told(deed, call)
                self._answered, self._waiting = True, False
                return result
        raise AssertionError("unreachable")

    def _worth_waiting(self, error: Exception) -> bool:
        """Say whether to call again: not where the store was never there, for then its address is wrong."""
        if not isinstance(error, StoreUnavailable) or (isinstance(error, _Unreachable) and not self._answered):
            return False
        if not self._waiting:
            self._waiting = True
            _log.warning("%s; trying again for up to %.0f s", error, self._place.patience)
        return True

    def _told(self, deed: str, call: Callable[[], ResultT]) -> ResultT:
        what = f"can't {deed} {self.url}"
        try:
            with self._lock:
                _ = self._client
            return call()
        except ClientError as error:
            self._answered = True
            raise self._refusal(what, error) from None
        except (NoCredentialsError, PartialCredentialsError):
            hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or role"
            raise StoreError(f"{what}: no credentials for S3 were found", hint=hint) from None
        except ProfileNotFound:
            what = f'{what}: AWS\'s configuration has no profile "{self._credentials.profile}"'
            raise StoreError(what, hint="write it in ~/.aws/config, or name another") from None
        except SSLError:
            hint = "set AWS_CA_BUNDLE where the store has a private authority"
            raise StoreError(f"{what}: its certificate is not trusted", hint=hint) from None
        except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError):
            hint = "check endpoint_url, region and the network"
            raise _Unreachable(f"{what}: it can't be reached", hint=hint) from None
        except (BotoConnectionError, HTTPClientError, IncompleteReadError):
            raise StoreUnavailable(f"{what}: the connection broke", hint=_LATER) from None
        except (BotoCoreError, ValueError) as error:
            raise StoreError(f"{what}: {type(error).__name__}", hint="check the vault's URL") from None

    def _refusal(self, what: str, error: ClientError) -> StoreError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        answer = f"the store answers {status} {code}"
        if code == "NoSuchBucket":
            return StoreError(f'{what}: there is no bucket "{self._place.bucket}"', hint="make it, or check the URL")
        for kind, matches, reason, hint in (
            (ObjectMissing, code in _MISSING, "it is not there", _CHECK),
            (ObjectCutShort, code in _CUT_SHORT, "it ends before the octets asked for", _CHECK),
            (StoreUnavailable, code in _OVERLOADED_CODES or status in _OVERLOADED, answer, _LATER),
            (StoreError, status in (401, 403), f"the store refuses ({code})", "check the access key and its rights"),
        ):
            if matches:
                return kind(f"{what}: {reason}", hint=hint)
        return StoreError(f"{what}: {answer}", hint="check the vault's URL and the store")


def _send_small_at_once(params: dict[str, Any], **_: object) -> None:
    """Ask the store only of what is large whether it wants it (Expect: 100-continue): it costs a round trip."""
    body = params.get("body")
    if isinstance(body, BytesIO):
        size = body.seek(0, SEEK_END)
        body.seek(0)
        if size <= SENT_AT_ONCE:
            params["headers"].pop("Expect", None)


_CHECK = "run `restante check`"
_LATER = "try again later; what was written before stays sound"
