"""Drawn pictures with exact labels of every kind: scenes, single objects, faces, day and night.

A picture depends on (seed, index, size) alone. Its parts lie at the same places in every size, but
for those that would hide too much there. An object's mask is what can be seen of it, where later
objects do not hide it, and its box is the extent of that mask; of every object at least half
is seen. In ``semantic`` 0 is the ground and k + 1 the class k.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from boda.data import drawn_faces
from boda.data.drawing import (
    OUTLINES,
    Patch,
    at_night,
    contrasting,
    cover,
    developed,
    ground,
    lamp_posts,
    paint,
    shaded,
)
from boda.errors import UsageError, unknown
from boda.types import Dataset, Image, Sample

SHAPES = tuple(OUTLINES)  # the classes: circle, square, triangle, star, cross, heart
POINTS = drawn_faces.POINTS
DOMAINS = {"A": "circle", "B": "triangle"}
KINDS = {"scenes": "detect", "objects": "localize", "faces": "landmarks"}  # and the task of each
SMALLEST, LARGEST = 32, 4096  # pixels of a picture's side
MOST_OBJECTS = 8
LONG, PALE = 0.5, (225, 245)  # width to length of the domains' shapes, and levels of their ground
ROUND = (0.86, 1.0)  # of the others
SEEN = 0.5  # of every object at least: of less nobody can tell what it is a part of
EMPTY = 0.2  # share of the pictures of one object that have none
TRIES = 6  # places that are tried for an object
GRAIN, GRAIN_AT_NIGHT = 3, 5
_STREAMS = ("scenes", "objects", "faces", "A", "B", "night")  # each has random numbers of its own


@dataclass
class _Thing:
    """One object that has found its place.

    Attributes:
        label: its class.
        outline: (K, 2) in pixels.
        patch: what it covers.
        area: pixels of its mask, those outside the picture as well.
        seen: (H, W) bool, what is seen of it.
    """

    label: int
    outline: np.ndarray
    patch: Patch
    area: int
    seen: np.ndarray


def scene(seed: int, index: int, size: int = 128, night: bool = False) -> Sample:
    """One to eight shapes on a textured ground, some hiding parts of others.

    Args:
        seed: another seed, other scenes; 0 or more.
        index: which of its scenes, 0 or more.
        size: pixels of its sides, 32 to 4096.
        night: the same scene, pixel by pixel, by the light of its lamps.

    Returns:
        A sample with boxes (N, 4), labels (N,) of ``SHAPES``, masks (N, H, W), areas and semantic.

    Raises:
        UsageError: a number is out of range.
    """
    generator = _generator("scenes", seed, index, size)
    count = int(generator.integers(1, MOST_OBJECTS + 1))
    canvas, lamps, things = _scene(generator, size, count, SHAPES)
    image = developed(canvas, generator, GRAIN)
    if night:
        generator = _generator("night", seed, index, size)
        image = developed(at_night(canvas, lamps), generator, GRAIN_AT_NIGHT)
    return _sample("scenes", seed, index, image, things)


def day_night(seed: int, index: int, size: int = 128) -> Sample:
    """``scene`` by day, with the picture by night as ``target``."""
    sample = scene(seed, index, size)
    sample.target = scene(seed, index, size, night=True).image
    return sample


def domain(seed: int, index: int, size: int = 128, name: str = "A") -> Sample:
    """One long shape on a pale ground: an ellipse in A, a triangle in B.

    What the two domains share is the colour, and the angle in which it lies; no picture has its like in
    the other.

    Raises:
        UsageError: there is no such domain, or a number is out of range.
    """
    if name not in DOMAINS:
        raise unknown("domain", name, DOMAINS)
    generator = _generator(name, seed, index, size)
    canvas = np.full((size, size, 3), generator.uniform(*PALE, 3), np.float32)
    radius, place = generator.uniform(0.3, 0.4) * size, generator.uniform(0.42, 0.58, 2) * size
    things = [_thing(generator, size, (DOMAINS[name],), radius, place, (LONG, LONG))]
    _draw(generator, canvas, things)
    return _sample(name, seed, index, developed(canvas, generator, GRAIN), things)


def single(seed: int, index: int, size: int = 128) -> Sample:
    """One large shape, or in a fifth of the pictures none: boxes (1, 4) or (0, 4). See ``scene``."""
    generator = _generator("objects", seed, index, size)
    empty = generator.random() < EMPTY
    canvas, things = ground(generator, size), []
    if not empty:
        radius = generator.uniform(0.13, 0.36) * size
        place = generator.uniform(radius, size - radius, 2)
        things = [_thing(generator, size, SHAPES, radius, place)]
        _draw(generator, canvas, things)
    return _sample("objects", seed, index, developed(canvas, generator, GRAIN), things)


def face(seed: int, index: int, size: int = 128) -> Sample:
    """A drawn face with ``points`` (10, 2), x and y of ``POINTS``, all in the picture.

    Left is the person's own left, as in COCO: on the right of a face that looks at us.
    """
    generator = _generator("faces", seed, index, size)
    canvas = ground(generator, size)
    points = drawn_faces.draw(generator, canvas)
    image = developed(canvas, generator, GRAIN)
    return Sample(
        _name(index), _source("faces", seed, index), points=points, size=(size, size), _image=image
    )


def dataset(
    count: int, size: int = 128, seed: int = 0, kind: str = "scenes", masks: bool = False
) -> Dataset:
    """Pictures 0 to ``count - 1`` of one kind: about 70 % train, 15 % val, 15 % test, in that order.

    Args:
        count: of all pictures, 3 or more.
        size: pixels of their sides.
        seed: another seed, other pictures.
        kind: scenes (for detect), objects (localize) or faces (landmarks).
        masks: keep masks and semantic, which take 1 byte a pixel and object.

    Returns:
        A data set in memory; its pictures are drawn when they are read. For faces ``classes`` are
        the names of the points.

    Raises:
        UsageError: a number is out of range, or there is no such kind.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    draw = DRAWERS[kind]

    def light(index: int) -> Sample:
        sample = draw(seed, index, size)
        read = partial(_picture, kind, seed, index, size)
        if not masks:
            sample.masks = sample.semantic = None
        return dataclasses.replace(sample, read=read, _image=None)

    splits: dict[str, Sequence[Sample]] = {
        split: [light(index) for index in part] for split, part in parts(count).items()
    }
    classes = list(POINTS if kind == "faces" else SHAPES)
    root = Path(f"synthetic-{kind}-{seed}")
    return Dataset(root, "synthetic", KINDS[kind], classes, splits)


