"""The stages of R-CNN that follow its gradient descent, one after another, each timed.

Girshick, Donahue, Darrell, Malik 2013, arXiv 1311.2524, section 2.3 and appendices B and C.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from boda.data.dataset import Pictures, memory_budget, objects_in
from boda.metrics.detection import Detection
from boda.ops.boxes import encode_boxes, iou, pairwise
from boda.ops.suppression import nms
from boda.progress import Progress
from boda.tasks.detect.machines import NEVER, NORM, affine, mined_svm, platt, ridge
from boda.tasks.detect.task import found, truth
from boda.tasks.steps import Stage

if TYPE_CHECKING:
    from boda.tasks.detect.rcnn import RCNN

NEGATIVE = 0.3  # IoU below which a region is a negative example for the class's machine
NEAR = 0.6  # from which it teaches the class's regressor
FOUND = 0.5  # from which it shows an object
RIDGE = 1000.0  # λ of the regressors, of features of a mean norm of 20
FEW = 5  # pictures that time is measured on


class Seen(NamedTuple):
    """Every region of the pictures that is learned from, the objects' own boxes too.

    Attributes:
        features: (M, D) float32, of a mean norm of 20.
        scale: what they were multiplied by.
        boxes: (M, 4) xyxy in pixels of their pictures.
        own: (M,) the class of an object's own box, −1 for regions.
        overlap: (M, classes) the highest IoU with an object of each class.
        nearest: (M, classes) int64, the place of that object in ``objects``.
        objects: (K, 4) the objects' boxes.
        picture: (M,) int64, which picture each region is in, from 0 on.
    """

    features: Tensor
    scale: float
    boxes: Tensor
    own: Tensor
    overlap: Tensor
    nearest: Tensor
    objects: Tensor
    picture: Tensor


class Watch:
    """Notes how long each stage took.

    Attributes:
        stages: those that are over.
    """

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.began = time.monotonic()

    def over(self, stage: str, figures: dict[str, float]) -> None:
        """A stage is over, which began when the last one was."""
        now = time.monotonic()
        self.told(stage, now - self.began, figures)
        self.began = now

    def told(self, stage: str, seconds: float, figures: dict[str, float]) -> None:
        """A stage whose time is known."""
        rounded = {name: round(float(value), 4) for name, value in figures.items()}
        self.stages.append(Stage(stage, round(seconds, 3), rounded))


def conclude(
    method: RCNN, train: Pictures, val: Pictures | None, progress: Progress
) -> list[Stage]:
    """Fill the machines and the regressors of the method's network; see ``Method.conclude``."""
    watch = Watch()
    seen = look(method, train, progress)
    watch.over("features", {"pictures": int(seen.picture[-1]) + 1, "regions": len(seen.boxes)})
    watch.over("support vector machines", fit_machines(method.net, seen, method.overlap))
    watch.over("regressors", fit_regressors(method.net, seen))
    if val is not None and val.boxes is not None and any(len(own) for own in val.boxes):
        watch.over("measured on val", _compared(method, val, progress))
    watch.told("one picture", *_timed(method, train))
    return watch.stages


def look(method: RCNN, train: Pictures, progress: Progress) -> Seen:
    """The features of all regions; of every second picture, or fewer, where memory ends."""
    classes, columns = method.net.margin.shape  # type: ignore[misc]
    known = objects_in(train)
    count = sum(len(regions) + len(known[i][0]) for i, regions in method.regions.items())
    step = 1 + int(4 * count * int(columns) / memory_budget())
    used = method.places(train)[::step]
    rows: list[tuple[Tensor, ...]] = []
    total = 0
    for batch in train.batches(used, 32):
        for image, i in zip(batch.images, batch.index.tolist(), strict=True):
            own, labels = known[i]
            boxes = torch.cat([own, method.regions[i]])
            is_own = torch.full((len(boxes),), -1)
            is_own[: len(own)] = labels
            overlap, nearest = overlaps(boxes, own, labels, int(classes))
            features = method.features(image, boxes).cpu()
            picture = torch.full_like(is_own, len(rows))
            rows.append((features, boxes, is_own, overlap, nearest + total, own, picture))
            total += len(own)
            progress.advance(len(rows), len(used))
    features, boxes, owners, overlap, nearest, own, picture = (
        torch.cat(column) for column in zip(*rows, strict=True)
    )
    scale = NORM / max(1e-6, features.norm(dim=1).mean().item())
    features.mul_(scale)
    return Seen(features, scale, boxes, owners, overlap, nearest, own, picture)


