"""The readers of classes of pixels: the same maps out of every format and kind, every wrong one named."""

from __future__ import annotations

import json
import pickle
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda.data.check import check
from boda.data.readers import read
from boda.data.readers.voc_segmentation import palette
from boda.errors import DataError, Problem
from boda.types import Dataset
from tests.data import map_sets
from tests.data.detection_sets import pictures, write
from tests.data.map_sets import CLASSES, COLOURS, NAMED, TRUTH, save


def told(dataset: Dataset) -> dict[str, np.ndarray]:
    """Picture → its map."""
    every = (sample for samples in dataset.splits.values() for sample in samples)
    return {Path(sample.id).name: sample.class_map for sample in every}


def assert_same(found: dict[str, np.ndarray], truth: dict[str, np.ndarray] = TRUTH) -> None:
    assert found.keys() == truth.keys()
    for name, values in truth.items():
        assert found[name].dtype == np.uint8
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def errors(path: Path, format: str | None = None) -> list[Problem]:
    """The errors, however they are told."""
    try:
        dataset = read(path, format, "segment")
    except DataError as error:
        return [problem for problem in error.problems if problem.severity == "error"]
    return [problem for problem in dataset.problems if problem.severity == "error"]


def one_error(path: Path, format: str | None = None) -> str:
    (problem,) = errors(path, format)
    assert problem.fix
    return str(problem)


def one_warning(path: Path) -> str:
    (problem,) = read(path, task="segment").problems
    assert problem.severity == "warning" and problem.fix
    return str(problem)


# ---- what all formats have in common


@pytest.mark.parametrize("format", map_sets.MAKERS)
def test_the_same_maps_come_out_of_every_format(format: str, tmp_path: Path) -> None:
    dataset = read(map_sets.MAKERS[format](tmp_path / "자료"), task="segment")
    assert (dataset.format, dataset.task, dataset.problems) == (format, "segment", [])
    assert dataset.classes[: len(NAMED[format])] == NAMED[format]
    assert_same(told(dataset))
    for sample in dataset.splits["all" if format != "camvid" else "train"]:
        assert sample.image.shape[:2] == sample.size == sample.class_map.shape
        assert sample.semantic is None, "no map is kept"
        again = pickle.loads(pickle.dumps(sample))
        np.testing.assert_array_equal(again.class_map, sample.class_map)
    assert check(dataset).errors == []


@pytest.mark.parametrize("format", map_sets.MAKERS)
@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_is_read_as_the_folder(format: str, kind: str, tmp_path: Path) -> None:
    map_sets.MAKERS[format](tmp_path / "set")
    for name, parts in (("a", (tmp_path / "set",)), ("b", (tmp_path, "set"))):
        assert_same(told(read(shutil.make_archive(str(tmp_path / name), kind, *parts))))


@pytest.mark.parametrize("format", ["masks", "voc-segmentation"])
def test_folders_are_splits(format: str, tmp_path: Path) -> None:
    map_sets.MAKERS[format](tmp_path / "data" / "train")
    map_sets.MAKERS[format](tmp_path / "data" / "valid")
    dataset = read(tmp_path / "data", task="segment")
    assert {split: [s.id for s in part] for split, part in dataset.splits.items()} == {
        "train": ["1.png", "2.png"],
        "val": ["1.png", "2.png"],
    }
    assert dataset.problems == []


@pytest.mark.parametrize("format", map_sets.MAKERS)
def test_no_picture_and_no_mask_is_left_without_a_word(format: str, tmp_path: Path) -> None:
    root = map_sets.MAKERS[format](tmp_path)
    folder = {"masks": "labels", "camvid": "trainannot", "voc-segmentation": "SegmentationClass"}
    lost = root / folder[format] / "2.png"
    lost.rename(lost.with_name("3.png"))
    dataset = read(root, task="segment")
    assert [sample.id for part in dataset.splits.values() for sample in part] == ["1.png"]
    mask, picture = sorted(dataset.problems, key=lambda problem: problem.severity)
    assert "no picture of this name" in mask.why and mask.file.endswith("3.png")
    assert "1 pictures without a mask" in picture.why and picture.file.endswith("2.png")


