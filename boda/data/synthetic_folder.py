"""The drawn data as a folder on the disk, each kind of label in the format that its tools read."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from boda.data import synthetic
from boda.data.convert import new_folder
from boda.data.mapped import BACKGROUND
from boda.data.outlines import polygons
from boda.data.synthetic import DOMAINS, POINTS, SHAPES
from boda.data.writers import coco, plain
from boda.errors import UsageError, unknown
from boda.types import Dataset, Image, Sample

MOST = 100_000  # pictures of a kind
PARTS = {"scenes": 2, "objects": 1, "faces": 1, "domains": 2}  # pictures for each index
# The ground is black; the classes, and the objects in their order, have these colours in turn.
PALETTE = (
    *((230, 60, 60), (70, 160, 230), (250, 200, 50), (90, 190, 100), (170, 100, 210)),
    *((240, 140, 60), (80, 210, 200), (240, 130, 190)),
)

KINDS = {  # what is drawn, and what README.txt says of it
    "scenes": """\
scenes/      One to eight shapes that hide parts of each other, by day.
             annotations/instances_SPLIT.json and SPLIT/0000.png: COCO, with the box, polygons and
             area of what is seen of each object. Polygons go along pixel edges and are exact.
  semantic/  SPLIT/0000.png, one number a pixel: 0 is the ground,
             {classes}; classes.txt has their names.
  instances/ SPLIT/0000.png, one number a pixel: 0 is the ground, n the n-th object that the JSON
             has of the picture.
day_night/   SPLIT/0000.png, {double}x{size}: the scene of that number by day on the left, by night
             on the right, pixel by pixel. The labels in scenes/ hold for both. pix2pix and its kin
             read pairs side by side.
""",
    "objects": """\
objects/     One shape, or none in about a fifth of the pictures: for localization. COCO.
""",
    "faces": """\
faces/       SPLIT.csv and SPLIT/0000.png: the picture's name, then x and y of {points} points.
             Left is the person's own left, as in COCO: on the right of the picture.
""",
    "domains": """\
domains/     trainA/ valA/ testA/ with one ellipse each, a0000.png, trainB/ valB/ testB/ with one
             triangle each, b0000.png; their colours and angles are alike, but no picture has its like
             in the other domain: for unpaired translation, with the names of folders that CycleGAN's
             tools expect.
""",
}
README = """Drawn pictures with exact labels, by: boda synth --count {count} --size {size} --seed {seed}{only}

Every kind has {count} pictures of {size}x{size} pixels, numbered from 0000: {train} train, {val} val and
{test} test. A picture depends on the seed, its number and the size alone. Coordinates are pixels
with continuous edges: a picture spans 0 to {size}, its first pixel 0 to 1.

