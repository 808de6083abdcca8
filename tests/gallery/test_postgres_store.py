"""PostgreSQL alone: exact whatever index somebody made, and removed from the table's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boda.errors import UsageError
from boda.gallery import postgres_store
from boda.gallery.postgres_store import PostgresStore, _shown
from tests.gallery.people import about, digest, entry
from tests.gallery.test_search import directions, plainly
from tests.gallery.test_stores import filled


def files_of(store: PostgresStore) -> bytes:
    """All that the database's files hold, the server's log excepted."""
    one = store._one
    store._database.execute("CHECKPOINT")
    oid = one("SELECT oid FROM pg_database WHERE datname = current_database()")
    folder = Path(one("SHOW data_directory")) / "base" / str(oid)
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def pieces_of(number: int, name: str) -> list[bytes]:
    made = entry(name, number)
    vector = made.vector.astype("<f4").tobytes()  # on a little-endian machine
    return [made.digest.encode(), made.source.encode(), vector[:16], vector[-16:],
            made.thumbnail[:100], made.thumbnail[-100:]]  # fmt: skip


def test_removed_bytes_are_not_in_the_tables_files(database: str) -> None:
    store = filled(database, 300, names=10)
    assert isinstance(store, PostgresStore)
    data = files_of(store)
    assert all(piece in data for n in range(3, 300, 10) for piece in pieces_of(n, "n3"))
    for name in (3, 7):
        assert store.remove(f"n{name}") == (30, True)
        data = files_of(store)
        for number in range(name, 300, 10):
            assert not any(piece in data for piece in pieces_of(number, f"n{name}"))
    kept = [n for n in range(300) if n % 10 not in (3, 7)]
    assert all(piece in data for n in kept for piece in pieces_of(n, f"n{n % 10}"))
    assert store.extent()[0] == 240


def test_where_somebody_reads_the_rest_is_said_to_stay(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    filled(database, 20).close()
    monkeypatch.setattr(postgres_store, "PATIENCE", 1)
    store = PostgresStore.open(database)
    with psycopg.connect(database) as reader:  # a transaction that has read
        reader.execute("SELECT count(*) FROM boda_gallery_entries")
        assert store.remove("n0") == (7, False)
        with pytest.raises(UsageError, match="locked by another program for 1 seconds"):
            reader.execute("LOCK TABLE boda_gallery_entries")
            store.add([entry("x", 100)])
    assert store.remove("n1") == (7, True)
    assert not any(piece in files_of(store) for piece in pieces_of(0, "n0"))


def test_an_approximate_index_is_not_used(address: str) -> None:
    """With a poor index that the server would rather use, every answer is the exact one all the same."""
    store = PostgresStore.create(address, about(16))
    vectors = directions(3000, 16)
    store._database.execute(
        "INSERT INTO boda_gallery_entries (name, vector, thumbnail, source, digest, added) "
        "SELECT 'n' || place, v::vector, '', '', place, '' "
        "FROM unnest(%s::text[]) WITH ORDINALITY AS t (v, place) ORDER BY place",
        ([str(vector.tolist()) for vector in vectors],),
    )
    database: Any = store._database
    database.execute(
        "CREATE INDEX ON boda_gallery_entries USING hnsw (vector vector_ip_ops) "
        "WITH (m = 2, ef_construction = 4)"
    )
    database.execute("SET hnsw.ef_search = 2")
    queries = directions(10, 16, seed=4)
    plain = "SELECT id FROM boda_gallery_entries ORDER BY vector <#> %s::vector, id LIMIT 21"
    plan, wrong = "", 0
    found = store.nearest(queries, 5)
    for query, matches in zip(queries, found, strict=True):
        expected = [row + 1 for row, _ in plainly(query, vectors, 5)]
        assert [match.id for match in matches] == expected
        text = str(query.tolist())
        plan = str(database.execute("EXPLAIN " + plain, (text,)).fetchall())
        left = [row[0] for row in database.execute(plain, (text,)).fetchall()]
        wrong += left[:5] != expected
    assert "Index Scan" in plan and wrong >= 5  # else this test would show nothing


def test_who_may_not_do_it_is_told(address: str, postgres: Any) -> None:
    import psycopg

    filled(address, 9).close()
    with psycopg.connect(address, autocommit=True) as owner:
        schema = owner.execute("SELECT current_schema()").fetchone()[0]  # type: ignore[index]
        owner.execute(f"CREATE ROLE {schema}_helper LOGIN".encode())
        owner.execute(f"GRANT USAGE ON SCHEMA {schema} TO {schema}_helper".encode())
        owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {schema}_helper".encode())
        helper = address.replace("postgres:@", f"{schema}_helper:@")
        store = PostgresStore.open(helper)
        assert store.nearest(entry("", 4).vector[None], 1)[0][0].name == "n1"
        with pytest.raises(UsageError, match=r"permission denied.*what its user may do"):
            store.add([entry("x", 100)])
        grant = f"GRANT DELETE ON ALL TABLES IN SCHEMA {schema} TO {schema}_helper"
        owner.execute(grant.encode())
        # Only the owner may rewrite the table; the server just warns.
        assert store.remove("n0") == (3, False)
        store.close()
        assert PostgresStore.open(address).remove("n1") == (3, True)


def test_a_database_without_a_gallery_or_pgvector(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        UsageError, match=r"there is no gallery in postgresql://.*boda gallery create"
    ):
        PostgresStore.open(address)
    real = PostgresStore._make_extension

    def read_only(store: PostgresStore) -> None:
        store._database.execute("SET default_transaction_read_only = on")
        real(store)

    monkeypatch.setattr(PostgresStore, "_make_extension", read_only)
    with pytest.raises(UsageError, match=r"has no pgvector \(.*\). Ask who looks after it"):
        PostgresStore.create(address, about())
    damaged = "INSERT INTO boda_gallery_about VALUES ('rate', 'x')"
    monkeypatch.undo()
    store = PostgresStore.create(address, about())
    store._database.execute("DELETE FROM boda_gallery_about WHERE key = 'rate'")
    store._database.execute(damaged.encode())
    with pytest.raises(Exception, match="what the gallery says of itself is damaged"):
        PostgresStore.open(address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://a:secret@host:5432/db", "postgresql://a@host:5432/db"),
        ("postgres://a:s%40c:ret@host/db", "postgres://a@host/db"),
        ("postgresql://a@host/db?password=secret&x=1", "postgresql://a@host/db?password=…&x=1"),
        ("postgresql://host/db", "postgresql://host/db"),
    ],
)
def test_passwords_are_not_shown(address: str, shown: str) -> None:
    assert _shown(address) == shown


def test_two_that_add_the_same_in_other_orders(address: str) -> None:
    """Rows that wait for each other are a deadlock, which the server ends; nothing is lost by it."""
    import threading

    PostgresStore.create(address, about()).close()
    failed: list[BaseException] = []

    def work(order: list[int]) -> None:
        try:
            store = PostgresStore.open(address)
            for first in range(0, 400, 100):
                store.add([entry(f"n{n}", n) for n in range(first, first + 100)][:: order[0]])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=([step],)) for step in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = PostgresStore.open(address)
    assert not failed and store.extent()[0] == 400
    assert set(store.known([digest(n) for n in range(400)])) == {digest(n) for n in range(400)}
    assert np.isfinite(store.vectors(store.labels()[0])).all()
