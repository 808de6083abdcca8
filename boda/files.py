"""Writing files so that an interrupted command leaves the last complete one."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def atomic_write(path: str | Path, data: bytes) -> None:
    """Replace ``path`` with ``data`` in one step: readers see the old file or the new, whole.

    The bytes go to a temporary file in the same folder (a rename across file systems would be a
    copy), are forced to the disk, and take the name in one rename. Parent folders are not made.

    Args:
        path: the file to write.
        data: its whole content.

    Raises:
        OSError: the folder is missing, full or not writable; ``path`` is then as it was.
    """
    with replacing(path) as temporary, open(temporary, "xb") as file:
        # Unlike tempfile.mkstemp (mode 0600), open() leaves the permissions to the person's umask.
        file.write(data)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file to write in the same folder; after the block it has the name ``path``, whole.

    Raises:
        OSError: as ``atomic_write``; whatever the block raises. ``path`` is then as it was.
    """
    path = Path(path)
    # Not the target's name plus a suffix: a long Korean name already fills the 255 bytes of a name.
    temporary = path.parent / f".boda-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def cache_folder() -> Path:
    """``boda`` in ``$XDG_CACHE_HOME`` or in the system's cache folder: what can be made again."""
    if given := os.environ.get("XDG_CACHE_HOME"):
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home()))
    else:
        base = Path.home() / ".cache"
    return base / "boda"


def atomic_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; Hangul stays, NumPy values become plain.

    Raises:
        ValueError: a number is NaN or infinite, for which JSON has no word.
        TypeError: a value is not of a kind that JSON knows.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False, default=_plain)
    atomic_write(path, (text + "\n").encode())


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _sync_folder(folder: Path) -> None:
    """Force the rename itself to the disk, where a folder can be opened (not on Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network file systems refuse it; the file's own bytes are already safe
    finally:
        os.close(handle)