# ---- where pictures and masks lie


@pytest.mark.parametrize(
    "pictures_in, masks_in, end",
    [
        ("images", "masks", ""),
        ("image", "label", ""),
        ("img", "annotations", "_mask"),
        ("JPEGImages", "gt", "_gt"),
        ("Pictures", "Segmentation", "_L"),
        ("train/images", "train/masks", ""),
        ("images/train", "masks/train", "_label"),
        ("images/train/도시", "annotation/train/도시", ""),
        ("train", "train_labels", "_L"),
        ("train", "trainannot", ""),
        ("train_images", "train_masks", ""),
        ("train", "semantic/train", ""),
        ("", "mask", ""),
        ("train", "train", "_mask"),
    ],
)
def test_layouts(pictures_in: str, masks_in: str, end: str, tmp_path: Path) -> None:
    # Names that mean something elsewhere lie above.
    root = tmp_path / "labels" / "test" / "data"
    pictures(root / pictures_in)
    for name, values in TRUTH.items():
        save(values, root / masks_in / f"{Path(name).stem}{end}.png")
    write(root / "classes.txt", "\n".join(CLASSES))
    dataset = read(root, task="segment")
    assert (dataset.format, dataset.problems) == ("masks", [])
    assert set(dataset.splits) == {"train" if "train" in pictures_in else "all"}
    assert_same(told(dataset))
    below = "도시/" if "도시" in masks_in else ""
    assert {s.id for s in next(iter(dataset.splits.values()))} == {f"{below}{n}" for n in TRUTH}


