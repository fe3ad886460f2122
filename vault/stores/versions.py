"""Reading a versioned bucket as it was written: the first version of each object counts, whatever came over it since.

A delete marker or a later version hides an object from whoever asks for the newest. Objects of a vault never change, so
their first version is the true one, and under Object Lock it is the one that can't be removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from vault.errors import ObjectMissing, StoreError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Version(NamedTuple):
    """The first version of an object."""

    key: str
    id: str
    size: int
    modified: datetime


class Versions:
    """What a bucket keeps of each key. `ask` calls the client, retries and tells errors as the store does."""

    def __init__(self, bucket: str, url: str, ask: Callable[[str, Callable[[S3Client], Any]], Any]) -> None:
        self._bucket = bucket
        self._url = url
        self._ask = ask
        self._known: dict[str, str] = {}

    def first(self, key: str) -> str:
        """Return the id of an object's first version. Raises ObjectMissing."""
        if key not in self._known:
            found = next((v for v in self.list(key) if v.key == key), None)
            if found is None:
                raise ObjectMissing(f"{self._url} holds no version of {key}", hint="run `restante check`")
        return self._known[key]

    def list(self, prefix: str) -> Iterator[Version]:
        """Yield the first version of each key that starts so, in order of key; a page that fails raises."""
        held: Version | None = None
        for entry in self._entries("Versions", prefix):
            if held is not None and held.key != entry["Key"]:
                yield self._remember(held)
            # A bucket lists the versions of a key newest first.
            held = Version(entry["Key"], entry["VersionId"], entry["Size"], entry["LastModified"])
        if held is not None:
            yield self._remember(held)

    def delete(self, key: str) -> None:
        """Remove every version and marker of a key, the first version first: it is what a lock refuses to let go."""
        versions = [e["VersionId"] for e in self._entries("Versions", key) if e["Key"] == key]
        markers = [e["VersionId"] for e in self._entries("DeleteMarkers", key) if e["Key"] == key]
        for version in (*reversed(versions), *markers):
            self._remove(key, version)
        self._known.pop(key, None)

    def _remove(self, key: str, version: str) -> None:
        self._ask(
            f"delete {key} from",
            lambda client: client.delete_object(Bucket=self._bucket, Key=key, VersionId=version),
        )

    def _remember(self, version: Version) -> Version:
        self._known[version.key] = version.id
        return version

    def _entries(self, kind: str, prefix: str) -> Iterator[dict[str, Any]]:
        at: dict[str, str] = {}
        while True:
            page = self._page(prefix, at)
            yield from page.get(kind, [])
            if not page.get("IsTruncated"):
                return
            following = {
                "KeyMarker": page.get("NextKeyMarker", ""),
                "VersionIdMarker": page.get("NextVersionIdMarker", ""),
            }
            if not following["KeyMarker"] or following == at:
                raise StoreError(f"{self._url} broke off a listing", hint="the store does not list as S3 does")
            at = following

    def _page(self, prefix: str, at: dict[str, str]) -> dict[str, Any]:
        page: dict[str, Any] = self._ask(
            "list the versions of",
            lambda client: client.list_object_versions(Bucket=self._bucket, Prefix=prefix, **at),  # type: ignore[arg-type]
        )
        if not page.keys() & {"IsTruncated", "Name"}:
            raise StoreError(f"{self._url} answers a listing with something else", hint="check endpoint_url")
        return page
