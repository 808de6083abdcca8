"""What lies in a .zip or .tar, without unpacking it to disk; nothing an archive says is believed.

A .zip and a plain .tar are read in place. A compressed tar has no random access: it is unpacked
into memory, once.

A hostile archive is refused as a whole: members outside the archive's own folder, links, devices,
encryption, members that overlap or that unpack to much more than the archive holds.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

from boda.data.entries import (
    BOMB_FLOOR,
    BOMB_RATIO,
    DAMAGE,
    Entry,
    MemoryMember,
    TarMember,
    ZipMember,
)
from boda.errors import DataError

MEMORY_LIMIT = 4 << 30  # bytes of one compressed tar, unpacked
REPACK = "Unpack it, or repack it as .zip, which is read in place."

Kind = Literal["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]
_OPENERS: dict[str, Any] = {"tar.gz": gzip.open, "tar.bz2": bz2.open, "tar.xz": lzma.open}
_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\x1f\x8b", "tar.gz"),
    (b"BZh", "tar.bz2"),
    (b"\xfd7zXZ\0", "tar.xz"),
)
_DAMAGE = (*DAMAGE, lzma.LZMAError, tarfile.TarError)


@dataclass
class Archive:
    """What one archive holds.

    Attributes:
        files: member name (POSIX, NFC) → entry.
        folders: the folders that are listed.
        repeated: names that came more than once.
    """

    files: dict[str, Entry] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    repeated: list[str] = field(default_factory=list)

    def add(self, name: str, entry: Entry) -> None:
        """Enter a member; a later one of the same name replaces it, as every unpacker does."""
        if name in self.files:
            self.repeated.append(name)
        self.files[name] = entry


def archive_kind(path: str) -> Kind | None:
    """What sort of archive a file is, by its content; None where it is none."""
    try:
        with open(path, "rb") as file:
            head = file.read(512)
            if head[:4] in (b"PK\3\4", b"PK\5\6"):
                return "zip"
            if _is_tar_header(head):
                return "tar"
            for magic, kind in _MAGIC:
                if head.startswith(magic):
                    return kind if _holds_tar(file, kind, path) else None
    except _DAMAGE:
        pass
    return None


def open_archive(path: str, kind: Kind, shown: str) -> Archive:
    """The members of an archive; hidden ones and what macOS adds are left out.

    Args:
        path: the archive.
        kind: what ``archive_kind`` said.
        shown: the archive's path as it is shown.

    Raises:
        DataError: the archive is damaged, encrypted or hostile, or too large for memory.
    """
    if kind == "zip":
        return _open_zip(path, shown)
    try:
        if kind == "tar":
            with open(path, "rb") as file:
                return _open_tar(file, None, path, shown)
        data = _inflate(path, kind, shown)
        return _open_tar(io.BytesIO(data), data, path, shown)
    except _DAMAGE as error:
        _refuse(shown, f"is damaged or truncated ({error})", "Get the archive again.")


def ignored(name: str) -> bool:
    """Whether a path is not data: hidden, or left behind by macOS or Windows."""
    if (
        name[0] != "."
        and "/." not in name
        and "_" not in name
        and not name.endswith((".db", ".ini"))
    ):
        return False  # the common case, a million times
    junk = ("__MACOSX", "Thumbs.db", "desktop.ini")
    return any(part.startswith(".") or part in junk for part in name.split("/"))


def decode_name(raw: bytes) -> str:
    """A file name from bytes whose encoding nobody stated, NFC.

    UTF-8 where it is beyond doubt; CP949 where that gives common Hangul (Korean Windows writes it
    without saying so); then UTF-8, then CP437, the .zip format's own.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or not (text.isascii() or any(ord(letter) > 0x7FF for letter in text)):
        try:
            korean = raw.decode("cp949")
        except UnicodeDecodeError:
            korean = ""
        # Only Hangul of KS X 1001: CP949's extension also covers 'ü' + 'l' of a Western name.
        if any("가" <= letter <= "힣" and len(_euc(letter)) == 2 for letter in korean):
            text = korean
    return unicodedata.normalize("NFC", raw.decode("cp437") if text is None else text)


def _euc(letter: str) -> bytes:
    return letter.encode("euc_kr", "ignore")


def _holds_tar(file: BinaryIO, kind: Kind, path: str) -> bool:
    file.seek(0)
    try:
        with _OPENERS[kind](file) as unpacked:
            return _is_tar_header(unpacked.read(512))
    except _DAMAGE:  # then only the name tells; opening it will say what is wrong
        return re.search(r"\.(tar\.\w+|t[gbx]z2?)$", path.lower()) is not None


