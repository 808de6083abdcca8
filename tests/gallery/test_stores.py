"""What every store does, on SQLite and on a real PostgreSQL with pgvector: one contract, two places."""

from __future__ import annotations

import io
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda.errors import UsageError
from boda.gallery.calibration import calibrate
from boda.gallery.records import Calibration, clean_name, printable, thumbnail
from boda.gallery.store import Store, create_store, open_store
from tests.gallery.people import DIMENSION, about, digest, entry
from tests.gallery.test_search import directions, plainly

ROOT = str(Path(__file__).parents[2])
WRITER = """
import sys
from boda.gallery.store import open_store
from tests.gallery.people import entry
where, first = sys.argv[1], int(sys.argv[2])
store = open_store(where)
for number in range(first, first + 40, 4):
    taken = store.add([entry(f"n{first}", n) for n in (*range(number, number + 4), 7)])
    assert taken[:4] == [True] * 4
"""


def filled(where: str, count: int, names: int = 3) -> Store:
    store = create_store(where, about())
    assert store.add([entry(f"n{number % names}", number) for number in range(count)]) == (
        [True] * count
    )
    return store


def test_what_is_put_in_is_there(where: str) -> None:
    store = filled(where, 7)
    found = list(open_store(where).entries())
    expected = [entry(f"n{number % 3}", number) for number in range(7)]
    for there, put in zip(found, expected, strict=True):
        assert (there.vector == put.vector).all() and there.vector.dtype == np.float32
        same = replace(there, vector=put.vector, added=put.added)
        assert same == replace(put, vector=put.vector)
    assert store.extent()[0] == 7 and store.extent()[1] >= 7
    people = store.people()
    assert [(p.name, p.pictures) for p in people] == [("n0", 3), ("n1", 2), ("n2", 2)]
    ids, names = store.labels()
    assert names == ["n0", "n1", "n2", "n0", "n1", "n2", "n0"] and (np.diff(ids) > 0).all()
    assert (store.vectors(ids[[5, 1]]) == np.stack([expected[5].vector, expected[1].vector])).all()
    blocks = list(store.blocks())
    assert [name for some, _ in blocks for name in some] == names
    assert (np.concatenate([v for _, v in blocks]) == [e.vector for e in expected]).all()


def test_a_picture_is_there_once(where: str) -> None:
    store = filled(where, 3)
    again, twice = entry("x", 1), entry("y", 50)
    assert store.add([again, twice, twice]) == [False, True, False]
    assert store.known([again.digest, twice.digest, "f" * 64]) == {
        again.digest: "n1",
        twice.digest: "y",
    }
    assert store.extent()[0] == 4


def test_search_equals_plain_loops(where: str) -> None:
    store = filled(where, 60)
    vectors = np.stack([entry("", number).vector for number in range(60)])
    ids, names = store.labels()
    queries = directions(4, DIMENSION, seed=5)
    for query, matches in zip(queries, store.nearest(queries, 5), strict=True):
        expected = plainly(query, vectors, 5)
        assert [match.id for match in matches] == [ids[row] for row, _ in expected]
        assert [match.name for match in matches] == [names[row] for row, _ in expected]
        assert np.allclose([m.similarity for m in matches], [s for _, s in expected], atol=1e-12)


def test_an_empty_gallery_finds_nobody(where: str) -> None:
    store = create_store(where, about())
    assert store.extent() == (0, 0) and store.people() == [] and list(store.entries()) == []
    assert store.nearest(directions(2, DIMENSION), 3) == [[], []]
    assert store.remove("n0")[0] == 0


def test_names_are_sorted_by_code_point(where: str) -> None:
    store = create_store(where, about())
    names = ["나", "é", "a", "B", "가", "_", "Z", "é"[0] + "z", "𐍈"]
    store.add([entry(name, number) for number, name in enumerate(names)])
    assert [person.name for person in store.people()] == sorted(names)


def test_a_search_sees_what_others_did_meanwhile(where: str) -> None:
    """A store that has searched, and therefore holds vectors in memory, follows every change."""
    warm, other = filled(where, 8), open_store(where)
    generator, alive = np.random.default_rng(0), {n: f"n{n % 3}" for n in range(8)}
    number = 8
    for _ in range(25):
        who = warm if generator.integers(3) == 0 else other
        if generator.integers(3) and number < 60:
            more = range(number, number + int(generator.integers(1, 4)))
            who.add([entry(f"n{n % 5}", n) for n in more])
            alive |= {n: f"n{n % 5}" for n in more}
            number = more.stop
        else:
            name = f"n{generator.integers(5)}"
            assert who.remove(name)[0] == sum(v == name for v in alive.values())
            alive = {n: v for n, v in alive.items() if v != name}
        query = directions(1, DIMENSION, seed=number)
        vectors = {n: entry("", n).vector for n in alive}
        near = plainly(query[0], np.stack([*vectors.values()]), 3) if alive else []
        expected = [list(alive)[row] for row, _ in near]
        for store in (warm, other):
            found = store.nearest(query, 3)[0]
            assert [match.name for match in found] == [alive[n] for n in expected]
            assert store.extent()[0] == len(alive) == len(store.labels()[1])


