"""A gallery in one SQLite file: several processes may write, and what was acknowledged stays.

The file keeps a write-ahead log beside it while it is open (WAL), so that readers never wait for
writers; every commit is forced to the disk. Such a file must lie on this machine's own disk: over a
network file system SQLite's locks cannot be relied on, and PostgreSQL is meant for that.

A removal writes the file anew, which takes seconds with a hundred thousand pictures. What the disk
itself keeps of old blocks, and copies of the file, are beyond it.

Search happens in memory: the vectors are read once in a process, and what other processes have
changed since is read before each search.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from boda.errors import DataError, UsageError
from boda.gallery.records import About, Calibration, Entry, Match, Person
from boda.gallery.search import BLOCK, Matrix
from boda.gallery.store import FORMAT, refuse_newer

APPLICATION = 0x626F6461  # "boda" in the file's header
PATIENCE = 30.0  # seconds for which another writer is waited for
SIGN = b"SQLite format 3\0"
TABLES = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    vector BLOB NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    added TEXT NOT NULL
);
CREATE INDEX entries_by_name ON entries (name);
CREATE TABLE thumbnails (entry INTEGER PRIMARY KEY REFERENCES entries (id), picture BLOB NOT NULL)
"""  # vectors apart from pictures: reading all of them must not read the pictures too
T = TypeVar("T")


