"""Drawn pictures: labels against plain loops and against the colours that were drawn there."""

from __future__ import annotations

import csv
import itertools
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from boda.cli.synthesizing import register
from boda.data import drawing, drawn_faces, synthetic, synthetic_folder
from boda.data.check import check
from boda.data.outlines import polygons
from boda.data.readers import read
from boda.data.synthetic import POINTS, SHAPES, dataset, day_night, domain, face, scene, single
from boda.errors import BodaError, Stopped, UsageError
from boda.types import Sample

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
register(app)


@app.command()
def other() -> None:
    """With two commands typer asks for a name, as in the whole program."""


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["synth", *(str(a) for a in arguments), "--json"])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def refused(*arguments: object) -> BodaError:
    result = CliRunner().invoke(app, ["synth", *(str(a) for a in arguments)])
    assert isinstance(result.exception, BodaError), result.output
    return result.exception


def extent(mask: np.ndarray) -> list[float]:
    """The box of a mask, looked for pixel by pixel."""
    x1, y1, x2, y2 = mask.shape[1], mask.shape[0], 0, 0
    for y, row in enumerate(mask.tolist()):
        for x, inside in enumerate(row):
            if inside:
                x1, y1, x2, y2 = min(x1, x), min(y1, y), max(x2, x + 1), max(y2, y + 1)
    return [x1, y1, x2, y2]