def test_several_writers_lose_nothing(where: str) -> None:
    """Six processes at once, each its own pictures and one that all of them have."""
    create_store(where, about()).close()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, where, str(1000 * (1 + one))],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for one in range(6)
    ]
    for writer in writers:
        _, said = writer.communicate(timeout=300)
        assert writer.returncode == 0, said
    found = list(open_store(where).entries())
    numbers = {digest(n): n for one in range(6) for n in range(1000 * (1 + one), 1000 * one + 1040)}
    numbers[digest(7)] = 7
    assert {e.digest for e in found} == set(numbers) and len(found) == 6 * 40 + 1
    for there in found:
        number = numbers[there.digest]
        assert (there.vector == entry("", number).vector).all()
        assert number == 7 or there.name == f"n{1000 * (number // 1000)}"


def test_a_calibration_is_kept(where: str) -> None:
    store, other = filled(where, 12), open_store(where)
    found = calibrate(store, 0.05)
    assert found is not None and 0 < found.threshold <= 1 and found.entries == 12
    store.calibrated(found, 0.05)
    assert other.about.calibration is None
    assert other.refresh() == store.about == replace(about(), calibration=found, rate=0.05,
                                                     created=store.about.created)  # fmt: skip
    store.calibrated(None, 0.05)
    assert other.refresh().calibration is None


def test_one_place_holds_one_gallery(where: str) -> None:
    filled(where, 2).close()
    with pytest.raises(UsageError, match="already"):
        create_store(where, about())
    assert open_store(where).extent()[0] == 2


def test_a_newer_gallery_is_left_alone(where: str) -> None:
    store = filled(where, 2)
    if where.startswith("postgresql"):
        change = "UPDATE boda_gallery_about SET value = '2' WHERE key = 'format'"
    else:
        change = "PRAGMA user_version = 2"
    store._database.execute(change)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"newer boda .format 2; this one reads 1.*Update boda"):
        open_store(where)


def test_what_lies_in_the_database_is_plain(where: str) -> None:
    """A gallery of a run that was measured and moved reads as it was written, Hangul and all."""
    said = replace(
        about(0x10), run="/실험/run 1", calibration=Calibration(0.25, 0.01, True, 300, 9, 900, 901)
    )
    create_store(where, said).close()
    assert open_store(where).about == said


def test_both_stores_give_the_same_answers(tmp_path: Path, address: str) -> None:
    """Also with look-alikes that float32 hardly tells apart: the same names and the same bits."""
    generator = np.random.default_rng(11)
    base = generator.normal(size=(40, 64))
    values = np.repeat(base, 25, 0) + generator.normal(size=(1000, 64)) * 1e-6
    values[500:] = generator.normal(size=(500, 64))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    stores = [create_store(where, about(64)) for where in (str(tmp_path / "g.db"), address)]
    for store in stores:
        for start in range(0, 1000, 100):
            some = range(start, start + 100)
            put = [
                replace(entry(f"n{n // 25}", n, 2), vector=values[n].astype(np.float32))
                for n in some
            ]
            store.add(put)
    queries = np.concatenate([values[:40:8], directions(20, 64, seed=2)]).astype(np.float32)
    first, second = (store.nearest(queries, 5) for store in stores)
    assert first == second
    found, other = (calibrate(store, 0.01) for store in stores)
    assert found == other and found is not None and found.measured


def test_names_and_paths_become_plain_text() -> None:
    assert clean_name("  " + unicodedata.normalize("NFD", "민수 ")) == "민수"
    for bad in ("", " \t", "a\nb", "a\0", "\udc80", "x" * 201):
        with pytest.raises(UsageError, match="name"):
            clean_name(bad)
    assert printable("사진/\udcff.jpg\0") == "사진/\\udcff.jpg"
    picture = np.zeros((300, 200, 3), np.uint8)
    with Image.open(io.BytesIO(thumbnail(picture))) as small:
        assert small.size == (64, 96) and small.format == "JPEG"
    with Image.open(io.BytesIO(thumbnail(picture[:20, :10]))) as same:
        assert same.size == (10, 20)