def fit_machines(net: torch.nn.Module, seen: Seen, threshold: float) -> dict[str, float]:
    """A support vector machine for each class, its margins made log-odds.

    The odds are those among the regions that non-max suppression at ``threshold`` leaves: of the
    many that show an object, one is told.
    """
    rounds, negatives = [0], [0]
    regions = (seen.own < 0).nonzero()[:, 0]
    for label, row in enumerate(net.margin):  # type: ignore[arg-type]
        positive, overlap = (seen.own == label).nonzero()[:, 0], seen.overlap[:, label]
        row.zero_()
        row[-1] = NEVER
        if not len(positive) or not (overlap < NEGATIVE).any():
            continue
        mined = mined_svm(seen.features, positive, overlap < NEGATIVE)
        margins = affine(seen.features, mined.weights)[regions]
        left = nms(seen.boxes[regions], margins, threshold, seen.picture[regions])
        shows = overlap[regions[left]] >= FOUND
        both = bool(shows.any() and not shows.all())
        a, b = platt(margins[left], shows) if both else (1.0, 0.0)
        row.copy_(a * mined.weights)
        row[:-1] *= seen.scale
        row[-1] += b
        rounds.append(mined.rounds)
        negatives.append(mined.negatives)
    return {"rounds, at most": max(rounds), "hard negatives, at most": max(negatives)}


def fit_regressors(net: torch.nn.Module, seen: Seen) -> dict[str, float]:
    """Ridge regression from the features of a near region to the object's box."""
    examples = 0
    for label, weights in enumerate(net.offsets):  # type: ignore[arg-type]
        near = ((seen.overlap[:, label] >= NEAR) & (seen.own < 0)).nonzero()[:, 0]
        weights.zero_()
        if len(near):
            wanted = encode_boxes(seen.objects[seen.nearest[near, label]], seen.boxes[near])
            weights.copy_(ridge(seen.features[near], wanted, RIDGE))
            weights[:, :-1] *= seen.scale
        examples += len(near)
    return {"examples": examples}


def overlaps(boxes: Tensor, own: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Of each box and class the highest IoU with an object of it, and which object that is.

    Args:
        boxes: (M, 4).
        own: (n, 4) the objects.
        labels: (n,) their classes.
        classes: how many there are.

    Returns:
        (M, classes), 0 where there is no such object; (M, classes) int64 places in ``own``.
    """
    overlap = torch.zeros(len(boxes), classes)
    nearest = torch.zeros(len(boxes), classes, dtype=torch.int64)
    every = pairwise(iou, boxes, own)
    for label in labels.unique().tolist():
        of_class = (labels == label).nonzero()[:, 0]
        overlap[:, label], which = every[:, of_class].max(1)
        nearest[:, label] = of_class[which]
    return overlap, nearest


def of_regions(regions: dict[int, Tensor], train: Pictures) -> dict[str, float]:
    """How many a picture has, and how many of the objects one of them overlaps by half."""
    known = objects_in(train)
    best = [
        pairwise(iou, own, some).amax(1) >= FOUND
        for i, some in regions.items()
        if len(own := known[i][0])
    ]
    share = torch.cat(best).float().mean().item() if best else 0.0
    count = sum(len(each) for each in regions.values()) / len(regions)
    return {"a picture": round(count, 1), "share of the objects": round(share, 4)}


def _compared(method: RCNN, val: Pictures, progress: Progress) -> dict[str, float]:
    """The figures on val without the regressors and with them."""
    names = [str(label) for label in range(len(method.net.margin))]  # type: ignore[arg-type]
    plain, moved = Detection(names), Detection(names)
    done = 0
    for batch in val.in_order(32):
        for image, i in zip(batch.images, batch.index.tolist(), strict=True):
            boxes, sample = method.search.of(image).to(method.scale.device), val.samples[i]
            features = method.features(image, boxes)
            for metrics, regressing in ((plain, False), (moved, True)):
                rows = method.told(boxes, features, regressing).cpu().numpy()
                metrics.update(found(rows, sample, val), truth(sample))
            done += 1
            progress.advance(done, len(val))
    before, after = plain.compute(), moved.compute()
    return {
        f"{name} {how} regression": figures[name]
        for name in ("map50", "map")
        for how, figures in (("without", before), ("with", after))
    }


def _timed(method: RCNN, pictures: Pictures) -> tuple[float, dict[str, float]]:
    """Seconds that a picture takes: regions, network, and what follows."""
    parts = {"regions": 0.0, "network": 0.0, "machines and boxes": 0.0}
    count = min(FEW, len(pictures))
    for i in range(count):
        image = torch.from_numpy(pictures.prepared(i)).permute(2, 0, 1)
        clock = [time.monotonic()]
        boxes = torch.from_numpy(method.search.anew(image)).to(method.scale.device)
        clock.append(time.monotonic())
        features = method.features(image, boxes)
        clock.append(time.monotonic())
        method.told(boxes, features).cpu()
        clock.append(time.monotonic())
        for name, start, end in zip(parts, clock, clock[1:], strict=False):
            parts[name] += (end - start) / count
    return sum(parts.values()), parts
