"""``boda gallery``: what is told, what is refused, and with which exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda.gallery import embedding
from tests.gallery.people import portrait, save
from tests.gallery.test_gallery import finds

Boda = Callable[..., tuple[int, str, str]]


@pytest.fixture
def boda(boda: Boda, monkeypatch: pytest.MonkeyPatch, network: object, tmp_path: Path) -> Boda:
    """`boda gallery` in a folder of its own, where the run's network is at hand."""
    monkeypatch.chdir(tmp_path)
    return partial(boda, "gallery")


def test_the_whole_way_in_a_file(boda: Boda) -> None:
    for person in range(12):
        save(Path("photos"), f"사람{person}", person, range(2))
    status, out, err = boda("create", "people.db", "--run", "runs/match-1", "--far", 0.05, "--json")
    assert status == 0, err
    made = json.loads(out)
    assert (made["entries"], made["dimension"], made["threshold"]) == (0, 32, None)
    status, out, err = boda("import", "people.db", "photos")
    assert status == 0, err
    lines = out.splitlines()
    assert lines[0] == "added    사람0  photos/사람0/0.png" and len(lines) == 25
    assert lines[-1].startswith("holds    24 pictures; known above a similarity of 0.")
    Image.fromarray(portrait(40, 0)).save("하나.png")
    status, out, _ = boda("add", "people.db", "하나.png", "--name", "하나", "--json")
    added = json.loads(out)
    assert (status, added["added"]) == (0, [{"name": "하나", "source": "하나.png"}])
    assert added["entries"] == 25 and added["already"] == [] and "problems" not in added
    status, out, _ = boda("import", "people.db", "photos")
    assert out.splitlines()[0] == "already  24 pictures were there"
    for person, name in ((5, "5.png"), (40, "40.png"), (700, "700.png")):
        Image.fromarray(portrait(person, 9)).save(name)
    status, out, err = boda("identify", "people.db", "5.png", "40.png", "700.png", "--json")
    assert status == 0, err
    told = json.loads(out)["pictures"]
    assert [one["source"] for one in told] == ["5.png", "40.png", "700.png"]
    assert [one["found"][0]["name"] for one in told] == ["사람5", "하나", None]
    for one in told:
        [found] = one["found"]
        assert set(found) == {"name", "similarity", "threshold", "nearest"}
        assert (found["similarity"] > found["threshold"]) == (found["name"] is not None)
    status, out, _ = boda("identify", "people.db", "5.png", "700.png")
    lines = out.splitlines()
    assert lines[0].split()[:2] == ["5.png:", "사람5"]
    assert lines[1].startswith("700.png: unknown  ") and "(nearest 사람" in lines[1]
    status, out, _ = boda("list", "people.db", "--json")
    listed = json.loads(out)
    assert [one["name"] for one in listed["names"]] == sorted(
        [*(f"사람{n}" for n in range(12)), "하나"]
    )
    assert listed["model"] == "ab" * 32 and listed["rate"] == 0.05
    status, out, _ = boda("list", "people.db")
    assert "25 pictures of 13 names" in out and "5 % of unknown people" in out
    status, out, _ = boda("remove", "people.db", "--name", "하나", "--json")
    assert json.loads(out) == {"gallery": "people.db", "name": "하나", "removed": 1, "gone": True}
    status, out, _ = boda("calibrate", "people.db", "--far", 0.2)
    assert status == 0 and "20 % of unknown people are taken for somebody (measured)" in out
    status, out, _ = boda("export", "people.db", "out", "--json")
    assert json.loads(out) == {
        "gallery": "people.db",
        "out": "out",
        "kind": "folder",
        "entries": 24,
    }
    status, out, _ = boda("export", "people.db", "copy.db")
    assert out == "written  copy.db: gallery, 24 pictures\n"
    status, out, _ = boda("import", "copy.db", "people.db", "--json")
    assert len(json.loads(out)["already"]) == 24


def test_unreadable_pictures_are_named_at_the_end(boda: Boda) -> None:
    boda("create", "g.db", "--run", "r")
    good = save(Path("in"), "a", 1, [0, 1])
    Path("in/a/bad.png").write_text("no picture")
    status, out, err = boda("add", "g.db", "in/a", "--name", "a")
    assert status == 2 and out.count("added") == 2
    assert "in/a/bad.png: is not a picture" in err and "Traceback" not in err
    assert "holds    2 pictures; known nobody yet: two names at least are needed" in out
    status, out, err = boda("add", "g.db", good[0], "--name", "b", "--json")
    told = json.loads(out)
    assert status == 2 and told["added"] == [] and "there as 'a'" in told["problems"][0]["why"]
    status, out, err = boda("identify", "g.db", "in/a", "--json")
    told = json.loads(out)
    assert status == 2 and len(told["pictures"]) == 2 and len(told["problems"]) == 1
    assert told["pictures"][0]["found"][0]["name"] is None
    assert "fewer than two names" in err and "--threshold" in err
    status, out, _ = boda("identify", "g.db", good[0], "--threshold", 0.5)
    assert status == 0 and out.startswith("in/a/0.png: a  1.000")
    Path("in/stray.png").write_bytes(good[0].read_bytes())
    status, out, err = boda("import", "g.db", "in")
    assert status == 2 and "stray.png: not read: the picture lies in no name folder" in err