def parts(count: int) -> dict[str, range]:
    """Which of ``count`` pictures are train, val and test, by their indices.

    Raises:
        UsageError: fewer than 3.
    """
    if count < 3:
        raise UsageError(f"{count} pictures cannot be train, val and test: give 3 or more.")
    few = max(1, round(0.15 * count))
    return {
        "train": range(count - 2 * few),
        "val": range(count - 2 * few, count - few),
        "test": range(count - few, count),
    }


def _generator(stream: str, seed: int, index: int, size: int) -> np.random.Generator:
    if seed < 0 or index < 0:
        raise UsageError(f"seed {seed}, index {index}: give 0 or more.")
    if not SMALLEST <= size <= LARGEST:
        raise UsageError(f"size {size}: give {SMALLEST} to {LARGEST} pixels.")
    return np.random.default_rng([seed, _STREAMS.index(stream), index])


def _picture(kind: str, seed: int, index: int, size: int) -> Image:
    return DRAWERS[kind](seed, index, size).image


def _name(index: int) -> str:
    return f"{index:04}.png"


def _source(stream: str, seed: int, index: int) -> str:
    return f"synthetic-{stream}-{seed}:{index}"


def _scene(
    generator: np.random.Generator, size: int, count: int, shapes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[_Thing]]:
    """The canvas, its lamps, and the objects that have found a place, the hindmost first."""
    canvas = ground(generator, size)
    lamps = lamp_posts(generator, canvas)
    things: list[_Thing] = []
    for _ in range(count):
        # An object that hides too much, or is cut off too much by the edge, tries another place.
        for _ in range(TRIES):
            radius = max(5.0, size * math.exp(generator.uniform(math.log(0.06), math.log(0.25))))
            # The first is never far enough outside to be left out, so no scene is empty.
            reach = (0.05, 0.95) if things else (0.3, 0.7)
            place = generator.uniform(*reach, 2) * size
            thing = _thing(generator, size, shapes, radius, place)
            if _fits(thing, things):
                for other in things:
                    other.seen &= ~thing.seen
                things.append(thing)
                break
    _draw(generator, canvas, things)
    return canvas, lamps, things


