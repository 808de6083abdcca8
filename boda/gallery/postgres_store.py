"""A gallery in PostgreSQL with pgvector: many machines at once, and millions of entries.

The address is ``postgresql://user:password@host/database``; the extra is ``boda[postgres]``. Two
tables, ``boda_gallery_about`` and ``boda_gallery_entries``, lie in the first schema of the
connection's search path.

Search is exact: there is no approximate index, and where somebody has made one it is not used. The
server compares, boda computes the similarities of the nearest again: the same numbers as from SQLite.

A removal rewrites the table (``VACUUM FULL``), so that the bytes leave its files: until that is
done others wait, minutes with millions of entries. The server's own log and its backups keep what
they have for as long as the server is told to keep them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from boda.errors import DataError, UsageError
from boda.gallery.records import About, Calibration, Entry, Match, Person
from boda.gallery.search import BLOCK, Candidates, nearest_of
from boda.gallery.store import FORMAT, refuse_newer

if TYPE_CHECKING:
    import psycopg

PATIENCE = 30  # seconds for which another writer is waited for
ATTEMPTS = 5  # at taking in what others take in as well, in another order
INSERT = """
INSERT INTO boda_gallery_entries (name, vector, thumbnail, source, digest, added)
SELECT name, vector::vector, thumbnail, source, digest, added
FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY
    AS given (name, vector, thumbnail, source, digest, added, place)