def test_boxes_of_a_detector(boda: Boda, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def detector_of(run: str, conf: float | None = None) -> object:
        asked.append((run, conf))
        return finds((5, 5, 55, 55), (65, 5, 115, 55))

    boda("create", "g.db", "--run", "r")
    for person in range(6):
        boda("add", "g.db", *save(Path("in"), f"n{person}", person, [0]), "--name", f"n{person}")
    photo = np.full((60, 120, 3), 120, np.uint8)
    photo[:, :60], photo[:, 60:] = portrait(4, 9, 60), portrait(2, 9, 60)
    Image.fromarray(photo).save("party.png")
    monkeypatch.setattr(embedding, "detector_of", detector_of)
    command = ("identify", "g.db", "party.png", "--detector", "runs/detect-1")
    status, out, err = boda(*command, "--conf", 0.4, "--json")
    assert status == 0, err
    assert asked == [("runs/detect-1", 0.4)]
    [picture] = json.loads(out)["pictures"]
    assert [one["nearest"] for one in picture["found"]] == ["n4", "n2"]
    assert picture["found"][0]["box"] == [5, 5, 55, 55]
    status, out, _ = boda(*command)
    assert "  at 5 5 55 55" in out
    status, out, err = boda("add", "g.db", "party.png", "--name", "x", "--detector", "d")
    assert status == 2 and "the detector finds 2 on it" in err


def test_what_is_refused(boda: Boda) -> None:
    boda("create", "g.db", "--run", "r")
    save(Path("in"), "민수", 1, [0])
    boda("import", "g.db", "in")
    Path("text.db").write_text("no database")
    Path("empty").mkdir()
    cases: list[tuple[tuple[object, ...], str]] = [
        (("create", "g.db", "--run", "r"), "g.db is there already"),
        (("create", "h.db", "--run", "r", "--far", 2), "a rate of false accepts of 2"),
        (("list", "none.db"), "none.db is not there. Make one: boda gallery create none.db"),
        (("list", "text.db"), "text.db: this is no gallery"),
        (("remove", "g.db", "--name", "민슈"), "g.db knows no '민슈'. Did you mean 민수?"),
        (("add", "g.db", "none.png", "--name", "x"), "none.png: there is nothing at this path"),
        (("add", "g.db", "in", "--name", " "), "a name is empty"),
        (("add", "g.db", "in", "--name", "x", "--run", "r-other"), "has other weights"),
        (("identify", "g.db", "in", "--run", "r-other"), "has other weights"),
        (("identify", "g.db", "in", "--conf", 0.3), "--conf belongs to --detector"),
        (("import", "g.db", "empty"), "empty"),
        (("import", "g.db", "none"), "there is nothing at this path"),
        (("export", "g.db", "in"), "in is not empty"),
        (("calibrate", "g.db", "--far", 0), "above 0, at most 0.5"),
    ]
    for arguments, why in cases:
        status, out, err = boda(*arguments)
        assert status == 2 and not out, arguments
        assert why in err and "Traceback" not in err, err
    assert not Path("h.db").exists()
    status, out, _ = boda("list", "g.db", "--json")
    assert json.loads(out)["entries"] == 1


def test_a_server_that_is_not_there_and_a_password(boda: Boda) -> None:
    pytest.importorskip("psycopg", reason="needs psycopg: the extra postgres")
    address = "postgresql://minsu:geheim@127.0.0.1:1/people?password=geheim&connect_timeout=2"
    status, out, err = boda("list", address)
    assert status == 2 and not out and "geheim" not in err and "Traceback" not in err
    assert "postgresql://minsu@127.0.0.1:1/people" in err and "cannot be used" in err


def test_without_psycopg_the_extra_is_named(boda: Boda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    status, _, err = boda("list", "postgresql://host/people")
    assert status == 2 and 'pip install "boda[postgres]"' in err


def test_in_postgresql(boda: Boda, address: str) -> None:
    status, _, err = boda("list", address)
    assert status == 2 and "there is no gallery in postgresql://" in err
    boda("create", address, "--run", "r")
    for person in range(6):
        boda("add", address, *save(Path("in"), f"n{person}", person, [0]), "--name", f"n{person}")
    Image.fromarray(portrait(3, 9)).save("3.png")
    status, out, err = boda("identify", address, "3.png", "--json")
    assert status == 0, err
    assert json.loads(out)["pictures"][0]["found"][0]["nearest"] == "n3"
    status, out, _ = boda("remove", address, "--name", "n3", "--json")
    assert json.loads(out)["removed"] == 1
    status, out, _ = boda("list", address, "--json")
    assert [one["name"] for one in json.loads(out)["names"]] == ["n0", "n1", "n2", "n4", "n5"]


def test_help_and_listing_import_no_torch(boda: Boda, tmp_path: Path) -> None:
    boda("create", "g.db", "--run", "r")
    for arguments in (["--help"], ["add", "--help"], ["list", "g.db"]):
        code = (
            f"import sys; sys.argv = ['boda', 'gallery', *{arguments!r}]\n"
            "from boda.cli import main\n"
            "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
            "heavy = {'torch', 'psycopg', 'sklearn', 'scipy'}\n"
            f"heavy |= {{'numpy', 'sqlite3'}} if '--help' in {arguments!r} else set()\n"
            "print(heavy & set(sys.modules), file=sys.stderr)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stderr.strip() == "set()"
