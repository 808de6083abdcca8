"""Taking in and knowing again: who is known, who is not, what is refused; the same in both stores."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda.errors import DataError, UsageError
from boda.gallery import Gallery, embedding, export
from boda.gallery.embedding import crop, fingerprint, unit
from boda.gallery.given import by_folder, load
from boda.types import Prediction
from tests.gallery.people import DIMENSION, Colours, portrait, save

Network = Callable[[str], Colours]
STRANGERS = range(500, 540)


def fill(where: str, folder: Path, people: int = 12, each: int = 2) -> Gallery:
    """A gallery of people "사람0" …; of each picture the first numbers."""
    gallery = Gallery.create(where, "runs/match-1", rate=0.05)
    for person in range(people):
        save(folder, f"사람{person}", person, range(each))
    added = list(gallery.add(by_folder(folder, [])))
    assert len(added) == people * each and not gallery.problems
    return gallery


def test_one_knows_people_again_and_not_strangers(
    where: str, tmp_path: Path, network: Network
) -> None:
    gallery = fill(where, tmp_path / "photos")
    pictures = [portrait(person, 77) for person in (*range(12), *STRANGERS)]
    seen = list(gallery.identify(pictures))
    assert [one.source for one in seen] == [f"array {n}" for n in range(52)]
    found = [one.found[0] for one in seen]
    assert [one.name for one in found[:12]] == [f"사람{person}" for person in range(12)]
    assert sum(one.name is not None for one in found[12:]) <= 4  # 5 % of 40 are 2
    threshold = gallery.store.about.calibration.threshold
    for one in found:
        assert one.threshold == threshold and one.nearest is not None and one.box is None
        assert (one.name is not None) == (one.similarity > threshold)
    everybody = [one.found[0].name for one in gallery.identify(pictures, threshold=-1)]
    assert None not in everybody
    assert gallery.to_dict()["entries"] == 24


def test_a_picture_comes_in_once_and_under_one_name(
    where: str, tmp_path: Path, network: Network
) -> None:
    gallery = fill(where, tmp_path / "photos", people=3)
    before = gallery.embed.seen  # type: ignore[attr-defined]
    files = sorted((tmp_path / "photos" / "사람1").iterdir())
    copy = tmp_path / "copy.png"
    copy.write_bytes(files[0].read_bytes())
    assert list(gallery.add([("사람1", file) for file in (*files, copy)])) == []
    assert len(gallery.already) == 3 and not gallery.problems
    assert gallery.embed.seen == before, "what is there is not embedded again"  # type: ignore[attr-defined]
    assert list(gallery.add([("사람2", copy)])) == []
    [problem] = gallery.problems
    assert "this very picture is there as '사람1'" in str(problem) and problem.file == str(copy)
    twice = tmp_path / "new.png"
    Image.fromarray(portrait(50, 0)).save(twice)
    assert len(list(gallery.add([("새", twice), ("새", twice), ("다른", twice)]))) == 1
    assert gallery.already == [str(twice)] and "there as '새'" in gallery.problems[0].why


def test_bad_pictures_are_named_and_the_others_come_in(tmp_path: Path, network: Network) -> None:
    gallery = fill(str(tmp_path / "g.db"), tmp_path / "photos", people=2)
    good = save(tmp_path / "more", "a", 9, [0, 1])
    (tmp_path / "no.png").write_text("no picture")
    cut = tmp_path / "cut.png"
    cut.write_bytes(good[0].read_bytes()[:300])
    files = [good[0], tmp_path / "no.png", cut, tmp_path / "none.png", good[1]]
    added = [entry.source for entry in gallery.add([("새", file) for file in files])]
    assert added == [str(good[0]), str(good[1])]
    # What cannot be read is known before what cannot be decoded.
    assert {Path(p.file).name for p in gallery.problems} == {"no.png", "cut.png", "none.png"}
    seen = list(gallery.identify([*files, np.zeros((2, 2, 7), np.uint8)]))
    assert [one.source for one in seen] == [str(good[0]), str(good[1])]
    assert len(gallery.problems) == 4
    with pytest.raises(UsageError, match="a name is empty"):
        list(gallery.add([(" ", good[0])]))


def test_vectors_of_another_model_are_refused(where: str, tmp_path: Path, network: Network) -> None:
    fill(where, tmp_path / "photos", people=2).close()
    moved = Gallery.open(where, "elsewhere/match-1")
    assert next(moved.identify([portrait(0, 5)])).found[0].nearest == "사람0"
    other = Gallery.open(where, "runs/match-other")
    for work in (
        lambda: list(other.add([("x", portrait(0, 9))])),
        lambda: list(other.identify([portrait(0, 9)])),
    ):
        with pytest.raises(UsageError, match=r"runs/match-other has other weights .cdcdcdcdcdcd"):
            work()
    foreign = Gallery.create(str(tmp_path / "foreign.db"), "runs/match-other")
    with pytest.raises(UsageError, match=r"foreign.db has other weights"):
        list(other.merge(foreign))
    assert other.store.extent()[0] == 4


def test_a_gallery_moves_from_a_file_to_a_server_and_back(
    tmp_path: Path, address: str, network: Network
) -> None:
    gallery = fill(str(tmp_path / "g.db"), tmp_path / "photos")
    there = export(gallery, address)
    assert (there["kind"], there["entries"]) == ("gallery", 24) and address not in there["out"]
    export(Gallery.open(address), str(tmp_path / "back.db"))
    places = (str(tmp_path / "g.db"), address, str(tmp_path / "back.db"))
    opened = [Gallery.open(where) for where in places]
    pictures = [portrait(person, 77) for person in (*range(12), *STRANGERS)]
    answers = [[one.to_dict() for one in one_of.identify(pictures)] for one_of in opened]
    assert answers[0] == answers[1] == answers[2]
    kept = [[(e.name, e.source, e.digest, e.added, e.thumbnail) for e in one_of.store.entries()]
            for one_of in opened]  # fmt: skip
    assert kept[0] == kept[1] == kept[2]
    assert list(opened[1].merge(opened[0])) == [] and len(opened[1].already) == 24
    with pytest.raises(UsageError, match="already"):
        export(gallery, address)


def test_everybody_in_a_folder_and_as_arrays(tmp_path: Path, network: Network) -> None:
    gallery = Gallery.create(str(tmp_path / "g.db"), "runs/match-1")
    names = ["민수", "a/b", "a?b", "..", "A_B"]
    for person, name in enumerate(names):
        list(gallery.add([(name, portrait(person, n)) for n in range(2)]))
    made = export(gallery, str(tmp_path / "out"))
    assert made == {"out": str(tmp_path / "out"), "kind": "folder", "entries": 10}
    folders = {p.name for p in (tmp_path / "out").iterdir()}
    assert folders == {"민수", "a_b", "a_b-2", "_", "A_B-3", "gallery.csv"}
    lines = (tmp_path / "out" / "gallery.csv").read_text("utf-8").splitlines()
    assert lines[0] == "file,name,source,added" and len(lines) == 11
    assert lines[3].startswith("a_b/0001.jpg,a/b,array 0,")
    for entry in gallery.store.entries():
        with Image.open(io.BytesIO(entry.thumbnail)) as small:
            assert small.size == (48, 48)
    assert (tmp_path / "out" / "민수" / "0002.jpg").is_file()
    assert export(gallery, str(tmp_path / "all.npz"))["entries"] == 10
    with np.load(tmp_path / "all.npz", allow_pickle=False) as arrays:
        assert arrays["names"].tolist() == [name for name in names for _ in range(2)]
        put = np.stack([entry.vector for entry in gallery.store.entries()])
        assert arrays["vectors"].dtype == np.float32 and (arrays["vectors"] == put).all()
        assert "ab" * 32 in str(arrays["about"])
    for target in ("out", "all.npz", "g.db"):
        with pytest.raises(UsageError):
            export(gallery, str(tmp_path / target))


def test_removal_and_names_that_are_nearly_right(
    where: str, tmp_path: Path, network: Network
) -> None:
    gallery = fill(where, tmp_path / "photos", people=3)
    with pytest.raises(UsageError, match=r"knows no '사람9'. Did you mean 사람"):
        gallery.remove("사람9")
    with pytest.raises(UsageError, match=r"It knows 사람0, 사람1, 사람2."):
        gallery.remove("xyz")
    assert gallery.remove(" 사람1 ") == (2, True)
    assert [person.name for person in gallery.people()] == ["사람0", "사람2"]
    assert next(gallery.identify([portrait(1, 5)])).found[0].nearest != "사람1"
    gallery.remove("사람0")
    [seen] = gallery.identify([portrait(2, 5)])  # one name says nothing about others
    assert (seen.found[0].name, seen.found[0].threshold) == (None, None)
    assert seen.found[0].nearest == "사람2"
    gallery.remove("사람2")
    [seen] = gallery.identify([portrait(2, 5)])
    assert seen.found[0].similarity is None and seen.found[0].nearest is None


def test_the_threshold_follows_the_gallery(tmp_path: Path, network: Network) -> None:
    gallery = fill(str(tmp_path / "g.db"), tmp_path / "photos")
    first = gallery.store.about.calibration
    assert first is not None and (first.entries, first.names, first.rate) == (24, 12, 0.05)
    list(gallery.add([("하나", portrait(100, 0))]))
    assert gallery.store.about.calibration == first  # one of 24 is less than a tenth
    list(gallery.add([(f"새{n}", portrait(100 + n, 1)) for n in range(1, 20)]))
    second = gallery.store.about.calibration
    assert second is not None and second.entries == 44
    strict = gallery.settle(0.001)
    assert strict is not None and strict.rate == 0.001 and strict.threshold >= second.threshold
    assert Gallery.open(str(tmp_path / "g.db")).store.about.rate == 0.001
    for rate in (0, -1, 0.6, float("nan")):
        with pytest.raises(UsageError, match="a rate of false accepts"):
            gallery.settle(rate)
        with pytest.raises(UsageError, match="a rate of false accepts"):
            Gallery.create(str(tmp_path / "n.db"), "runs/match-1", rate)


def finds(*boxes: tuple[int, int, int, int]) -> Callable[[np.ndarray], Prediction]:
    def detector(image: np.ndarray) -> Prediction:
        found = np.array(boxes, np.float32).reshape(-1, 4)
        names = ["face"] * len(found)
        return Prediction("", image.shape[:2], boxes=found, names=names, scores=np.ones(len(found)))

    return detector


def test_faces_are_found_before_they_are_known(tmp_path: Path, network: Network) -> None:
    """Three people on a large photograph: each box is cropped with its margin, and known."""
    gallery = Gallery.create(str(tmp_path / "g.db"), "runs/match-1", rate=0.05)
    people = [(f"사람{p}", portrait(p, n)) for p in range(12) for n in range(2)]
    list(gallery.add(people))
    photo = np.full((300, 400, 3), 120, np.uint8)
    places = [(20, 30), (150, 100), (300, 200)]
    boxes = []
    for person, (x, y) in zip((3, 7, 11), places, strict=True):
        photo[y : y + 60, x : x + 60] = portrait(person, 77, side=60)
        boxes.append((x + 5, y + 5, x + 55, y + 55))  # with a tenth around it the whole portrait
    [seen] = gallery.identify([photo], finds(*boxes))
    assert [one.name for one in seen.found] == ["사람3", "사람7", "사람11"]
    told = seen.to_dict()["found"][1]
    assert told["box"] == [155, 105, 205, 155] and told["label"] == "face"
    [nobody] = gallery.identify([photo], finds())
    assert nobody.found == []
    before = gallery.store.extent()[0]
    assert list(gallery.add([("셋", photo)], finds(*boxes))) == []
    assert "the detector finds 3 on it" in gallery.problems[0].why
    assert list(gallery.add([("없음", photo)], finds())) == []
    assert "finds nothing on it" in gallery.problems[0].why
    [entry] = gallery.add([("하나", photo)], finds(boxes[0]))
    with Image.open(io.BytesIO(entry.thumbnail)) as small:
        assert small.size == (60, 60)
    assert gallery.store.extent()[0] == before + 1


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 20, 30, 60), (16, 8, 64, 32)),  # top, left, bottom, right with a tenth around
        ((0, 0, 100, 80), (0, 0, 80, 100)),
        ((95, 75, 100, 80), (74, 94, 80, 100)),
        ((10.2, 10.2, 10.4, 10.4), (10, 10, 11, 11)),
    ],
)
def test_crops(box: tuple[float, ...], expected: tuple[int, ...]) -> None:
    image = np.arange(80 * 100 * 3, dtype=np.uint32).reshape(80, 100, 3)
    top, left, bottom, right = expected
    assert (crop(image, np.array(box)) == image[top:bottom, left:right]).all()


def test_vectors_get_length_one_or_are_refused() -> None:
    values = np.array([[3.0, 4.0], [1e-30, 0], [1e30, 1e30]])
    found = unit(values, ["a", "b", "c"])
    half = np.sqrt(0.5)
    assert found.dtype == np.float32
    assert np.allclose(found, [[0.6, 0.8], [1, 0], [half, half]])
    for bad in (0.0, np.nan, np.inf):
        with pytest.raises(DataError, match=r"b.png: the network makes no direction"):
            unit(np.array([[1.0, 0], [bad, 0]]), ["a.png", "b.png"])


def test_whose_vectors_they_are_is_the_hash_of_the_weights(tmp_path: Path) -> None:
    weights = tmp_path / "run" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"abc")  # the example of FIPS 180-4
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fingerprint(str(weights.parent)) == expected
    onnx = tmp_path / "run.onnx"
    onnx.write_bytes(b"abc")
    assert fingerprint(str(onnx)) == expected
    with pytest.raises(DataError, match=r"model.safetensors: the run's weights cannot be read"):
        fingerprint(str(tmp_path / "none"))
    assert load(weights, 0).digest == expected


def test_a_classifier_makes_no_gallery(shapes_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is for classify, and makes no vectors of pictures"):
        Gallery.create(str(tmp_path / "g.db"), str(shapes_run))
    assert not (tmp_path / "g.db").exists()
    with pytest.raises(UsageError, match="is for classify, and finds no boxes"):
        embedding.detector_of(str(shapes_run))


def test_galleries_do_without_torch(tmp_path: Path, network: Network) -> None:
    fill(str(tmp_path / "g.db"), tmp_path / "photos", people=3).close()
    code = f"""
import sys
from boda.gallery import Gallery, export
gallery = Gallery.open({str(tmp_path / "g.db")!r})
gallery.people(), gallery.remove("사람1"), gallery.settle(0.1)
export(gallery, {str(tmp_path / "out")!r})
sys.exit(bool({{"torch", "psycopg"}} & set(sys.modules)))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_projection_has_the_dimension_that_is_told(tmp_path: Path, network: Network) -> None:
    gallery = Gallery.create(str(tmp_path / "g.db"), "runs/match-1")
    assert gallery.store.about.dimension == DIMENSION
    gallery.embed.projection = gallery.embed.projection[:, :8]  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"makes 8 numbers of a picture; .* holds 32"):
        list(gallery.add([("x", portrait(0, 0))]))