def _is_tar_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _refuse(shown: str, why: str, fix: str) -> NoReturn:
    raise DataError(why, file=shown, fix=fix)


def _safe(name: str, shown: str) -> str:
    """The member's path below the archive; ``DataError`` where it leads outside."""
    name = name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or name[1:3] == ":/":
        _refuse(
            f"{shown}/{name}",
            "this member would lie outside the archive's own folder",
            "The archive is malformed or hostile: repack it from inside the folder of pictures.",
        )
    return "/".join(parts)


def _open_zip(path: str, shown: str) -> Archive:
    archive = Archive()
    try:
        with zipfile.ZipFile(path) as opened:
            members = opened.infolist()
    except (zipfile.BadZipFile, NotImplementedError, *_DAMAGE) as error:
        _refuse(shown, f"is a damaged or truncated .zip ({error})", "Get the archive again.")
    if sum(member.compress_size for member in members) > Path(path).stat().st_size:
        _refuse(
            shown,
            "its members overlap, so that it unpacks to more than it holds: a decompression bomb",
            "Do not unpack it; get the data elsewhere.",
        )
    for member in members:
        name = member.orig_filename.split("\0")[0]
        if not member.flag_bits & 0x800:
            name = decode_name(name.encode("cp437", "replace"))
        name = unicodedata.normalize("NFC", _safe(name, shown))
        if not name or ignored(name):
            continue
        if member.orig_filename.endswith(("/", "\\")):
            archive.folders.add(name)
            continue
        source = f"{shown}/{name}"
        if stat.S_ISLNK(member.external_attr >> 16):
            _refuse(source, "is a link", "Repack the archive with the files themselves.")
        if member.flag_bits & 1:
            _refuse(source, "is encrypted", "Unpack the archive with its password.")
        if member.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
            zipfile.ZIP_BZIP2,
        ):
            _refuse(
                source,
                f"is packed with method {member.compress_type}, which is not read",
                "Unpack the archive, or repack it as an ordinary .zip (deflate).",
            )
        numbers = (member.header_offset, member.compress_size, member.file_size, member.CRC)
        archive.add(name, ZipMember(path, source, *numbers, member.compress_type))
    return archive


def _open_tar(file: BinaryIO, data: bytes | None, path: str, shown: str) -> Archive:
    """The members of a tar: stretches of the file, or of ``data`` where that holds the file."""
    archive = Archive()
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:", errorlevel=2) as opened:
        for member in _members(opened):
            raw = member.name.encode("utf-8", "surrogateescape")
            name = _safe(member.name if member.name.isascii() else decode_name(raw), shown)
            if not name or ignored(name):
                continue
            source = f"{shown}/{name}"
            if member.isdir():
                archive.folders.add(name)
                continue
            if not member.isreg() or member.issparse():
                what = "link" if member.islnk() or member.issym() else "device or special file"
                _refuse(
                    source, f"is a {what}", "Repack the files themselves (tar -h follows links)."
                )
            start, end = member.offset_data, member.offset_data + member.size
            if end > length:
                _refuse(source, "the archive ends in the middle of it", "Get the archive again.")
            if data is None:
                archive.add(name, TarMember(path, source, start, member.size))
            else:
                archive.add(name, MemoryMember(path, source, data[start:end]))
        # tarfile takes a broken header in the middle for the end; the true end is a block of zeros.
        file.seek(opened.offset)
        if file.read(512) != bytes(512):
            _refuse(
                shown,
                f"is truncated or damaged at byte {opened.offset:,}: no end mark, no member",
                "Get the archive again.",
            )
    return archive


def _members(opened: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := opened.next()) is not None:
        yield member
        opened.members.clear()  # type: ignore[attr-defined]  # it would keep every one


def _inflate(path: str, kind: Kind, shown: str) -> bytes:
    """The whole tar inside a compressed one, within bounds."""
    packed = Path(path).stat().st_size
    most = min(MEMORY_LIMIT, _memory() // 4)
    bomb = max(BOMB_FLOOR, BOMB_RATIO * packed)
    pieces, total = [], 0
    with _OPENERS[kind](path) as file:
        while piece := file.read(1 << 22):
            total += len(piece)
            if total > bomb:
                _refuse(
                    shown,
                    f"{packed:,} bytes unpack to more than {bomb:,}: a decompression bomb",
                    "Do not unpack it; get the data elsewhere.",
                )
            if total > most:
                _refuse(shown, f"unpacks to more than {most:,} bytes of memory", REPACK)
            pieces.append(piece)
    return b"".join(pieces)


def _memory() -> int:
    """Bytes of memory in this machine; a cautious 8 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30