def _thing(
    generator: np.random.Generator,
    size: int,
    shapes: Sequence[str],
    radius: float,
    place: np.ndarray,
    stretches: tuple[float, float] = ROUND,
) -> _Thing:
    """An object of any shape there, turned and a little stretched, or much."""
    name = shapes[int(generator.integers(len(shapes)))]
    angle, stretch = generator.uniform(0, 2 * math.pi), generator.uniform(*stretches)
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    outline = (OUTLINES[name] * (stretch, 1)) @ turn * radius + place
    patch = cover(outline)
    area = int((patch.coverage >= 128).sum())
    return _Thing(SHAPES.index(name), outline, patch, area, patch.mask(size))


def _fits(thing: _Thing, things: list[_Thing]) -> bool:
    """Whether at least half is seen of it, and of all those behind it."""
    if thing.seen.sum() < SEEN * thing.area:
        return False
    return all((o.seen & ~thing.seen).sum() >= SEEN * o.area for o in things)


def _draw(generator: np.random.Generator, canvas: np.ndarray, things: list[_Thing]) -> None:
    """Paint the objects, each with a darker or brighter rim that parts it from others of its colour."""
    size = len(canvas)
    below = [canvas[thing.patch.inside(size)[0]].mean((0, 1)) for thing in things]
    for thing, under in zip(things, below, strict=True):
        colour = contrasting(generator, under)
        slope = generator.uniform(-0.35, 0.35, 2)
        rim = colour * 0.55 if colour.sum() > 240 else colour + 90
        paint(canvas, thing.patch, rim)
        middle = thing.outline.mean(0)
        inner = cover(middle + (thing.outline - middle) * generator.uniform(0.8, 0.92))
        paint(canvas, inner, shaded(colour, inner, size, slope), over=rim)


def _sample(stream: str, seed: int, index: int, image: Image, things: list[_Thing]) -> Sample:
    """What is known of the objects, from what is seen of them."""
    height, width = image.shape[:2]
    masks = np.zeros((len(things), height, width), bool)
    boxes = np.zeros((len(things), 4), np.float32)
    semantic = np.zeros((height, width), np.uint8)
    for i, thing in enumerate(things):
        masks[i] = thing.seen
        rows, columns = (np.flatnonzero(thing.seen.any(axis)) for axis in (1, 0))
        boxes[i] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        semantic[thing.seen] = thing.label + 1
    return Sample(
        _name(index),
        _source(stream, seed, index),
        boxes=boxes,
        labels=np.array([thing.label for thing in things], np.int64),
        masks=masks,
        semantic=semantic,
        areas=masks.sum((1, 2)).astype(np.float64),
        size=(height, width),
        _image=image,
    )


DRAWERS: dict[str, Callable[[int, int, int], Sample]] = {
    "scenes": scene,
    "objects": single,
    "faces": face,
}