def test_names_spelled_in_two_ways_are_one(tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    save(TRUTH["1.png"], tmp_path / "masks" / unicodedata.normalize("NFD", "가.png"))
    (tmp_path / "images" / "1.png").rename(
        tmp_path / "images" / unicodedata.normalize("NFC", "가.png")
    )
    (tmp_path / "images" / "2.png").unlink()
    write(tmp_path / "classes.txt", unicodedata.normalize("NFD", "\n".join(CLASSES)))
    dataset = read(tmp_path, task="segment")
    assert dataset.problems == [] and dataset.classes == CLASSES
    assert_same(told(dataset), {"가.png": TRUTH["1.png"]})


def test_two_masks_of_a_picture(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path)
    shutil.copytree(root / "labels", root / "masks")
    (root / "masks" / "2.png").unlink()
    found = one_error(root, "masks")
    assert "its picture images/1.png has another mask too" in found
    assert [s.id for s in read(root, "masks").splits["all"]] == ["2.png"]


# ---- kinds of masks: each equals a loop over its pixels


def kinds(root: Path) -> dict[str, Callable[[np.ndarray, Path], None]]:
    """Kind → writes a map as such a mask at a path."""
    table = np.zeros((256, 3), np.uint8)
    table[:3], table[255] = COLOURS, (9, 9, 9)
    shuffled = np.array([7, 3, 5, *range(252), 200, 201, 202, 203][:256], np.uint8)
    shuffled[255] = 77

    def indexed(values: np.ndarray, path: Path) -> None:
        picture = Image.fromarray(values)
        picture.putpalette(table.ravel().tolist())
        picture.save(path)

    def other_order(values: np.ndarray, path: Path) -> None:
        """The same colours by other indices, as programs that make PNGs smaller leave them."""
        colours = np.zeros((256, 3), np.uint8)
        colours[shuffled[[0, 1, 2, 255]]] = table[[0, 1, 2, 255]]
        picture = Image.fromarray(shuffled[values])
        picture.putpalette(colours.ravel().tolist())
        picture.save(path)

    def transparent(values: np.ndarray, path: Path) -> None:
        alpha = np.full(values.shape, 255, np.uint8)
        Image.fromarray(np.dstack([table[values], alpha])).save(path)

    def wide(values: np.ndarray, path: Path) -> None:
        save(np.where(values == 255, 65535, values).astype(np.uint16), path)

    return {
        "gray": lambda values, path: Image.fromarray(values).save(path),
        "gray in three channels": lambda values, path: Image.fromarray(
            np.dstack([values] * 3)
        ).save(path),
        "palette": indexed,
        "16 bits": wide,
        "colours": lambda values, path: Image.fromarray(table[values]).save(path),
        "colours and alpha": transparent,
        "palette in another order": other_order,
    }


LEGENDS = {
    "classes.csv": "name,r,g,b\nground,0,0,0\n길,128,64,128\ncar,64,0,192\nVoid,9,9,9\n",
    "class_dict.csv": "name, red, green, blue\nground, 0, 0, 0\n길, 128, 64, 128\n"
    "car, 64, 0, 192\nVoid, 9, 9, 9\n",
    "label_colors.txt": "0 0 0\tground\n128 64 128\t\t길\n64 0 192\tcar\n9 9 9\tVoid\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nground:0,0,0::\n길:128,64,128::\n"
    "car:64,0,192::\nvoid:9,9,9::\n",
    "classes.json": json.dumps(
        {"ground": [0, 0, 0], "길": [128, 64, 128], "car": [64, 0, 192], "ignore": [9, 9, 9]}
    ),
}


@pytest.mark.parametrize("kind", kinds(Path()))
def test_every_kind_equals_a_loop_over_its_pixels(kind: str, tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    for name, values in TRUTH.items():
        kinds(tmp_path)[kind](values, tmp_path / "masks" / name)
    coloured = kind in ("colours", "colours and alpha", "palette in another order")
    if coloured:
        write(tmp_path / "classes.csv", LEGENDS["classes.csv"])
    else:
        write(tmp_path / "classes.txt", "\n".join(CLASSES))
    dataset = read(tmp_path, task="segment")
    assert dataset.classes == CLASSES
    for sample in dataset.splits["all"]:
        mask = Image.open(tmp_path / "masks" / sample.id)
        seen = mask.convert("RGB") if coloured else mask
        meaning = {colour: index for index, colour in enumerate(COLOURS)} | {(9, 9, 9): 255}
        wanted = np.empty(sample.size, np.uint8)
        for y in range(wanted.shape[0]):
            for x in range(wanted.shape[1]):
                value = seen.getpixel((x, y))
                if coloured:
                    wanted[y, x] = meaning[value]
                else:
                    level = value[0] if isinstance(value, tuple) else value
                    wanted[y, x] = 255 if level in (255, 65535) else level
        np.testing.assert_array_equal(sample.class_map, wanted)
    assert_same(told(dataset))


@pytest.mark.parametrize("name", LEGENDS)
def test_every_legend_says_the_same(name: str, tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    for picture, values in TRUTH.items():
        kinds(tmp_path)["colours"](values, tmp_path / "masks" / picture)
    write(tmp_path / "masks" / name, LEGENDS[name])
    dataset = read(tmp_path)
    assert (dataset.format, dataset.classes) == ("masks", CLASSES)
    assert_same(told(dataset))
    (problem,) = dataset.problems
    assert "are ignored" in problem.why and problem.severity == "warning"


@pytest.mark.parametrize(
    "name, text",
    [
        ("classes.txt", "ground\n길\ncar\n\n"),
        ("labels.txt", "0: ground\n1: 길\n2: car"),
        ("names.txt", "\ufeffground\r\n길\r\ncar\r\n"),
        ("classes.json", '["ground", "길", "car"]'),
        ("classes.json", '{"0": "ground", "1": "길", "2": "car"}'),
        ("classes.json", '{"car": 2, "ground": 0, "길": 1}'),
        ("_classes.csv", "Pixel Value, Class\n0, ground\n1, 길\n2, car\n"),
    ],
)
def test_lists_of_names(name: str, text: str, tmp_path: Path) -> None:
    map_sets.masks(tmp_path, names=None)
    write(tmp_path / "labels" / name, text)
    dataset = read(tmp_path, task="segment")
    assert sorted(dataset.classes) == sorted(CLASSES) and dataset.problems == []
    for picture, values in told(dataset).items():
        for index, own in enumerate(CLASSES):
            np.testing.assert_array_equal(
                values == dataset.classes.index(own), TRUTH[picture] == index
            )


def test_values_without_names_are_numbered(tmp_path: Path) -> None:
    dataset = read(map_sets.masks(tmp_path, names=None), task="segment")
    assert dataset.classes == ["0", "1", "2"] and dataset.problems == []
    assert_same(told(dataset))


def test_a_legend_in_gray_is_a_legend(tmp_path: Path) -> None:
    """Gray masks of 0 and 255, or of 0 and 1, with a legend of black and white."""
    for number, high in enumerate((255, 1)):
        root = tmp_path / str(number)
        pictures(root / "images")
        for name, values in TRUTH.items():
            save((values == 1).astype(np.uint8) * high, root / "masks" / name)
        write(root / "class_dict.csv", "name,r,g,b\nland,0,0,0\n집,255,255,255\n")
        dataset = read(root, task="segment")
        assert dataset.classes == ["land", "집"] and dataset.problems == []
        assert_same(told(dataset), {name: (v == 1).astype(np.uint8) for name, v in TRUTH.items()})


# ---- 0 and 255


def binary(root: Path, names: str = "", high: int = 255) -> Path:
    pictures(root / "images")
    for name, values in TRUTH.items():
        save((values == 1).astype(np.uint8) * high, root / "masks" / name)
    if names:
        write(root / "classes.txt", names)
    return root


@pytest.mark.parametrize(
    "names, wanted",
    [
        ("", ["background", "object"]),
        ("종양", ["background", "종양"]),
        ("뇌\n종양", ["뇌", "종양"]),
    ],
)
def test_255_alone_is_the_object_and_that_is_said(
    names: str, wanted: list[str], tmp_path: Path
) -> None:
    root = binary(tmp_path, names)
    dataset = read(root, task="segment")
    assert dataset.classes == wanted
    assert f"255 as '{wanted[1]}'" in (said := one_warning(root))
    assert ("write two lines to classes.txt" in said) is (not names)
    assert_same(told(dataset), {name: (v == 1).astype(np.uint8) for name, v in TRUTH.items()})


def test_one_bit_a_pixel(tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    for name, values in TRUTH.items():
        save(values == 1, tmp_path / "masks" / name)
    dataset = read(tmp_path, task="segment")
    assert dataset.classes == ["0", "1"]
    assert_same(told(dataset), {name: (v == 1).astype(np.uint8) for name, v in TRUTH.items()})


def test_one_name_is_that_of_1(tmp_path: Path) -> None:
    dataset = read(binary(tmp_path, "종양", high=1), task="segment")
    assert dataset.classes == ["background", "종양"] and dataset.problems == []


def test_255_alone_with_five_names(tmp_path: Path) -> None:
    found = one_error(binary(tmp_path, "a\nb\nc\nd\ne"))
    assert "0 and 255 alone, but 5 classes are named" in found and "255 is the object" in found


def test_masks_of_255_among_masks_of_numbers(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path)
    save(np.minimum(TRUTH["1.png"], 2), root / "labels" / "1.png")
    save((TRUTH["2.png"] * 255).astype(np.uint8), root / "labels" / "2.png")
    assert "1 masks hold 0 and 255 alone" in one_warning(root)
    assert told(read(root, task="segment"))["2.png"][5, 5] == 255


# ---- what is wrong is named


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path)
    save(TRUTH["1.png"].T, root / "labels" / "1.png")
    found = one_error(root)
    assert "labels/1.png: the mask is 30×40, its picture 40×30. Turn the mask" in found
    assert [s.id for s in read(root, task="segment").splits["all"]] == ["2.png"]


def test_values_outside_the_classes(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path)
    values = TRUTH["1.png"].copy()
    values[0, :7], values[1, :4] = 75, 113
    save(values, root / "labels" / "1.png")
    found = one_error(root)
    assert "labels/1.png" in found and "75 (7 pixels), 113 (4 pixels)" in found
    assert "0 to 2" in found and "gray levels of colours" in found
    values[:2] = 3
    save(values, root / "labels" / "1.png")
    assert "put 'background' before the first name" in one_error(root)


def test_smoothed_masks(tmp_path: Path) -> None:
    named, plain = map_sets.masks(tmp_path / "a"), binary(tmp_path / "b")
    grown = np.asarray(Image.fromarray(np.minimum(TRUTH["1.png"], 2) * 90).resize((320, 240), 2))
    smooth = np.asarray(Image.fromarray(grown).resize((40, 30), Image.Resampling.LANCZOS))
    save(smooth, named / "labels" / "1.png")
    count = len(np.unique(smooth))
    assert f"{count} different values" in one_error(named) and "smoothed" in one_error(named)
    edges = Image.fromarray((TRUTH["1.png"] == 1).astype(np.uint8) * 255).resize((37, 29), 2)
    save(np.asarray(edges.resize((40, 30), 3)), plain / "masks" / "1.png")
    found = one_error(plain)
    assert "smoothed, or saved as JPEG once" in found and "without smoothing" in found


def test_a_mask_saved_as_jpeg(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path)
    (root / "labels" / "1.png").unlink()
    Image.fromarray(TRUTH["1.png"]).save(root / "labels" / "1.jpg")
    assert "is JPEG, which changes the values" in one_error(root)


def test_colours_without_a_legend(tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    for name, values in TRUTH.items():
        kinds(tmp_path)["colours"](values, tmp_path / "masks" / name)
    found = one_error(tmp_path)
    ground = sum(int((values == 0).sum()) for values in TRUTH.values())
    assert "2 masks are of colours" in found and f"(0, 0, 0) ({ground:,} pixels)" in found
    assert "classes.csv" in found


def test_a_colour_that_the_legend_does_not_have(tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    for name, values in TRUTH.items():
        kinds(tmp_path)["colours"](values, tmp_path / "masks" / name)
    write(tmp_path / "classes.csv", LEGENDS["classes.csv"].replace("Void,9,9,9\n", ""))
    found = one_error(tmp_path)
    assert "masks/1.png" in found and "(9, 9, 9) (40 pixels)" in found and "classes.csv" in found
    assert [s.id for s in read(tmp_path, task="segment").splits["all"]] == ["2.png"]


def test_a_mask_of_nothing_but_ignore(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path)
    save(np.full((20, 20), 255, np.uint8), root / "labels" / "2.png")
    assert "all 400 pixels are ignored" in one_error(root)
    save(np.zeros((20, 20), np.uint8), root / "labels" / "2.png")
    assert errors(root) == [], "the ground alone is a fine negative example"


@pytest.mark.parametrize(
    "name, text, line, why",
    [
        ("classes.txt", "a\na\nb", 2, "'a' is there twice"),
        ("classes.txt", "a\n\nb", 2, "names no class"),
        ("classes.txt", "", None, "names no class"),
        ("classes.csv", "name,r,g,b\na,0,0,0\nb,0,0,256", 3, "'256' is no whole number"),
        ("classes.csv", "name,r,g,b\na,0,0,0\nb,0,0,0", 3, "(0, 0, 0) is there twice"),
        ("classes.csv", "colour,r,g,b\na,0,0,0", None, "no column of names"),
        ("label_colors.txt", "0 0 0 a\n0 0 b", 2, "is no colour and name"),
        ("labelmap.txt", "a:0,0,0::\nb:1,2::", 2, "the colour has 2 numbers"),
        ("classes.json", "{", None, "is no JSON"),
        ("classes.json", '{"a": [0, 0, "x"]}', None, "'x' is no whole number"),
        ("classes.txt", "\n".join(f"c{i}" for i in range(256)), None, "256 classes"),
    ],
)
def test_a_wrong_legend(name: str, text: str, line: int | None, why: str, tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path, names=None)
    write(root / name, text)
    (problem,) = errors(root)
    assert why in problem.why and problem.line == line and problem.file.endswith(name)


def test_numbers_that_are_not_numbered_through(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path, names=None)
    for name, values in TRUTH.items():
        save(np.where(values == 2, 113, values).astype(np.uint8), root / "labels" / name)
    found = one_warning(root)
    assert "(0, 1, 113)" in found and "instance-png" in found and "legend" in found
    assert read(root, task="segment").classes == ["0", "1", "113"]
    assert_same(told(read(root, task="segment")))


def test_numbers_that_look_like_objects(tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    for number in range(6):
        shutil.copy(tmp_path / "images" / "1.png", tmp_path / "images" / f"a{number}.png")
        values = np.zeros((30, 40), np.uint8)
        for each in range(number % 4 + 1):
            values[3 * each : 3 * each + 2] = each + 1
        save(values, tmp_path / "masks" / f"a{number}.png")
    for name in TRUTH:
        (tmp_path / "images" / name).unlink()
    assert "may number objects" in one_warning(tmp_path)
    assert read(tmp_path).format == "instance-png", "without a word they number objects"
    write(tmp_path / "classes.txt", "ground\na\nb\nc\nd")
    assert read(tmp_path).format == "masks", "names say that they are classes"


def test_one_value_alone(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path, names=None)
    for name, values in TRUTH.items():
        save(np.zeros_like(values), root / "labels" / name)
    assert "one value alone, 0 (1,600 pixels)" in one_error(root)


def test_a_damaged_mask_is_named_and_nothing_else_comes_out(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path)
    path = root / "labels" / "1.png"
    sound = path.read_bytes()
    generator = np.random.default_rng(0)
    named = 0
    for _ in range(150):
        data = bytearray(sound)
        for at in generator.integers(0, len(data), 3):
            data[at] = generator.integers(256)
        path.write_bytes(data[: generator.integers(1, len(data) + 1)])
        found = errors(root)
        named += any(problem.file.endswith("labels/1.png") for problem in found)
        if not found:
            assert told(read(root, task="segment"))["1.png"].shape == (30, 40)
    assert named > 100


def test_a_mask_that_changed_meanwhile(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path)
    sample = read(root, task="segment").splits["all"][0]
    save(np.full((30, 40), 77, np.uint8), root / "labels" / "1.png")
    with pytest.raises(DataError, match="other values than a moment ago"):
        _ = sample.class_map
    (root / "labels" / "1.png").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        _ = sample.class_map


# ---- check


def test_check_tells_missing_and_rare_classes(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path / "train")
    fewer = TRUTH["1.png"].copy()
    fewer[5:, 22:38][fewer[5:, 22:38] == 2] = 0
    save(fewer, root / "labels" / "1.png")
    shutil.copytree(root, tmp_path / "test")
    for part in ("images", "labels"):
        (tmp_path / "test" / part / "1.png").unlink()
    problems = [problem.why for problem in check(read(tmp_path, task="segment")).problems]
    counts = np.bincount(np.concatenate([v[v < 255] for v in (fewer, TRUTH["2.png"])]))
    shares = [f"{100 * counts[i] / counts.sum():.2g} %" for i in (0, 2)]
    assert f"imbalance in train: {shares[0]} of the pixels are 'ground', {shares[1]} 'car'" in (
        problems
    )
    assert "test has no pixel of 'car'" in problems
    assert [why for why in problems if "the same picture is in two splits" in why]


def test_the_fingerprint_knows_the_maps(tmp_path: Path) -> None:
    roots = [map_sets.masks(tmp_path / name) for name in "abc"]
    values = TRUTH["1.png"].copy()
    values[0, 0] = 1
    save(values, roots[1] / "labels" / "1.png")
    Image.fromarray(TRUTH["1.png"]).save(roots[2] / "labels" / "1.png", compress_level=0)
    prints = [check(read(root, task="segment")).fingerprint for root in roots]
    assert prints[0] == prints[2] != prints[1]


def test_one_picture_with_two_maps(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path)
    shutil.copy(root / "images" / "1.png", root / "images" / "3.png")
    save(np.zeros((30, 40), np.uint8), root / "labels" / "3.png")
    whys = [problem.why for problem in check(read(root, task="segment")).warnings]
    assert any("the same picture is annotated in two ways" in why for why in whys)


def test_a_damaged_picture_is_dropped(tmp_path: Path) -> None:
    root = map_sets.masks(tmp_path)
    data = (root / "images" / "1.png").read_bytes()
    write(root / "images" / "1.png", data[: len(data) // 2])
    report = check(read(root, task="segment"))
    assert len(report.errors) == 1
    left, counts = report.drop()
    assert counts == {"all": 1} and [s.id for s in left.splits["all"]] == ["2.png"]


# ---- Pascal VOC and CamVid


def test_the_palette_of_voc() -> None:
    """Colours as the development kit shows them."""
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 15: (192, 128, 128), 20: (0, 64, 128)}
    for number, (red, green, blue) in (known | {255: (224, 224, 192)}).items():
        assert palette(number) == red + 256 * green + 65536 * blue


def test_voc_in_colours_and_by_lists(tmp_path: Path) -> None:
    root = map_sets.voc(tmp_path)
    codes = [palette(value) for value in range(256)]
    table = np.array([[c & 255, c >> 8 & 255, c >> 16] for c in codes], np.uint8)
    save(table[TRUTH["1.png"]], root / "SegmentationClass" / "1.png")
    write(root / "ImageSets" / "Segmentation" / "train.txt", "1\n")
    write(root / "ImageSets" / "Segmentation" / "val.txt", "2\n")
    write(root / "ImageSets" / "Segmentation" / "trainval.txt", "1\n2\n")
    shutil.copy(root / "JPEGImages" / "1.png", root / "JPEGImages" / "9.png")  # of detection
    dataset = read(root, task="segment")
    assert {split: [s.id for s in part] for split, part in dataset.splits.items()} == {
        "train": ["1.png"],
        "val": ["2.png"],
    }
    assert_same(told(dataset))
    assert len(dataset.classes) == 21 and dataset.problems == []
    write(root / "ImageSets" / "Segmentation" / "val.txt", "2\n9\n")
    assert "1 listed pictures have no mask, the first: 9" in one_error(root)


def test_voc_as_cvat_exports_it(tmp_path: Path) -> None:
    root = map_sets.voc(tmp_path)
    for name, values in TRUTH.items():
        kinds(root)["colours"](values, root / "SegmentationClass" / name)
    write(root / "labelmap.txt", LEGENDS["labelmap.txt"])
    dataset = read(root, task="segment")
    assert (dataset.format, dataset.classes) == ("voc-segmentation", CLASSES)
    assert_same(told(dataset))


def test_a_layout_like_camvids_with_other_classes(tmp_path: Path) -> None:
    root = map_sets.camvid(tmp_path)
    save(np.full((20, 20), 12, np.uint8), root / "trainannot" / "2.png")
    assert "12 (400 pixels)" in one_error(root)
    write(root / "classes.txt", "\n".join(f"c{i}" for i in range(13)))
    dataset = read(root, task="segment")
    assert dataset.format == "masks" and dataset.classes[12] == "c12" and not dataset.problems


def test_camvid_is_all_there(shared_data: Path) -> None:
    dataset = read(shared_data / "camvid")
    assert (dataset.format, dataset.task, dataset.problems) == ("camvid", "segment", [])
    counts = {split: len(samples) for split, samples in dataset.splits.items()}
    assert counts == {"train": 184, "val": 51, "test": 117}
    for sample in dataset.splits["test"][::13]:
        values = np.asarray(Image.open(sample.source))
        np.testing.assert_array_equal(sample.class_map, np.where(values == 11, 255, values))
        assert sample.shape == (360, 480)


def test_drawn_scenes(tmp_path: Path) -> None:
    from boda.data import synthetic, synthetic_folder

    synthetic_folder.write(tmp_path / "drawn", 5, 64, 0)
    scenes = tmp_path / "drawn" / "scenes"
    dataset = read(scenes, task="segment")
    assert (dataset.format, dataset.problems) == ("masks", [])
    assert dataset.classes == ["background", *synthetic.SHAPES]
    assert sum(len(samples) for samples in dataset.splits.values()) == 5
    for samples in dataset.splits.values():
        for sample in samples:
            wanted = synthetic.scene(0, int(Path(sample.id).stem), 64).semantic
            np.testing.assert_array_equal(sample.class_map, wanted)
    by_json = read(scenes, "coco", "segment")
    assert by_json.classes == dataset.classes
    for split, samples in dataset.splits.items():
        for a, b in zip(samples, by_json.splits[split], strict=True):
            np.testing.assert_array_equal(a.class_map, b.class_map)
    assert read(scenes).format == "coco", "without a word COCO's JSON counts"
