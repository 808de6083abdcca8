"""Selective search beside OpenCV contrib's compiled one: recall, best overlap, time.

Command:  python benchmarks/regions.py RACCOON PENNFUDAN [--pictures 25] [--mode fast] [--seeds 3]
          where opencv-contrib-python-headless is installed as well as boda

The pictures are the first by name, their longer side brought to 500 pixels. Figures: objects that
one of the first 2,000 boxes covers with an IoU of 0.5 (recall), and the mean over the objects of
the best IoU (MABO), of boda's also over all boxes. boda's are means over some seeds, which order
the boxes; OpenCV's order cannot be seeded. The two sides take turns, picture by picture, in one
process with two threads; the ratio is the median over the pictures of boda's time through OpenCV's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from boda.data.image import decode
from boda.data.readers import read
from boda.ops.regions import selective_search

LONGER, FIRST = 500, 2000
Scene = tuple[np.ndarray, np.ndarray]  # picture, boxes


def raccoons(folder: Path, count: int) -> list[Scene]:
    samples = [sample for split in read(folder).splits.values() for sample in split]
    samples = sorted(samples, key=lambda sample: sample.id)[:count]
    return [scene(sample.image, sample.boxes) for sample in samples]


def pedestrians(folder: Path, count: int) -> list[Scene]:
    found = []
    for file in sorted((folder / "PedMasks").glob("*_mask.png"))[:count]:
        mask = np.asarray(Image.open(file))
        edges = [np.nonzero(mask == number) for number in range(1, mask.max() + 1)]
        boxes = [(x.min(), y.min(), x.max() + 1, y.max() + 1) for y, x in edges]
        [picture] = (folder / "Images").glob(file.name.replace("_mask.png", ".*"))
        found.append(scene(decode(picture.read_bytes(), str(picture)), np.array(boxes)))
    return found


def scene(picture: np.ndarray, boxes: np.ndarray) -> Scene:
    height, width = picture.shape[:2]
    factor = LONGER / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    smaller = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(smaller), boxes * np.array([size[0] / width, size[1] / height] * 2)


def opencv(picture: np.ndarray, mode: str) -> np.ndarray:
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(picture[..., ::-1]))
    search.switchToSelectiveSearchFast() if mode == "fast" else (
        search.switchToSelectiveSearchQuality()
    )
    boxes = search.process().astype(np.float64)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def best(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Of each true box the best IoU with one that was found."""
    low = np.maximum(truth[:, None, :2], found[None, :, :2])
    high = np.minimum(truth[:, None, 2:], found[None, :, 2:])
    both = (high - low).clip(0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (truth, found)]
    return (both / (areas[0][:, None] + areas[1] - both)).max(1)


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    boxes = work()
    return boxes, time.perf_counter() - start


def told(name: str, scenes: list[Scene], found: list[list[np.ndarray]], seconds: float) -> None:
    """``found`` has a list of boxes, one for each picture, for each seed."""

    def figures(count: int | None) -> tuple[float, float]:
        pairs = [
            best(truth, boxes[:count].astype(np.float64))
            for one in found
            for (_, truth), boxes in zip(scenes, one, strict=True)
        ]
        overlaps = np.concatenate(pairs)
        return float((overlaps >= 0.5).mean()), float(overlaps.mean())

    count = np.mean([len(boxes) for one in found for boxes in one])
    first, every = figures(FIRST), figures(None)
    print(
        f"  {name:7} {count:6.0f} boxes; the first {FIRST}: recall {first[0]:.3f}, MABO "
        f"{first[1]:.3f}; all: {every[0]:.3f}, {every[1]:.3f}; {seconds:.2f} s a picture"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("raccoon", type=Path)
    parser.add_argument("pennfudan", type=Path)
    parser.add_argument("--pictures", type=int, default=25)
    parser.add_argument("--mode", choices=("fast", "quality"), default="fast")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(2)
    torch.set_num_threads(1)  # the search has two threads of its own
    print(f"{options.mode}, OpenCV {cv2.__version__}, {os.cpu_count()} cores")
    for name, scenes in (
        ("raccoon", raccoons(options.raccoon, options.pictures)),
        ("pennfudan", pedestrians(options.pennfudan, options.pictures)),
    ):
        sides = {"boda": partial(selective_search, mode=options.mode, longer=None),
                 "OpenCV": partial(opencv, mode=options.mode)}  # fmt: skip
        found: dict[str, list[np.ndarray]] = {side: [] for side in sides}
        spent: dict[str, list[float]] = {side: [] for side in sides}
        for number, (picture, _) in enumerate(scenes):
            for side in sorted(sides, reverse=bool(number % 2)):
                boxes, seconds = timed(partial(sides[side], picture))
                found[side].append(boxes)
                spent[side].append(seconds)
        ratios = [a / b for a, b in zip(spent["boda"], spent["OpenCV"], strict=True)]
        print(f"{name}: {len(scenes)} pictures, {sum(len(boxes) for _, boxes in scenes)} objects")
        # The same boxes in the order of other seeds need not be searched again for the time.
        seeded = [found["boda"]] + [
            [selective_search(picture, options.mode, seed, None) for picture, _ in scenes]
            for seed in range(1, options.seeds)
        ]
        told("boda", scenes, seeded, statistics.mean(spent["boda"]))
        told("OpenCV", scenes, [found["OpenCV"]], statistics.mean(spent["OpenCV"]))
        print(f"  ratio of times {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
