"""One file, wherever it lies: on disk, in an archive read in place, or in memory.

Entries hold names and offsets and no open file, so threads and worker processes may read them at
the same time and carry them along.
"""

from __future__ import annotations

import bz2
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import NoReturn

from boda.errors import DataError

READ_LIMIT = 1 << 30  # bytes of one file; no picture needs more
BOMB_RATIO = 250  # pictures hardly shrink; text shrinks to a tenth; a bomb to a thousandth
BOMB_FLOOR = 64 << 20  # below this a file may shrink as well as it likes
# What the decompressors of the standard library raise on bytes that are not theirs.
DAMAGE = (OSError, EOFError, ValueError, zlib.error)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file on disk, and the base of the files in archives.

    Attributes:
        path: the file on disk, spelled as the file system does; for a member, its archive.
        source: the path as it is shown to the person: ``dir/a.png``, ``photos.zip/cat/1.png``.
    """

    path: str
    source: str

    def read(self, limit: int = READ_LIMIT) -> bytes:
        """All bytes. ``DataError`` where there are more than ``limit``, or they cannot be read."""
        try:
            with open(self.path, "rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            self.fail(f"cannot be read ({error.strerror})", "Check that it is there and readable.")
        if len(data) > limit:
            self._too_large(os.path.getsize(self.path), limit)
        return data

    def head(self, count: int) -> bytes:
        """The first bytes, at most ``count``, for telling formats apart; never raises."""
        try:
            with open(self.path, "rb") as file:
                return file.read(count)
        except OSError:
            return b""

    @property
    def stamp(self) -> tuple[str | int, ...]:
        """What changes when the content does: the path, size and time of the file."""
        try:
            found = os.stat(self.path)
        except OSError:
            return (os.path.abspath(self.path), -1, -1)
        return (os.path.abspath(self.path), found.st_size, found.st_mtime_ns)

    def fail(self, why: str, fix: str) -> NoReturn:
        """Raise the ``DataError`` that names this entry."""
        raise DataError(why, file=self.source, fix=fix)

    def _too_large(self, size: int, limit: int) -> NoReturn:
        self.fail(
            f"holds {size:,} bytes, more than the {limit:,} that are read",
            "Take it out, or make it smaller.",
        )


@dataclass(frozen=True, slots=True)
class ZipMember(Entry):
    """A member of a .zip, found by the offset of its local header."""

    offset: int
    packed: int
    size: int
    crc: int
    method: int

    def read(self, limit: int = READ_LIMIT) -> bytes:
        """The unpacked bytes, never more than the directory said, verified by their CRC."""
        if self.size > limit:
            self._too_large(self.size, limit)
        if self.size > BOMB_FLOOR and self.size > BOMB_RATIO * self.packed:
            self.fail(
                f"{self.packed:,} bytes unpack to {self.size:,}: a decompression bomb",
                "Take it out of the archive; do not unpack it.",
            )
        try:
            data = self._unpack(self._packed_bytes(self.packed), self.size + 1)
        except DAMAGE as error:
            self.fail(f"cannot be unpacked ({error})", "The archive is damaged: get it again.")
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            self.fail(
                f"unpacks to bytes other than the archive's directory says (CRC {self.crc:08x}, "
                f"{self.size:,} bytes)",
                "The archive is damaged: get it again.",
            )
        return data

    def head(self, count: int) -> bytes:
        """The first bytes, at most ``count``."""
        try:
            return self._unpack(self._packed_bytes(min(self.packed, count + 4096)), count)[:count]
        except DAMAGE:
            return b""

    @property
    def stamp(self) -> tuple[str | int, ...]:
        """The archive, the member, its size and CRC."""
        return (os.path.abspath(self.path), self.source, self.size, self.crc)

    def _packed_bytes(self, count: int) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            header = file.read(30)
            if len(header) < 30 or header[:4] != b"PK\3\4":
                raise OSError("no member begins where the directory says")
            name, extra = header[26:28], header[28:30]
            file.seek(int.from_bytes(name, "little") + int.from_bytes(extra, "little"), os.SEEK_CUR)
            data = file.read(count)
        if len(data) < count:
            raise OSError(f"the archive ends after {len(data):,} of {count:,} packed bytes")
        return data

    def _unpack(self, data: bytes, most: int) -> bytes:
        if self.method == zipfile.ZIP_STORED:
            return data[:most]
        if self.method == zipfile.ZIP_BZIP2:
            return bz2.BZ2Decompressor().decompress(data, most)
        return zlib.decompressobj(-15).decompress(data, most)


@dataclass(frozen=True, slots=True)
class TarMember(Entry):
    """A member of a plain .tar: a stretch of the archive."""

    offset: int
    size: int

    def read(self, limit: int = READ_LIMIT) -> bytes:
        """The stretch of bytes."""
        if self.size > limit:
            self._too_large(self.size, limit)
        data = self.head(self.size)
        if len(data) < self.size:
            self.fail(
                f"the archive ends after {len(data):,} of {self.size:,} bytes",
                "The archive is truncated: get it again.",
            )
        return data

    def head(self, count: int) -> bytes:
        """The first bytes, at most ``count``."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                return file.read(min(count, self.size))
        except OSError:
            return b""

    @property
    def stamp(self) -> tuple[str | int, ...]:
        """The archive with its time, where in it, and the size; a tar keeps no CRC."""
        path, length, time = Entry(self.path, self.source).stamp
        return (path, length, time, self.offset, self.size)


@dataclass(frozen=True, slots=True)
class MemoryMember(Entry):
    """A member of a compressed tar, unpacked into memory."""

    data: bytes = field(repr=False)

    def read(self, limit: int = READ_LIMIT) -> bytes:
        """The bytes."""
        if len(self.data) > limit:
            self._too_large(len(self.data), limit)
        return self.data

    def head(self, count: int) -> bytes:
        """The first bytes, at most ``count``."""
        return self.data[:count]

    @property
    def stamp(self) -> tuple[str | int, ...]:
        """The archive, the member, its size and CRC."""
        path = os.path.abspath(self.path)
        return (path, self.source, len(self.data), zlib.crc32(self.data))