ORDER BY place
ON CONFLICT (digest) DO NOTHING RETURNING digest
"""


class PostgresStore:
    """See ``boda.gallery.store.Store``."""

    def __init__(self, address: str) -> None:
        self.where = _shown(address)
        self.about = About("", "", 0, 0.0)
        try:
            import psycopg
        except ImportError:
            raise UsageError(
                'galleries in PostgreSQL need psycopg: pip install "boda[postgres]"'
            ) from None
        with self._told():
            self._database: psycopg.Connection[Any] = psycopg.connect(
                address, autocommit=True, connect_timeout=10
            )
            self._database.execute(f"SET lock_timeout = '{PATIENCE}s'")
            self._database.execute("SET client_min_messages = warning")
            self._see_extension()

    @classmethod
    def create(cls, address: str, about: About) -> PostgresStore:
        """New tables; see ``create_store``."""
        from psycopg import errors, sql

        store = cls(address)
        try:
            store._make_extension()
            with store._told(), store._database.transaction():
                store._database.execute(
                    "CREATE TABLE boda_gallery_about (key text PRIMARY KEY, value text NOT NULL)"
                )
                entries = sql.SQL(
                    "CREATE TABLE boda_gallery_entries ("
                    "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                    'name text COLLATE "C" NOT NULL, vector vector({}) NOT NULL, '
                    "thumbnail bytea NOT NULL, source text NOT NULL, digest text NOT NULL UNIQUE, "
                    "added text NOT NULL)"
                )
                store._database.execute(entries.format(sql.Literal(about.dimension)))
                store._database.execute("CREATE INDEX ON boda_gallery_entries (name)")
                store._write_about({"format": FORMAT, **about.to_dict()})
        except (errors.DuplicateTable, errors.UniqueViolation):
            store.close()
            raise UsageError(
                f"{store.where} holds a gallery already. Name another database, or another schema "
                "with ?options=-csearch_path%3DNAME behind the address."
            ) from None
        except BaseException:
            store.close()
            raise
        store.refresh()
        return store

    @classmethod
    def open(cls, address: str) -> PostgresStore:
        """Tables that are there; see ``open_store``."""
        store = cls(address)
        try:
            with store._told():
                found = store._one(
                    "SELECT to_regclass(quote_ident(current_schema()) || '.boda_gallery_about')"
                )
            if found is None:
                raise UsageError(
                    f"there is no gallery in {store.where}. "
                    "Make one: boda gallery create ADDRESS --run RUN"
                )
            store.refresh()
        except BaseException:
            store.close()
            raise
        return store

    def refresh(self) -> About:
        """See ``Store``."""
        with self._told():
            rows = self._database.execute("SELECT key, value FROM boda_gallery_about").fetchall()
        try:
            values = {key: json.loads(value) for key, value in rows}
            refuse_newer(self.where, values.pop("format"))
            self.about = About.from_dict(values)
        except (ValueError, TypeError, KeyError) as error:
            why = f"what the gallery says of itself is damaged ({error})"
            raise DataError(why, file=self.where, fix="Restore it from a copy.") from None
        return self.about

    def extent(self) -> tuple[int, int]:
        """See ``Store``; numbers are left out where an entry was there already, which does no harm."""
        with self._told():
            count = self._one("SELECT count(*) FROM boda_gallery_entries")
            last = self._one(
                "SELECT coalesce(pg_sequence_last_value("
                "pg_get_serial_sequence('boda_gallery_entries', 'id')::regclass), 0)"
            )
        return count, last

    def add(self, entries: Sequence[Entry]) -> list[bool]:
        """See ``Store``."""
        from psycopg import errors

        columns = (
            [entry.name for entry in entries],
            [_text(entry.vector) for entry in entries],
            [entry.thumbnail for entry in entries],
            [entry.source for entry in entries],
            [entry.digest for entry in entries],
            [entry.added for entry in entries],
        )
        with self._told():
            for attempt in range(ATTEMPTS):
                try:
                    rows = self._database.execute(INSERT, columns).fetchall()
                    break
                except errors.DeadlockDetected:  # nothing of it was taken in
                    if attempt == ATTEMPTS - 1:
                        raise
        taken = {digest for (digest,) in rows}
        first: set[str] = set()  # of two with one digest only the first came in
        out = []
        for entry in entries:
            out.append(entry.digest in taken and entry.digest not in first)
            first.add(entry.digest)
        return out

    def known(self, digests: Sequence[str]) -> dict[str, str]:
        """See ``Store``."""
        with self._told():
            rows = self._database.execute(
                "SELECT digest, name FROM boda_gallery_entries WHERE digest = ANY(%s)",
                (list(digests),),
            ).fetchall()
        return dict(rows)

    def remove(self, name: str) -> tuple[int, bool]:
        """See ``Store`` and the module's docstring."""
        from psycopg import errors

        file = "SELECT pg_relation_filenode('boda_gallery_entries')"
        with self._told():
            done = self._database.execute(
                "DELETE FROM boda_gallery_entries WHERE name = %s", (name,)
            )
            before = self._one(file)
            # Where a transaction still sees the rows, they are rewritten with the others.
            watched = self._one(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL"
            )
            try:
                self._database.execute("VACUUM (FULL) boda_gallery_entries")
            except errors.LockNotAvailable:
                return done.rowcount, False
            # Who does not own the table gets a warning, and the old file stays.
            return done.rowcount, not watched and self._one(file) != before

    def people(self) -> list[Person]:
        """See ``Store``."""
        with self._told():
            rows = self._database.execute(
                "SELECT name, count(*), min(added) FROM boda_gallery_entries "
                'GROUP BY name ORDER BY name COLLATE "C"'
            ).fetchall()
        return [Person(*row) for row in rows]

    def labels(self) -> tuple[np.ndarray, list[str]]:
        """See ``Store``."""
        with self._told():
            rows = self._database.execute(
                "SELECT id, name FROM boda_gallery_entries ORDER BY id"
            ).fetchall()
        return np.array([row[0] for row in rows], np.int64), [row[1] for row in rows]

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """See ``Store``."""
        with self._told():
            rows = self._binary(
                "SELECT id, vector FROM boda_gallery_entries WHERE id = ANY(%s)", (ids.tolist(),)
            )
        found = dict(rows)
        return _vectors([found[number] for number in ids.tolist()], self.about.dimension)

    def blocks(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """See ``Store``."""
        last = 0
        query = (
            "SELECT id, name, vector FROM boda_gallery_entries WHERE id > %s ORDER BY id LIMIT %s"
        )
        while True:
            with self._told():
                rows = self._binary(query, (last, BLOCK))
            if not rows:
                return
            last = rows[-1][0]
            yield [row[1] for row in rows], _vectors([r[2] for r in rows], self.about.dimension)

    def nearest(self, queries: np.ndarray, count: int) -> list[list[Match]]:
        """See ``Store``."""
        found = []
        with self._told(), self._database.transaction():
            for kind in ("indexscan", "bitmapscan"):  # an index of somebody's would be approximate
                self._database.execute(f"SET LOCAL enable_{kind} = off")
            for query in queries:

                def candidates(many: int, query: np.ndarray = query) -> Candidates:
                    rows = self._binary(
                        "SELECT id, name, vector FROM boda_gallery_entries "
                        "ORDER BY vector <#> %s::vector, id LIMIT %s",
                        (_text(query), many),
                    )
                    ids = np.array([row[0] for row in rows], np.int64)
                    vectors = _vectors([row[2] for row in rows], self.about.dimension)
                    return ids, [row[1] for row in rows], vectors

                found.append(nearest_of(query, count, candidates))
        return found

    def entries(self) -> Iterator[Entry]:
        """See ``Store``."""
        last = 0
        while True:
            with self._told():
                rows = self._binary(
                    "SELECT id, name, vector, thumbnail, source, digest, added "
                    "FROM boda_gallery_entries WHERE id > %s ORDER BY id LIMIT 256",
                    (last,),
                )
            for _, name, vector, *rest in rows:
                yield Entry(name, _vectors([vector], self.about.dimension)[0], *rest)
            if not rows:
                return
            last = rows[-1][0]

    def calibrated(self, calibration: Calibration | None, rate: float) -> None:
        """See ``Store``."""
        about = replace(self.about, calibration=calibration, rate=rate)
        with self._told(), self._database.transaction():
            self._write_about(about.to_dict())
        self.about = about

    def close(self) -> None:
        """See ``Store``."""
        self._database.close()

    def _one(self, query: str) -> Any:
        row = self._database.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]

    def _binary(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Rows in PostgreSQL's binary form, in which a vector is 4 bytes and its big-endian numbers."""
        with self._database.cursor(binary=True) as cursor:
            return cursor.execute(query.encode(), values).fetchall()

    def _write_about(self, values: dict[str, Any]) -> None:
        for key, value in values.items():
            self._database.execute(
                "INSERT INTO boda_gallery_about VALUES (%s, %s) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, json.dumps(value, ensure_ascii=False)),
            )

    def _make_extension(self) -> None:
        from psycopg import Error

        try:
            self._database.execute("CREATE EXTENSION IF NOT EXISTS vector")
            self._see_extension()
        except Error as error:
            raise UsageError(
                f"{self.where} has no pgvector ({_first_line(error)}). Ask who looks after it to "
                "install pgvector and to say: CREATE EXTENSION vector"
            ) from None

    def _see_extension(self) -> None:
        """Names of pgvector are found wherever it was installed, behind the person's own schemas."""
        self._database.execute(
            "SELECT set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), "
            "''), extnamespace::regnamespace::text), false) FROM pg_extension WHERE extname = 'vector'"
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """PostgreSQL's errors in a person's words."""
        from psycopg import Error, errors

        try:
            yield
        except (errors.DuplicateTable, errors.UniqueViolation):
            raise
        except errors.LockNotAvailable:
            raise UsageError(
                f"{self.where} has been locked by another program for {PATIENCE} seconds. Wait for "
                "it or end it, then try again."
            ) from None
        except Error as error:
            raise UsageError(
                f"{self.where} cannot be used ({_first_line(error)}). Check the address, and what "
                "its user may do."
            ) from None


def _shown(address: str) -> str:
    """The address without its password."""
    hidden = re.sub(r"(://[^/?#@]*?):[^/?#@]*@", r"\1@", address)
    return re.sub(r"(?i)([?&]password=)[^&]*", r"\1…", hidden)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _text(vector: np.ndarray) -> str:
    """As pgvector reads it; float32 numbers survive their decimals."""
    return "[" + ",".join(map(str, vector.tolist())) + "]"


def _vectors(rows: Sequence[bytes], dimension: int) -> np.ndarray:
    """(K, D) float32 of what PostgreSQL sent."""
    values = np.frombuffer(b"".join(row[4:] for row in rows), np.dtype(">f4"))
    return values.astype(np.float32).reshape(len(rows), dimension)
