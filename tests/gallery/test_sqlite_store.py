"""One file: what a killed process had acknowledged is in it, what was removed is not."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from boda.errors import DataError, UsageError
from boda.gallery import sqlite_store
from boda.gallery.sqlite_store import SqliteStore
from tests.gallery.people import about, entry
from tests.gallery.test_stores import ROOT, filled

IMPORT = """
import sys
from boda.gallery import embedding
from boda.gallery.gallery import Gallery
from boda.gallery.given import by_folder
from tests.gallery.people import Colours
embedding.of_run = Colours
gallery = Gallery.open(sys.argv[1])
for entry in gallery.add(by_folder(sys.argv[2], [])):
    print(entry.source, flush=True)
"""


def file_of(tmp_path: Path) -> Path:
    return tmp_path / "사람들.db"


def test_what_was_acknowledged_before_kill_9_is_there(tmp_path: Path, network: object) -> None:
    from boda.gallery import Gallery
    from boda.gallery.given import by_folder
    from tests.gallery.people import save

    file, photos = file_of(tmp_path), tmp_path / "photos"
    for person in range(25):
        save(photos, f"사람{person}", person, range(20))
    Gallery.create(str(file), "runs/match-1").close()
    told: list[str] = []
    for stop in (33, 140):  # the second import goes on where the first was killed
        process = subprocess.Popen(
            [sys.executable, "-c", IMPORT, str(file), str(photos)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line.rstrip("\n"))
            if len(told) == stop:
                os.kill(process.pid, signal.SIGKILL)
                break
        told += [line.rstrip("\n") for line in process.stdout if line.endswith("\n")]
        assert process.wait() == -signal.SIGKILL
    assert 140 <= len(told) < 500 and len(set(told)) == len(told)
    database = sqlite3.connect(file)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    there = {source for (source,) in database.execute("SELECT source FROM entries")}
    assert set(told) <= there
    pictures = database.execute("SELECT count(*) FROM thumbnails").fetchone()[0]
    assert pictures == len(there), "an entry and its thumbnail come together"
    database.close()
    with Gallery.open(str(file)) as gallery:
        added = {found.source for found in gallery.add(by_folder(photos, []))}
        assert len(gallery.already) == len(there) and not added & there
        assert gallery.store.extent()[0] == 500


@pytest.mark.parametrize("seed", range(2))
def test_removed_bytes_are_not_in_the_files(tmp_path: Path, seed: int) -> None:
    """Vectors, thumbnails, names, paths and digests, each piece of them, also where pages were split."""
    generator = np.random.default_rng(seed)
    file = file_of(tmp_path)
    store = SqliteStore.create(str(file), about())
    names = [f"사람-{number:03}-{'x' * number}" for number in range(20)]
    order = generator.permutation(300)
    for start in range(0, 300, 50):
        store.add([entry(names[n % 20], int(n)) for n in order[start : start + 50]])
        if start == 150:  # pages are freed and filled again
            store.remove(names[19])
    reader = SqliteStore.open(str(file))
    reader.nearest(np.eye(32, dtype=np.float32)[:1], 1)
    assert _found(file, [entry(names[n % 20], n) for n in range(5)])
    gone = generator.permutation(19)[:8]
    for number in gone:
        removed, away = store.remove(names[number])
        assert removed == 15 and away
        lost = [entry(names[number], n) for n in range(number, 300, 20)]
        assert not _found(file, lost), names[number]
    kept = [entry(names[n % 20], n) for n in range(300) if n % 20 not in (*gone, 19)]
    assert _found(file, kept) == len(kept)
    integrity = sqlite3.connect(file).execute("PRAGMA integrity_check").fetchall()
    assert integrity == [("ok",)]


def _found(file: Path, entries: list) -> int:
    """How many entries any piece of is in the file, its log or what else lies beside it."""
    data = b"".join(path.read_bytes() for path in file.parent.iterdir())
    count = 0
    for one in entries:
        vector = one.vector.tobytes()
        pieces = [one.name.encode(), one.source.encode(), one.digest.encode()]
        pieces += [vector[i : i + 16] for i in range(0, len(vector), 16)]
        pieces += [one.thumbnail[i : i + 100] for i in range(0, len(one.thumbnail), 100)]
        count += any(piece in data for piece in pieces)
    return count


def test_where_somebody_reads_the_rest_goes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "PATIENCE", 0.2)
    file = file_of(tmp_path)
    store = filled(str(file), 30)
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM entries").fetchone()
    assert store.remove("n0") == (10, False)
    lost = [entry("n0", number) for number in range(0, 30, 3)]
    assert _found(file, lost)
    reader.execute("COMMIT")
    assert store.remove("n1") == (10, True)
    assert not _found(file, lost)


def test_a_lock_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(tmp_path)
    filled(str(file), 3).close()
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(sqlite_store, "PATIENCE", 0.3)
    store = SqliteStore.open(str(file))
    with pytest.raises(UsageError, match="has been locked by another program"):
        store.add([entry("x", 100)])
    monkeypatch.setattr(sqlite_store, "PATIENCE", 60.0)
    threading.Timer(0.5, lambda: other.execute("COMMIT")).start()
    assert SqliteStore.open(str(file)).add([entry("x", 100)]) == [True]


def test_what_is_no_gallery_is_said(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("no database")
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE people (name TEXT)")
    database.commit()
    database.close()
    before = other.read_bytes()
    with pytest.raises(DataError, match=r"notes.txt: this is no gallery. Name a file"):
        SqliteStore.open(str(text))
    with pytest.raises(DataError, match=r"other.db: this is another program's database"):
        SqliteStore.open(str(other))
    with pytest.raises(UsageError, match=r"none.db is not there. Make one: boda gallery create"):
        SqliteStore.open(str(tmp_path / "none.db"))
    with pytest.raises(UsageError, match="is a folder, no gallery"):
        SqliteStore.open(str(tmp_path))
    for path in (text, other):
        with pytest.raises(UsageError, match="is there already"):
            SqliteStore.create(str(path), about())
    with pytest.raises(UsageError, match="is a folder"):
        SqliteStore.create(str(tmp_path), about())
    with pytest.raises(UsageError, match=r"cannot be used .unable to open"):
        SqliteStore.create(str(tmp_path / "none" / "g.db"), about())
    assert text.read_text() == "no database" and other.read_bytes() == before


def test_damage_is_said(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    filled(str(file), 200).close()
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xee" * (len(whole) - 4096))
    with pytest.raises(DataError, match=r"the gallery is damaged.*Restore it from a copy"):
        SqliteStore.open(str(file)).nearest(np.eye(32, dtype=np.float32)[:1], 1)
    file.write_bytes(whole)
    database = sqlite3.connect(file)
    database.execute("UPDATE entries SET vector = x'00112233' WHERE id = 5")
    database.commit()
    with pytest.raises(DataError, match="a vector has not 32 numbers"):
        SqliteStore.open(str(file)).nearest(np.eye(32, dtype=np.float32)[:1], 1)
    database.execute("UPDATE about SET value = 'x' WHERE key = 'rate'")
    database.commit()
    with pytest.raises(DataError, match="the gallery is damaged"):
        SqliteStore.open(str(file))


def test_a_creation_that_was_cut_short_can_be_begun_again(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    file.touch()
    SqliteStore.create(str(file), about()).close()
    file.unlink()
    database = sqlite3.connect(file)  # killed between the mode and the tables
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    assert file.stat().st_size
    store = SqliteStore.create(str(file), about())
    assert store.add([entry("x", 1)]) == [True]


def test_a_failed_step_takes_nothing_in(tmp_path: Path) -> None:
    store = filled(str(file_of(tmp_path)), 3)
    with pytest.raises(ValueError, match="gallery of 32 numbers"):
        store.add([entry("x", 100), entry("x", 101, dimension=16)])
    assert store.extent()[0] == 3 and store.known([entry("x", 100).digest]) == {}
    assert store.add([entry("x", 100)]) == [True]


def test_threads_may_share_a_store(tmp_path: Path) -> None:
    store = filled(str(file_of(tmp_path)), 3)
    failed: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for number in range(first, first + 10):
                store.add([entry(f"t{first}", number)])
                found = store.nearest(entry("", number).vector[None], 1)[0][0]
                assert found.name == f"t{first}"
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(100 * (1 + one),)) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and store.extent()[0] == 43
