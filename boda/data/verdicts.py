"""What was found when a picture was decoded, remembered, so that it is decoded once.

The memory is one SQLite file in the user's cache folder. It is a convenience: where it cannot be
read or written, everything is simply decoded again. Only sound pictures are remembered; what is
wrong may be put right by a new decoder without the file's changing.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from boda.files import cache_folder

VERSION = 1  # of what a verdict means; a new number forgets the old ones
MOST = 2_000_000  # verdicts kept, about 50 bytes each
_TABLE = """
CREATE TABLE IF NOT EXISTS verdicts (
    key BLOB PRIMARY KEY, height INTEGER, width INTEGER, gray INTEGER, digest INTEGER
) WITHOUT ROWID
"""


class Verdict(NamedTuple):
    """A sound picture.

    Attributes:
        height: in pixels.
        width: in pixels.
        gray: whether its three channels are equal.
        digest: 64 bits of BLAKE2b over shape and pixels, as a signed number.
    """

    height: int
    width: int
    gray: bool
    digest: int


def judge(picture: np.ndarray) -> Verdict:
    """The verdict on a decoded picture, (H, W, 3) uint8."""
    height, width = picture.shape[:2]
    hashed = hashlib.blake2b(f"{height}x{width}".encode(), digest_size=8)
    hashed.update(np.ascontiguousarray(picture).data)
    few = picture[:: max(1, height // 64), :: max(1, width // 64)]  # enough to tell colour by
    gray = bool((few == few[..., :1]).all())
    digest = int.from_bytes(hashed.digest(), "little", signed=True)
    return Verdict(height, width, gray, digest)


def key_of(stamp: tuple[str | int, ...]) -> bytes:
    """The key of a file: of its path, size and time."""
    return hashlib.blake2b(repr(stamp).encode("utf-8", "replace"), digest_size=16).digest()


def cache_file() -> Path:
    """``verdicts-1.sqlite`` in the user's cache folder."""
    return cache_folder() / f"verdicts-{VERSION}.sqlite"


def recall(keys: Iterable[bytes]) -> dict[bytes, Verdict]:
    """What is remembered of these files."""
    wanted, found = list(keys), {}
    with _opened() as memory:
        for start in range(0, len(wanted) if memory else 0, 500):
            some = wanted[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, height, width, gray, digest FROM verdicts WHERE key IN ({marks})"
            assert memory is not None
            for key, height, width, gray, digest in memory.execute(query, some):
                found[bytes(key)] = Verdict(height, width, bool(gray), digest)
    return found


def remember(verdicts: dict[bytes, Verdict]) -> None:
    """Keep verdicts; several processes may do so at once."""
    if not verdicts:
        return
    with _opened() as memory:
        if memory is None:
            return
        rows = [(key, *verdict) for key, verdict in verdicts.items()]
        with memory:  # one transaction: all or nothing
            if memory.execute("SELECT count(*) FROM verdicts").fetchone()[0] + len(rows) > MOST:
                memory.execute("DELETE FROM verdicts")  # rare, and costs one decoding
            memory.executemany(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?)", rows[:MOST]
            )


@contextlib.contextmanager
def _opened() -> Iterator[sqlite3.Connection | None]:
    """The memory or None; what goes wrong with it inside the block ends the block in silence."""
    memory: sqlite3.Connection | None = None
    try:
        path = cache_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        memory = sqlite3.connect(path, timeout=5)
        memory.execute(_TABLE)
    except (OSError, RuntimeError, sqlite3.Error):
        if memory is not None:
            memory.close()
        memory = None
    with contextlib.suppress(sqlite3.Error):
        yield memory
    if memory is not None:
        memory.close()