def filled(outlines: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """How many polygons each pixel's centre is in, by the crossings to its right."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    count = np.zeros(shape, int)
    for outline in outlines:
        inside = np.zeros(shape, bool)
        for (x1, y1), (x2, y2) in zip(outline, np.roll(outline, -1, 0), strict=True):
            if y1 != y2:
                crossing = x1 + (y - y1) / (y2 - y1) * (x2 - x1)
                inside ^= ((y1 > y) != (y2 > y)) & (x < crossing)
        count += inside
    return count


def same(one: Sample, other: Sample) -> bool:
    return one.image.tobytes() == other.image.tobytes()


@pytest.mark.parametrize("draw", [scene, single, domain])
def test_boxes_are_the_extents_of_the_masks(draw: Any) -> None:
    for index in range(12):
        sample = draw(3, index, 64)
        assert sample.boxes.dtype == np.float32 and sample.masks.dtype == bool
        assert sample.boxes.tolist() == [extent(mask) for mask in sample.masks]
        assert (sample.masks.sum(0) <= 1).all()  # what is seen is of one object
        semantic = np.zeros((64, 64))
        for label, mask in zip(sample.labels.tolist(), sample.masks, strict=True):
            semantic += (label + 1) * mask
        assert (semantic == sample.semantic).all() and sample.semantic.dtype == np.uint8
        assert sample.areas.tolist() == [mask.sum() for mask in sample.masks]
        assert sample.image.shape == (64, 64, 3) and sample.size == (64, 64)


def test_masks_are_where_the_objects_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each object has a hue of its own, on a ground that is blue alone; a rim has its object's hue."""
    hues = itertools.cycle(np.radians([10, 20, 30, 40, 50, 60, 70, 80]))
    monkeypatch.setattr(synthetic, "GRAIN", 0)
    monkeypatch.setattr(
        synthetic, "ground", lambda _, size: np.full((size, size, 3), (0, 0, 200), np.float32)
    )
    monkeypatch.setattr(synthetic, "lamp_posts", lambda *_: np.zeros((0, 2)))
    monkeypatch.setattr(synthetic, "shaded", lambda colour, *_: colour)

    def next_hue(*_: object) -> np.ndarray:
        angle = next(hues)
        return np.array([np.cos(angle), np.sin(angle), 0]) * 250

    monkeypatch.setattr(synthetic, "contrasting", next_hue)
    edges = covered = 0
    for index in range(16):
        hues = itertools.cycle(np.radians([10, 20, 30, 40, 50, 60, 70, 80]))
        sample = scene(0, index, 64)
        assert sample.masks is not None
        red, green, blue = sample.image.astype(float).transpose(2, 0, 1)
        hue = np.degrees(np.arctan2(green, red))
        owner = np.zeros((64, 64), int)
        for number, mask in enumerate(sample.masks, start=1):
            owner[mask] = number
        mixed = 0
        for y in range(1, 63):
            for x in range(1, 63):
                around, number = owner[y - 1 : y + 2, x - 1 : x + 2], owner[y, x]
                assert blue[y, x] <= 101 if number else blue[y, x] >= 50
                if not number and len(set(around.ravel())) == 2:  # beside one object alone
                    edges, covered = edges + 1, covered + (blue[y, x] < 99)
                if (around == number).all():  # nothing of another, but for the tip of a star
                    pure = blue[y, x] < 1 and abs(hue[y, x] - 10 * number) < 1
                    mixed += not (pure if number else (red[y, x], blue[y, x]) == (0, 200))
        assert mixed <= 3 * len(sample.masks)
    assert covered < 0.003 * edges  # where the tip of another is near


def test_a_mask_has_the_pixels_that_are_half_covered() -> None:
    corners = np.array([[10.0, 12.0], [20.0, 12.0], [20.0, 17.0], [10.0, 17.0]])
    mask = drawing.cover(corners).mask(32)
    assert mask.sum() == 50 and mask[12:17, 10:20].all()
    assert drawing.cover(corners + np.array([0.4, -0.4])).mask(32)[12:17, 10:20].all()
    moved = drawing.cover(corners + np.array([-14, 0])).mask(32)  # partly outside
    assert moved.sum() == 30 and moved[12:17, :6].all()
    assert not drawing.cover(corners + np.array([40, 0])).mask(32).any()
    star = drawing.OUTLINES["star"] * 20 + (31.3, 30.8)
    mask, inside = drawing.cover(star).mask(64), filled([star], (64, 64)) == 1
    assert np.abs(mask.sum() / inside.sum() - 1) < 0.03
    assert (mask == drawing.cover(star, 64).mask(64)).all()
    # It differs from the pixels whose middles are inside at the edge alone.
    for y, x in zip(*np.nonzero(mask != inside), strict=True):
        assert len(np.unique(inside[y - 1 : y + 2, x - 1 : x + 2])) == 2


def test_at_least_half_is_seen_of_every_object() -> None:
    hidden = 0
    for index in range(150):
        generator = np.random.default_rng(index)
        _, _, things = synthetic._scene(generator, 48, 8, SHAPES)
        assert things  # no scene is empty
        for thing in things:
            whole = (thing.patch.coverage >= 128).sum()
            assert whole / 2 <= thing.seen.sum() <= whole
            hidden += thing.seen.sum() < 0.9 * whole
    assert hidden > 50


def test_the_picture_depends_on_seed_index_and_size_alone() -> None:
    for draw in (scene, single, face, domain, day_night):
        first = draw(5, 7, 64)
        draw(6, 1, 32)
        assert same(first, draw(5, 7, 64))
        assert not same(first, draw(4, 7, 64)) and not same(first, draw(5, 8, 64))
    assert not same(domain(5, 7, 64, "A"), domain(5, 7, 64, "B"))


def test_a_larger_picture_is_the_same_scene() -> None:
    matching = 0
    for index in range(20):
        small, large = scene(2, index, 128), scene(2, index, 256)
        if small.labels.tolist() == large.labels.tolist():
            matching += np.abs(2 * small.boxes - large.boxes).max() <= 3
    assert matching >= 15


def test_every_shape_comes_and_some_pictures_are_empty() -> None:
    counts = [len(scene(0, index, 32).labels) for index in range(40)]
    assert min(counts) >= 1 and max(counts) >= 6
    singles = [single(0, index, 32) for index in range(200)]
    empty = [sample for sample in singles if len(sample.labels) == 0]
    assert 20 <= len(empty) <= 60  # a fifth is meant
    assert all(s.boxes.shape == (0, 4) and s.masks.shape == (0, 32, 32) for s in empty)
    labels = [int(sample.labels[0]) for sample in singles if len(sample.labels)]
    assert min(np.bincount(labels, minlength=len(SHAPES))) > 10
    for name, label in (("A", 0), ("B", 2)):
        assert {n for i in range(10) for n in domain(0, i, 32, name).labels.tolist()} == {label}


def test_points_lie_where_they_are_drawn() -> None:
    pairs = [
        (i, POINTS.index(n.replace("left", "right"))) for i, n in enumerate(POINTS) if "left" in n
    ]
    assert len(POINTS) == 10 and len(pairs) == 4
    away = []
    for index in range(30):
        sample = face(1, index, 192)
        assert sample.points is not None and sample.points.shape == (10, 2)
        assert (sample.points > 2).all() and (sample.points < 190).all()
        picture = sample.image.astype(int)
        at = {i: picture[int(y), int(x)] for i, (x, y) in enumerate(sample.points)}
        for eye in (0, 1):
            assert np.abs(at[eye] - drawn_faces.PUPIL).max() <= synthetic.GRAIN + 1
            away.append(middle_of_pupil(picture, sample.points[eye]) - sample.points[eye])
        for left, right in pairs:  # both ears, brows and corners of the mouth have one colour
            assert np.abs(at[left] - at[right]).max() <= 2 * synthetic.GRAIN + 1, POINTS[left]
            assert sample.points[left, 0] > sample.points[right, 0]  # the person's own left
    for index in range(30):  # small ones
        sample = face(1, index, 64)
        for eye in sample.points[:2]:
            away.append(middle_of_pupil(sample.image.astype(int), eye) - eye)
    assert np.abs(away).max() < 0.3 and np.abs(np.mean(away, 0)).max() < 0.05


def middle_of_pupil(picture: np.ndarray, point: np.ndarray) -> np.ndarray:
    """The mean of the dark pixels' middles around a point, the darker ones counting more."""
    y, x = np.mgrid[: len(picture), : len(picture)] + 0.5
    dark = np.clip(50 - picture.max(2), 0, 38) * (np.hypot(x - point[0], y - point[1]) < 4)
    return np.array([(x * dark).sum(), (y * dark).sum()]) / dark.sum()


def test_night_is_the_same_scene_in_the_dark() -> None:
    for index in range(10):
        pair, night = day_night(0, index, 96), scene(0, index, 96, night=True)
        day = scene(0, index, 96)
        assert pair.target is not None and same(pair, day)
        assert pair.target.tobytes() == night.image.tobytes()
        assert night.boxes.tolist() == day.boxes.tolist()
        assert (night.masks == day.masks).all()
        # Dark, and blue keeps more of its light than red where no lamp is near.
        assert night.image.mean() < 0.65 * day.image.mean()
        dark = np.percentile(night.image.sum(2) / (day.image.sum(2) + 30), 40)
        far = night.image.sum(2) / (day.image.sum(2) + 30) <= dark
        kept = night.image[far].mean(0) / day.image[far].mean(0)
        assert kept[2] > 1.3 * kept[0]
        # Edges lie on edges: nowhere else do they agree as well.
        edges = [np.hypot(*np.gradient(i.image.mean(2)))[4:-4, 4:-4] for i in (day, night)]
        scores = {
            (y, x): np.corrcoef(edges[0].ravel(), np.roll(edges[1], (y, x), (0, 1)).ravel())[0, 1]
            for y in (-2, -1, 0, 1, 2)
            for x in (-2, -1, 0, 1, 2)
        }
        assert max(scores, key=lambda shift: scores[shift]) == (0, 0)


@pytest.mark.parametrize(("kind", "task"), list(synthetic.KINDS.items()))
def test_a_data_set_in_memory(kind: str, task: str) -> None:
    data = dataset(20, 48, seed=3, kind=kind)
    assert {split: len(part) for split, part in data.splits.items()} == {
        "train": 14,
        "val": 3,
        "test": 3,
    }
    assert data.task == task and data.classes == list(POINTS if kind == "faces" else SHAPES)
    samples = [sample for part in data.splits.values() for sample in part]
    assert [sample.id for sample in samples] == [f"{i:04}.png" for i in range(20)]
    again = pickle.loads(pickle.dumps(samples[16]))  # as workers are given them
    wanted = synthetic.DRAWERS[kind](3, 16, 48)
    assert again.read().tobytes() == wanted.image.tobytes() == again.image.tobytes()
    assert again.masks is None
    if kind == "scenes":
        assert (again.boxes == wanted.boxes).all()
        with_masks = dataset(20, 48, seed=3, masks=True).splits["test"][-4 + 3]
        assert (with_masks.masks == scene(3, 19, 48).masks).all()
    report = check(data, workers=1)
    assert report.errors == [] and all(s.all() for s in report.sound.values())


def test_what_it_refuses() -> None:
    for call, why in (
        (lambda: scene(-1, 0), "0 or more"),
        (lambda: face(0, 0, 31), "32 to 4096"),
        (lambda: domain(0, 0, name="C"), "Known: A, B"),
        (lambda: dataset(2), "3 or more"),
        (lambda: dataset(5, kind="scene"), "Did you mean scenes"),
    ):
        with pytest.raises(UsageError, match=why):
            call()


def test_polygons_say_masks_exactly() -> None:
    generator = np.random.default_rng(0)
    masks = [generator.random((9, 11)) < share for share in np.linspace(0, 1, 200)]
    ring = np.zeros((12, 12), bool)
    ring[1:11, 1:11] = True
    ring[3:6, 4:8] = ring[7, 7] = ring[8, 8] = False
    masks += [ring, *scene(0, 1, 96).masks]
    for mask in masks:
        outlines = polygons(mask)
        assert (filled(outlines, mask.shape) == mask).all()  # and no pixel twice
        for outline in outlines:
            steps = np.roll(outline, -1, 0) - outline
            assert len(outline) >= 4 and ((steps == 0).sum(1) == 1).all()
            turns = (
                steps[:, 0] * np.roll(steps, -1, 0)[:, 1]
                - steps[:, 1] * np.roll(steps, -1, 0)[:, 0]
            )
            assert (turns != 0).all()  # no corner is idle
    assert polygons(np.zeros((3, 3), bool)) == []
    assert polygons(np.ones((2, 3), bool))[0].tolist() in [
        list(np.roll([[0, 0], [3, 0], [3, 2], [0, 2]], n, 0).tolist()) for n in range(4)
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("drawn") / "그림"
    return out, run(out, "--count", 40, "--size", 48, "--seed", 2)


def test_the_scenes_are_clean_and_exact(written: tuple[Path, dict[str, Any]]) -> None:
    out, told = written
    data = read(out / "scenes")
    report = check(data)
    assert report.problems == []
    assert (data.format, data.classes) == ("coco", list(SHAPES))
    splits = {split: len(part) for split, part in data.splits.items()}
    assert splits == told["splits"] == {"train": 28, "val": 6, "test": 6}
    samples = [(split, sample) for split, part in data.splits.items() for sample in part]
    assert told["boxes"] == sum(len(sample.labels) for _, sample in samples)
    for index, (split, sample) in enumerate(samples):
        wanted = scene(2, index, 48)
        assert sample.id == f"{index:04}.png" and same(sample, wanted)
        assert (sample.boxes == wanted.boxes).all() and (sample.labels == wanted.labels).all()
        assert sample.areas.tolist() == wanted.areas.tolist()
        for outlines, mask in zip(sample.outlines, wanted.masks, strict=True):
            assert (filled(outlines, (48, 48)) == mask).all()
        semantic = np.asarray(Image.open(out / "scenes" / "semantic" / split / sample.id))
        assert (semantic == wanted.semantic).all()
        instances = np.asarray(Image.open(out / "scenes" / "instances" / split / sample.id))
        assert instances.max() == len(wanted.masks)
        for number, mask in enumerate(wanted.masks, start=1):
            assert ((instances == number) == mask).all()
        pair = np.asarray(Image.open(out / "day_night" / split / sample.id))
        assert (pair[:, :48] == wanted.image).all()
        assert (pair[:, 48:] == scene(2, index, 48, night=True).image).all()


def test_objects_faces_and_domains(written: tuple[Path, dict[str, Any]]) -> None:
    out, told = written
    report = check(read(out / "objects", "coco"))
    assert report.errors == []
    objects = [s for part in report.dataset.splits.values() for s in part]
    empty = [s.id for s in objects if not len(s.labels)]
    assert len(empty) == told["empty"] > 0
    assert empty == [f"{i:04}.png" for i in range(40) if not len(single(2, i, 48).labels)]
    with open(out / "faces" / "test.csv", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[:4] == ["file", "left_eye_x", "left_eye_y", "right_eye_x"] and len(rows) == 6
    assert told["points"] == [name.removesuffix("_x") for name in header[1::2]]
    for index, row in zip(range(34, 40), rows, strict=True):
        sample = face(2, index, 48)
        assert (np.asarray(Image.open(out / "faces" / row[0])) == sample.image).all()
        np.testing.assert_allclose([float(v) for v in row[1:]], sample.points.ravel(), atol=6e-4)
    for name in "AB":
        picture = np.asarray(
            Image.open(out / "domains" / f"test{name}" / f"{name.lower()}0039.png")
        )
        assert (picture == domain(2, 39, 48, name).image).all()
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) == 40 * 8 + 2 * 3 + 3 + 2  # JSONs, CSVs, classes.txt and README.txt
    text = (out / "README.txt").read_text("utf-8")
    assert "--count 40 --size 48 --seed 2" in text and "6 heart" in text


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, "--count", 3, "--size", 32, "--seed", seed)
    content = {
        name: {
            p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")
        }
        for name in "abc"
        if not (tmp_path / name).is_file()
    }
    assert content["a"] == content["b"] and content["a"].keys() == content["c"].keys()
    changed = [p for p, data in content["a"].items() if data != content["c"][p]]
    assert len([p for p in changed if p.suffix == ".png"]) >= 3 * 6


def test_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    assert "is not empty" in str(refused(tmp_path / "full", "--count", 3))
    assert "3 or more" in str(refused(tmp_path / "out", "--count", 2))
    assert "100,000" in str(refused(tmp_path / "out", "--count", 100_001))
    assert "32 to 4096" in str(refused(tmp_path / "out", "--size", 8))
    assert "0 or more" in str(refused(tmp_path / "out", "--seed", -1))

    def stop(*_: object) -> Sample:
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "domain", stop)
    error = refused(tmp_path / "out", "--count", 3, "--size", 32)
    assert isinstance(error, Stopped) and error.exit_status == 130
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "x"]