class SqliteStore:
    """See ``boda.gallery.store.Store``. One object may serve several threads, one after the other."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._lock = threading.RLock()
        with self._told():
            # No transaction begins but where this file says so.
            self._database = sqlite3.connect(
                path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("PRAGMA secure_delete = ON")  # deleted bytes become zeros
            self._database.execute(
                "PRAGMA temp_store = MEMORY"
            )  # nor do copies lie about elsewhere
        self.about = About("", "", 0, 0.0)
        self._matrix = Matrix(0)
        # What the matrix holds: SQLite's counter of others' commits, and the last number given.
        self._seen: tuple[int, int] | None = None

    @classmethod
    def create(cls, where: str, about: About) -> SqliteStore:
        """A new file; see ``create_store``."""
        path = Path(where)
        if path.is_dir():
            raise UsageError(
                f"{path} is a folder. Give the name of a file, as {path / 'gallery.db'}."
            )
        taken = UsageError(f"{path} is there already. Give another name, or take the file away.")
        if path.exists() and path.stat().st_size and not _is_database(path):
            raise taken
        store = cls(path)
        try:
            with store._told():
                # A creation that was cut short has left a database without tables.
                if not store._has_tables():
                    store._database.execute("PRAGMA journal_mode = WAL")
                with store._writing():
                    if store._has_tables():
                        raise taken
                    store._make_tables(about)
            store.refresh()
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open(cls, where: str) -> SqliteStore:
        """A file that is there; see ``open_store``."""
        path = Path(where)
        if not path.is_file():
            what = "is a folder, no gallery" if path.is_dir() else "is not there"
            raise UsageError(f"{path} {what}. Make one: boda gallery create {path} --run RUN")
        fix = "Name a file that `boda gallery create` made."
        if not _is_database(path):
            raise DataError("this is no gallery", file=path, fix=fix)
        store = cls(path)
        try:
            with store._told():
                application = store._database.execute("PRAGMA application_id").fetchone()[0]
                version = store._database.execute("PRAGMA user_version").fetchone()[0]
            if application != APPLICATION:
                why = "this is another program's database, no gallery"
                raise DataError(why, file=path, fix=fix)
            refuse_newer(store.where, version)
            store.refresh()
        except BaseException:
            store.close()
            raise
        return store

    def refresh(self) -> About:
        """See ``Store``."""
        with self._told():
            rows = self._database.execute("SELECT key, value FROM about").fetchall()
        try:
            self.about = About.from_dict({key: json.loads(value) for key, value in rows})
        except (ValueError, TypeError, KeyError) as error:
            raise self._damaged(error) from None
        return self.about

    def extent(self) -> tuple[int, int]:
        """See ``Store``."""
        with self._told():
            count = self._database.execute("SELECT count(*) FROM entries").fetchone()[0]
            row = self._database.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'entries'"
            ).fetchone()
        return count, row[0] if row else 0

    def add(self, entries: Sequence[Entry]) -> list[bool]:
        """See ``Store``."""
        taken = []
        with self._told(), self._writing():
            for entry in entries:
                vector = _blob(entry.vector, self.about.dimension)
                done = self._database.execute(
                    "INSERT INTO entries (name, vector, source, digest, added) "
                    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING",
                    (entry.name, vector, entry.source, entry.digest, entry.added),
                )
                taken.append(done.rowcount == 1)
                if taken[-1]:
                    self._database.execute(
                        "INSERT INTO thumbnails VALUES (?, ?)", (done.lastrowid, entry.thumbnail)
                    )
        return taken

    def known(self, digests: Sequence[str]) -> dict[str, str]:
        """See ``Store``."""
        found = {}
        with self._told():
            for digest in digests:
                row = self._database.execute(
                    "SELECT name FROM entries WHERE digest = ?", (digest,)
                ).fetchone()
                if row:
                    found[digest] = row[0]
        return found

    def remove(self, name: str) -> tuple[int, bool]:
        """See ``Store``."""
        with self._told():
            with self._writing():
                self._database.execute(
                    "DELETE FROM thumbnails WHERE entry IN (SELECT id FROM entries WHERE name = ?)",
                    (name,),
                )
                done = self._database.execute("DELETE FROM entries WHERE name = ?", (name,))
            return done.rowcount, self._shed()

    def people(self) -> list[Person]:
        """See ``Store``."""
        with self._told():
            rows = self._database.execute(
                "SELECT name, count(*), min(added) FROM entries GROUP BY name ORDER BY name"
            ).fetchall()  # SQLite compares text by its UTF-8 bytes: by code point
        return [Person(*row) for row in rows]

    def labels(self) -> tuple[np.ndarray, list[str]]:
        """See ``Store``."""
        return self._current(lambda matrix: (matrix.ids.copy(), list(matrix.names)))

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """See ``Store``."""
        return self._current(lambda matrix: matrix.vectors[np.searchsorted(matrix.ids, ids)])

    def blocks(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """See ``Store``."""
        names, vectors = self._current(lambda matrix: (list(matrix.names), matrix.vectors))
        for start in range(0, len(names), BLOCK):
            yield names[start : start + BLOCK], vectors[start : start + BLOCK]

    def nearest(self, queries: np.ndarray, count: int) -> list[list[Match]]:
        """See ``Store``."""
        return self._current(lambda matrix: matrix.nearest(queries, count))

    def entries(self) -> Iterator[Entry]:
        """See ``Store``."""
        last = 0
        while True:  # piece by piece: thumbnails of all of them would fill the memory
            with self._told():
                rows = self._database.execute(
                    "SELECT id, name, vector, picture, source, digest, added FROM entries "
                    "JOIN thumbnails ON entry = id WHERE id > ? ORDER BY id LIMIT 256",
                    (last,),
                ).fetchall()
            if not rows:
                return
            for _, name, vector, *rest in rows:
                yield Entry(name, np.frombuffer(vector, np.dtype("<f4")), *rest)
            last = rows[-1][0]

    def calibrated(self, calibration: Calibration | None, rate: float) -> None:
        """See ``Store``."""
        about = replace(self.about, calibration=calibration, rate=rate)
        with self._told(), self._writing():
            self._write_about(about)
        self.about = about

    def close(self) -> None:
        """See ``Store``."""
        self._database.close()

    def _current(self, use: Callable[[Matrix], T]) -> T:
        """What ``use`` makes of the vectors as they are now."""
        with self._told():
            version = self._database.execute("PRAGMA data_version").fetchone()[0]
            if self._seen is None or self._seen[0] != version:
                self._database.execute("BEGIN")  # one state of the file for all that is read
                try:
                    self._catch_up()
                finally:
                    self._database.execute("COMMIT")
            return use(self._matrix)

    def _catch_up(self) -> None:
        """Read what has come; read everything anew where something has gone."""
        seen, self._seen = self._seen, None
        count, last = self.extent()
        version = self._database.execute("PRAGMA data_version").fetchone()[0]
        if seen is not None:
            self._append(after=seen[1])
        if seen is None or len(self._matrix) != count:
            self._matrix = Matrix(self.about.dimension)
            self._append(after=0)
        self._seen = (version, last)

    def _append(self, after: int) -> None:
        rows = self._database.execute(
            "SELECT id, name, vector FROM entries WHERE id > ? ORDER BY id", (after,)
        )
        while some := rows.fetchmany(BLOCK):
            ids, names, blobs = zip(*some, strict=True)
            values = np.frombuffer(b"".join(blobs), np.dtype("<f4"))
            if values.size != len(ids) * self.about.dimension:
                raise self._damaged(f"a vector has not {self.about.dimension} numbers")
            self._matrix.append(ids, names, values.reshape(len(ids), -1))

    def _shed(self) -> bool:
        """Write the file anew with nothing in it but what is there; False where others hold it.

        Zeros over what was deleted are not enough: when rows move from a full page to another, copies
        of them stay behind in the gaps. And the log has everything until it is cut.
        """
        try:
            self._database.execute("VACUUM")
        except sqlite3.OperationalError:
            return False
        busy = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy

    def _has_tables(self) -> bool:
        found = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return bool(found[0])

    def _make_tables(self, about: About) -> None:
        for statement in TABLES.split(";"):
            self._database.execute(statement)
        self._database.execute(f"PRAGMA application_id = {APPLICATION}")
        self._database.execute(f"PRAGMA user_version = {FORMAT}")
        self._write_about(about)

    def _write_about(self, about: About) -> None:
        rows = [(k, json.dumps(v, ensure_ascii=False)) for k, v in about.to_dict().items()]
        self._database.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", rows)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction that has the right to write from its beginning: none fails in its middle."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        if self._seen is not None:  # the data version does not tell of this connection's own writes
            self._seen = (-1, self._seen[1])

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors in a person's words."""
        with self._lock:
            try:
                yield
            except sqlite3.OperationalError as error:
                why = str(error)
                if "locked" in why or "busy" in why:
                    raise UsageError(
                        f"{self.where} has been locked by another program for {PATIENCE:.0f} "
                        "seconds. Wait for it or end it, then try again."
                    ) from None
                fix = "Check the folder, its permissions and the space on the disk."
                raise UsageError(f"{self.where} cannot be used ({why}). {fix}") from None
            except sqlite3.DatabaseError as error:
                raise self._damaged(error) from None

    def _damaged(self, why: object) -> DataError:
        return DataError(
            f"the gallery is damaged ({why})", file=self.where, fix="Restore it from a copy."
        )


def _is_database(path: Path) -> bool:
    """Whether the file begins as SQLite's do; an empty one is a database without tables."""
    try:
        with open(path, "rb") as file:
            return file.read(len(SIGN)) == SIGN
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"{path} cannot be read ({why}). Check its permissions.") from None


def _blob(vector: np.ndarray, dimension: int) -> bytes:
    """The vector's numbers, little-endian float32."""
    if vector.shape != (dimension,):
        raise ValueError(f"a vector of shape {vector.shape} in a gallery of {dimension} numbers")
    return vector.astype("<f4").tobytes()
