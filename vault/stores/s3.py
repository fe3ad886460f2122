"""A store in an S3 bucket, or in anything that speaks S3 well enough: single bounded PUTs, ranges, listings."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import boto3
import stamina
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from vault.errors import ObjectMissing, StoreError, StoreUnavailable
from vault.ids import ObjectName
from vault.stores.base import ObjectInfo
from vault.stores.names import check_name

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ResultT = TypeVar("ResultT")
LockMode = Literal["GOVERNANCE", "COMPLIANCE"]

PATIENCE_SECONDS = 600.0
_OVERLOADED = {500, 502, 503, 504, 429}
_OVERLOADED_CODES = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "BadDigest"}
_MISSING = {"NoSuchKey", "404", "NotFound"}


@dataclass(frozen=True, slots=True)
class S3Place:
    """Where a vault lies in S3, as its URL says it. `patience` bounds the seconds that one call may be retried."""

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


class S3Store:
    """Objects below a prefix of a bucket. Safe to use from several threads; connects when first used."""

    def __init__(self, place: S3Place) -> None:
        self._place = place
        self._lock = threading.Lock()

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
                Bucket=self._place.bucket, Key=key, Body=data, ContentMD5=digest, **options
            ),
        )

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        """Return octets of one object; an answer that comes short is asked for again."""
        key = self._key(name)
        if length == 0:
            return b""
        span: dict[str, Any] = (
            {"Range": f"bytes={start}-{'' if length is None else start + length - 1}"} if start or length else {}
        )

        def read() -> bytes:
            answer = self._client.get_object(Bucket=self._place.bucket, Key=key, **span)
            with answer["Body"] as body:
                data: bytes = body.read()
            if len(data) != answer["ContentLength"]:
                raise StoreUnavailable(f"{self.url} broke off while sending {name}", hint=_LATER)
            return data

        data = self._try(f"read {name} from", read)
        if length is not None and len(data) != length:
            raise StoreError(f"{name} in {self.url} ends before octet {start + length}", hint="run `restante check`")
        return data

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose name starts with `prefix`; a page that fails raises."""
        root = self._key(ObjectName(""))
        token: dict[str, str] = {}
        while True:
            page = self._try("list", lambda token=token: self._client.list_objects_v2(  # type: ignore[misc]
                Bucket=self._place.bucket, Prefix=root + prefix, **token
            ))  # fmt: skip
            for found in page.get("Contents", []):
                yield ObjectInfo(ObjectName(found["Key"][len(root) :]), found["Size"], found["LastModified"])
            if not page.get("IsTruncated"):
                return
            if page.get("NextContinuationToken") in (None, *token.values()):
                raise StoreError(f"{self.url} broke off a listing", hint="the store does not list as S3 does")
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def stat(self, name: ObjectName) -> ObjectInfo:
        """Say what the store knows of one object."""
        key = self._key(name)
        head = self._try(f"look at {name} in", lambda: self._client.head_object(Bucket=self._place.bucket, Key=key))
        return ObjectInfo(name, head["ContentLength"], head["LastModified"])

    def delete(self, name: ObjectName) -> None:
        """Remove one object; absent is fine."""
        key = self._key(name)
        self._try(f"delete {name} from", lambda: self._client.delete_object(Bucket=self._place.bucket, Key=key))

    def _key(self, name: ObjectName) -> str:
        if name:
            check_name(name)
        return f"{self._place.prefix}/{name}" if self._place.prefix else name

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
        session = boto3.session.Session(region_name=place.region)
        return session.client("s3", endpoint_url=place.endpoint_url, config=config)

    def _try(self, deed: str, call: Callable[[], ResultT]) -> ResultT:
        """Call, and call again while the store is overloaded or out of reach, for as long as patience lasts."""
        for attempt in stamina.retry_context(
            on=StoreUnavailable, attempts=None, timeout=self._place.patience, wait_initial=0.5, wait_max=30
        ):
            with attempt:
                return self._told(deed, call)
        raise AssertionError("unreachable")

    def _told(self, deed: str, call: Callable[[], ResultT]) -> ResultT:
        what = f"can't {deed} {self.url}"
        try:
            with self._lock:
                _ = self._client
            return call()
        except ClientError as error:
            raise self._refusal(what, error) from None
        except (NoCredentialsError, PartialCredentialsError):
            hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or role"
            raise StoreError(f"{what}: no credentials for S3 were found", hint=hint) from None
        except SSLError:
            hint = "set AWS_CA_BUNDLE where the store has a private authority"
            raise StoreError(f"{what}: its certificate is not trusted", hint=hint) from None
        except EndpointConnectionError:
            hint = "check endpoint_url, region and the network"
            raise StoreUnavailable(f"{what}: it can't be reached", hint=hint) from None
        except (BotoConnectionError, HTTPClientError):
            raise StoreUnavailable(f"{what}: the connection broke", hint=_LATER) from None
        except (BotoCoreError, ValueError) as error:
            raise StoreError(f"{what}: {type(error).__name__}", hint="check the vault's URL") from None

    def _refusal(self, what: str, error: ClientError) -> StoreError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "NoSuchBucket":
            return StoreError(f'{what}: there is no bucket "{self._place.bucket}"', hint="make it, or check the URL")
        if code in _MISSING:
            return ObjectMissing(f"{what}: it is not there", hint="run `restante check`")
        if code in _OVERLOADED_CODES or status in _OVERLOADED:
            return StoreUnavailable(f"{what}: the store answers {status} {code}", hint=_LATER)
        if status in (401, 403):
            return StoreError(f"{what}: the store refuses ({code})", hint="check the access key and its rights")
        return StoreError(f"{what}: the store answers {status} {code}", hint="check the vault's URL and the store")


_LATER = "try again later; what was written before stays sound"