{sections}{check}"""
CHECK = "\nTo see that all is well: boda check {}\n"


def write(
    out: str | Path,
    count: int,
    size: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    kinds: Sequence[str] = tuple(KINDS),
) -> dict[str, Any]:
    """Write ``count`` pictures of every kind; README.txt in the folder tells what is where.

    Args:
        out: a folder that is not there, or empty; it appears whole or not at all.
        count: pictures of each kind, 3 to 100,000.
        size: pixels of their sides.
        seed: 0 or more.
        progress: is told (pictures written, pictures in all).
        kinds: of ``KINDS``, those that are drawn; with the scenes come day and night.

    Returns:
        ``{"count", "size", "seed", "kinds", "splits", "classes", "points", "boxes", "empty"}``: boxes those
        of the scenes, empty the pictures in objects without one.

    Raises:
        UsageError: a number is out of range, or OUT is not empty or cannot be written.
    """
    splits = synthetic.parts(count)
    for kind in kinds:
        if kind not in KINDS:
            raise unknown("kind", kind, KINDS)
    if count > MOST:
        raise UsageError(f"{count:,} pictures: give {MOST:,} at most.")
    synthetic.face(seed, 0, size)  # says what is wrong with the numbers before anything is written
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, count * sum(PARTS[kind] for kind in kinds))

    with new_folder(Path(out)) as folder:
        folder_of = _Folder(folder, size, seed, advance)
        scenes = folder_of.boxes("scenes", splits, SHAPES) if "scenes" in kinds else []
        objects = folder_of.boxes("objects", splits, SHAPES) if "objects" in kinds else []
        if "faces" in kinds:
            folder_of.faces(splits)
        if "domains" in kinds:
            folder_of.domains(splits)
        sizes = {split: len(part) for split, part in splits.items()}
        text = _readme(count, size, seed, sizes, kinds)
        (folder / "README.txt").write_text(text, encoding="utf-8")
    return {
        "count": count,
        "size": size,
        "seed": seed,
        "kinds": [kind for kind in KINDS if kind in kinds],
        "splits": sizes,
        "classes": list(SHAPES),
        "points": list(POINTS),
        "boxes": sum(len(s.labels) for s in scenes if s.labels is not None),
        "empty": sum(not len(s.labels) for s in objects if s.labels is not None),
    }


class _Folder:
    """The folder while it is filled."""

    def __init__(self, folder: Path, size: int, seed: int, advance: Callable[[], None]) -> None:
        self.folder, self.size, self.seed, self.advance = folder, size, seed, advance

    def boxes(self, kind: str, splits: dict[str, range], classes: tuple[str, ...]) -> list[Sample]:
        """COCO, and for scenes the index pictures and the pairs; returns what was written."""
        root = self.folder / kind
        dataset = Dataset(root, "coco", "detect", list(classes), {})
        for split, part in splits.items():
            (root / split).mkdir(parents=True)
            if kind == "scenes":
                for place in ("semantic", "instances"):
                    (root / place / split).mkdir(parents=True)
                (self.folder / "day_night" / split).mkdir(parents=True)
            dataset.splits[split] = [self._sample(kind, split, index) for index in part]
        coco.write(dataset, root)
        if kind == "scenes":
            names = "\n".join([BACKGROUND, *classes, ""])
            (root / "semantic" / "classes.txt").write_text(names, encoding="utf-8")
        return [sample for part in dataset.splits.values() for sample in part]

    def _sample(self, kind: str, split: str, index: int) -> Sample:
        """Write one picture and what belongs to it; returns what its JSON needs, without pixels."""
        draw = synthetic.day_night if kind == "scenes" else synthetic.single
        sample = draw(self.seed, index, self.size)
        assert sample.masks is not None and sample.semantic is not None
        self._save(sample.image, f"{kind}/{split}/{sample.id}")
        if sample.target is not None:
            pair = np.concatenate([sample.image, sample.target], 1)
            self._save(pair, f"day_night/{split}/{sample.id}")
            numbered = np.arange(1, len(sample.masks) + 1, dtype=np.uint8)[:, None, None]
            instances = (sample.masks * numbered).max(0)  # masks do not overlap
            _save_indices(sample.semantic, self.folder / "scenes/semantic" / split / sample.id)
            _save_indices(instances, self.folder / "scenes/instances" / split / sample.id)
        outlines = [polygons(mask) for mask in sample.masks]
        return dataclasses.replace(
            sample, outlines=outlines, masks=None, semantic=None, target=None, _image=None
        )

    def faces(self, splits: dict[str, range]) -> None:
        """A CSV a split; a row a picture."""
        for split, part in splits.items():
            (self.folder / "faces" / split).mkdir(parents=True)
            with open(
                self.folder / f"faces/{split}.csv", "w", newline="", encoding="utf-8"
            ) as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(["file", *(f"{name}_{axis}" for name in POINTS for axis in "xy")])
                for index in part:
                    sample = synthetic.face(self.seed, index, self.size)
                    assert sample.points is not None
                    self._save(sample.image, f"faces/{split}/{sample.id}")
                    values = [plain(round(value, 3)) for value in sample.points.ravel().tolist()]
                    table.writerow([f"{split}/{sample.id}", *values])

    def domains(self, splits: dict[str, range]) -> None:
        """A folder for each split of each domain."""
        for split, part in splits.items():
            for name in DOMAINS:
                (self.folder / "domains" / f"{split}{name}").mkdir(parents=True)
                for index in part:
                    sample = synthetic.domain(self.seed, index, self.size, name)
                    # Names that agree would make pairs of them.
                    place = f"domains/{split}{name}/{name.lower()}{sample.id}"
                    self._save(sample.image, place)

    def _save(self, image: Image, place: str) -> None:
        Pillow.fromarray(image).save(self.folder / place)
        self.advance()


def _save_indices(numbers: np.ndarray, path: Path) -> None:
    """A PNG with a palette, whose values are the numbers themselves."""
    picture = Pillow.fromarray(numbers)
    colours = [(0, 0, 0), *(PALETTE[i % len(PALETTE)] for i in range(255))]
    picture.putpalette([value for colour in colours for value in colour])
    picture.save(path)


def _readme(count: int, size: int, seed: int, sizes: dict[str, int], kinds: Sequence[str]) -> str:
    drawn = [kind for kind in KINDS if kind in kinds]
    only = "" if len(drawn) == len(KINDS) else "".join(f" --kind {kind}" for kind in drawn)
    classes = ", ".join(f"{number} {name}" for number, name in enumerate(SHAPES, start=1))
    sections = "".join(KINDS[kind] for kind in drawn).format(
        size=size, double=2 * size, classes=classes, points=len(POINTS)
    )
    check = "".join(CHECK.format(kind) for kind in drawn[:1] if kind != "domains")
    return README.format(
        count=count, size=size, seed=seed, only=only, sections=sections, check=check, **sizes
    )
