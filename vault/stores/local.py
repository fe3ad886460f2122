"""A store in a local directory: whole objects or none, durable once written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR
from typing import NoReturn

from vault.errors import ObjectCutShort, ObjectMissing, StoreError
from vault.ids import ObjectName
from vault.stores.base import ObjectInfo
from vault.stores.names import check_name, is_name

_TEMPORARY = ".tmp-"


class LocalStore:
    """Objects are files below one directory, readable by their owner alone."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def url(self) -> str:
        """The store's address."""
        return f"file://{self._root}"

    def put(self, name: ObjectName, data: bytes, *, retain_until: datetime | None = None) -> None:
        """Write one object: a temporary file, fsync, rename, fsync of the folder. A directory keeps no locks."""
        del retain_until
        path = self._path(name)
        with self._told(name, "write"):
            if path.exists():
                self._same(name, path, data)
                _sync(path.parent)  # whoever wrote it may have died before it was durable
                return
            self._make(path.parent)
            temporary = path.parent / f"{_TEMPORARY}{os.urandom(8).hex()}"
            try:
                _write(temporary, data)
                temporary.rename(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
            _sync(path.parent)

    def _same(self, name: ObjectName, path: Path, data: bytes) -> None:
        """Objects never change: a second put must bring the same octets."""
        if path.read_bytes() != data:
            raise StoreError(f"{self.url} holds another {name} already", hint="run `restante check`")

    def get(self, name: ObjectName, *, start: int = 0, length: int | None = None) -> bytes:
        """Return octets of one object."""
        with self._told(name, "read"):
            # A restore reads thousands of blocks, and a path and a file object for each take longer than the reading.
            file = os.open(f"{self._root}/{check_name(name)}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                size, end = os.fstat(file).st_size, start + (length or 0)
                data = os.pread(file, max(size - start, 0) if length is None else length, start)
            finally:
                os.close(file)
        if end > size or (length is not None and len(data) < length):
            raise ObjectCutShort(f"{name} in {self.url} ends before octet {end}", hint="run `restante check`")
        return data

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose name starts with `prefix`, in order of name."""
        with self._told(prefix or "the vault", "list"):
            found = sorted(self._walk(prefix))
        for name in found:
            with suppress(ObjectMissing):  # deleted since
                yield self.stat(ObjectName(name))

    def stat(self, name: ObjectName) -> ObjectInfo:
        """Say what the file system knows of one object."""
        with self._told(name, "look at"):
            status = self._path(name).stat()
            if S_ISDIR(status.st_mode):
                raise IsADirectoryError
        return ObjectInfo(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def delete(self, name: ObjectName) -> None:
        """Remove one object; absent is fine."""
        path = self._path(name)
        with suppress(ObjectMissing), self._told(name, "delete"):
            path.unlink()
            _sync(path.parent)

    def _path(self, name: ObjectName) -> Path:
        return self._root / check_name(name)

    def _make(self, folder: Path) -> None:
        """Make a folder, each new one on the way durable."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)

    def _walk(self, prefix: str) -> Iterator[str]:
        """Yield the names of all objects that start so. A folder that can't be read is an error, never 'empty'."""

        def refuse(error: OSError) -> NoReturn:
            raise error

        start = self._root / prefix.rpartition("/")[0]
        if not start.exists():
            return
        for folder, folders, files in os.walk(start, onerror=refuse, followlinks=True):
            place = Path(folder).relative_to(self._root)
            folders[:] = [f for f in folders if _may_hold(f"{place / f}/", prefix)]
            names = (str(place / file) for file in files)
            yield from (name for name in names if name.startswith(prefix) and is_name(name))

    @contextmanager
    def _told(self, name: str, deed: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError):
            if deed == "write":
                what = f"can't write {name} in {self.url}: a file or folder is in the way"
                raise StoreError(what, hint=_LOOK) from None
            raise ObjectMissing(f"{self.url} holds no {name}", hint="run `restante check`") from None
        except OSError as error:
            reason = (error.strerror or "input/output error").lower()
            raise StoreError(f"can't {deed} {name} in {self.url}: {reason}", hint=_hint(error)) from None


def _may_hold(folder: str, prefix: str) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)


def _write(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 mode from birth
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hint(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "make room there and run the same command again; what was written stays sound"
        case errno.EACCES | errno.EPERM:
            return "give the user who runs this the right to the folder"
        case errno.EROFS:
            return "mount the file system for writing"
        case _:
            return _LOOK


_LOOK = "look at the folder, the disk and the system's log"
