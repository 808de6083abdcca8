"""Time of boda's detection metrics beside pycocotools and faster-coco-eval, with the same figures.

Command:  python benchmarks/detection_metrics.py [--pictures 5000] [--pairs 3]
          in an environment that has pycocotools and faster-coco-eval as well as boda

80 classes, about 7 objects and 10 detections a picture, some crowds. Each side gets its own form of
the data ready made (ours arrays a picture, theirs a COCO object for each half) and is timed until
the twelve figures are there. The two sides take turns in one process; a ratio is boda's time through
theirs: the median over the pairs, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable

import numpy as np
from pairs import in_turn

from boda.metrics.detection import Detection, Found, Truth

CLASSES = 80
Scene = tuple[Found, Truth]


def scene(rng: np.random.Generator, detections: int = 10, objects: int = 7) -> Scene:
    """Half of the detections near an object and of its class."""
    n = detections
    m = int(rng.integers(objects - 4, objects + 5))
    places = rng.integers(0, 400, (m, 2))
    sides = np.exp(rng.uniform(np.log(8), np.log(240), (m, 2))).round()
    boxes = np.concatenate([places, places + sides], 1)
    labels = rng.integers(0, CLASSES, m)
    near = rng.integers(0, m, n)
    shift = np.round(rng.normal(size=(n, 4)) * np.tile(sides[near], 2) * 0.06)
    found = boxes[near] + shift
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    right = rng.random(n) < 0.6
    kinds = np.where(right, labels[near], rng.integers(0, CLASSES, n))
    truth = Truth(boxes, labels, rng.random(m) < 0.02)
    return Found(found, rng.random(n).round(3), kinds), truth


def ours(scenes: list[Scene]) -> dict[str, float]:
    metric = Detection([str(k) for k in range(CLASSES)])
    for found, truth in scenes:
        metric.update(found, truth)
    return metric.compute()


def as_coco(scenes: list[Scene]) -> tuple[dict, list[dict]]:
    """The data set and the list of results, as they stand in COCO's files."""
    annotations, results = [], []
    for i, (found, truth) in enumerate(scenes):
        crowd = np.zeros(len(truth.boxes), bool) if truth.crowd is None else truth.crowd
        for box, label, c in zip(truth.boxes, truth.labels, crowd, strict=True):
            x1, y1, x2, y2 = box.tolist()
            row = {"image_id": i, "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            row |= {"iscrowd": int(c), "area": (x2 - x1) * (y2 - y1), "id": len(annotations) + 1}
            annotations.append(row)
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            x1, y1, x2, y2 = box.tolist()
            row = {"image_id": i, "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            results.append({**row, "score": float(score)})
    data = {
        "info": {},
        "images": [{"id": i} for i in range(len(scenes))],
        "categories": [{"id": k, "name": str(k)} for k in range(CLASSES)],
        "annotations": annotations,
    }
    return data, results


def pycocotools(scenes: list[Scene]) -> Callable[[], np.ndarray]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return prepared(COCO, COCOeval, scenes)


def faster_coco_eval(scenes: list[Scene]) -> Callable[[], np.ndarray]:
    from faster_coco_eval import COCO, COCOeval_faster

    return prepared(COCO, COCOeval_faster, scenes)


def prepared(coco: type, evaluation: type, scenes: list[Scene]) -> Callable[[], np.ndarray]:
    data, results = as_coco(scenes)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco()
        truth.dataset = data
        truth.createIndex()
        found = truth.loadRes(results)

    def run() -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()):
            out = evaluation(truth, found, "bbox")
            out.evaluate()
            out.accumulate()
            out.summarize()
        return np.asarray(out.stats[:12])

    return run


def seconds(work: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    scenes = [scene(rng) for _ in range(options.pictures)]
    mine = np.array(list(ours(scenes).values()))
    print(f"{options.pictures} pictures, {CLASSES} classes; map {mine[0]:.4f}, map50 {mine[1]:.4f}")
    for name, peer in (("pycocotools", pycocotools), ("faster-coco-eval", faster_coco_eval)):
        run = peer(scenes)
        apart = float(np.abs(run() - mine).max())
        measured = in_turn(seconds(lambda: ours(scenes)), seconds(run), options.pairs)
        here, there = measured.medians
        print(
            f"{name:17} largest difference {apart:.1e}; ours {here:.2f} s, theirs {there:.2f} s: "
            f"ratio {measured.ratio:.3f} ({measured.ratios[0]:.3f} to {measured.ratios[-1]:.3f})"
        )


if __name__ == "__main__":
    main()