def test_drawing_needs_no_torch() -> None:
    code = "import sys, boda.data.synthetic_folder; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_a_person_reads(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["synth", str(tmp_path / "out"), "--count", "4", "--size", "32"]
    )
    assert result.exit_code == 0
    assert "4 of each kind (2 train, 1 val, 1 test), 32×32" in result.stdout
    assert "circle, square, triangle, star, cross, heart" in result.stdout


def test_one_kind_alone(tmp_path: Path) -> None:
    told = synthetic_folder.write(tmp_path / "a", 6, 32, 0, kinds=("faces", "objects"))
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["README.txt", "faces", "objects"]
    assert told["kinds"] == ["objects", "faces"] and told["boxes"] == 0
    text = (tmp_path / "a" / "README.txt").read_text("utf-8")
    assert "--kind objects --kind faces" in text and "boda check objects" in text
    assert "scenes/" not in text and "domains/" not in text and "10 points" in text
    synthetic_folder.write(tmp_path / "b", 6, 32, 0)
    one, other = (tmp_path / x / "objects" / "train" / "0001.png" for x in "ab")
    assert one.read_bytes() == other.read_bytes()
    with pytest.raises(UsageError, match="faces"):
        synthetic_folder.write(tmp_path / "c", 6, 32, 0, kinds=("face",))
    assert not (tmp_path / "c").exists()
