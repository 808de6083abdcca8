"""The task ``match``: data with identities, figures on those that were never seen, and the defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from boda import models
from boda.data.dataset import Pictures
from boda.data.identities import group_of
from boda.data.survey import Survey
from boda.metrics.embeddings import Measure, cosine_distances, euclidean_distances
from boda.metrics.recognition import Recognition
from boda.tasks.base import Default, Method, Start, Task, tasks
from boda.tasks.match.embedder import Embedder
from boda.tasks.match.gallery import beside, thumbnail, worst
from boda.tasks.optimizing import from_scratch, gently

DRAWN = 48  # pixels; the lines of larger drawings are not known better
GRAY = 64  # of gray pictures: with few people larger ones are learned by heart
LARGEST = 160  # of the working picture's longer side, of photographs in colour
STEP = 16  # what its sides are multiples of
SHOWN = 4  # pictures of each in a batch
FEW = 200  # identities of whom gray pictures are described beside what is learned
PIXELS_COMPARED = 1000  # pictures of which every pair's pixels are compared
TURNED = ("omniglot", "omniglot-runs")  # formats of characters, which turned are others


class Match(Task):
    """Recognition: is it the same one, and which of those that are known by one picture?

    Whole pictures at their proportions: two boxes around one face are never equally long and wide,
    and stretched faces are other faces.

    Args:
        measure: how far the outputs of a method are from each other.
    """

    name = "match"
    headline = "accuracy"
    description = "Who or what is it, known again from a single picture."
    rule = "letterbox"

    def __init__(self, measure: Measure = cosine_distances) -> None:
        self.measure = measure

    def of(self, method: Method) -> Task:
        """By the distance that the method's outputs were learned for."""
        return Match(method.measure) if isinstance(method, Embedder) else self

    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """Four convolutions for drawings, described too where few are in gray pictures; else residual.

        The batch is P×K by how many there are.
        """
        drawn = survey.drawn
        kind = "drawings" if drawn else "gray pictures" if survey.gray else "photographs"
        seen = f"{kind} of about {survey.height}×{survey.width}"
        chosen = Default(model, "you named it")
        if model is None and survey.gray and not drawn and survey.classes <= FEW:
            few = f"{seen} of {survey.classes} identities: few know little beside themselves"
            chosen = Default("embedding-conv4-described", few)
        elif model is None and (drawn or survey.gray):
            chosen = Default("embedding-conv4", f"{seen}: small filters, and where they answered")
        elif model is None:
            chosen = Default("embedding-resnet20-strided", f"{seen}: a network that strides first")
        turned = survey.format in TURNED
        return {
            "model": chosen,
            "size": _size(models.entry(chosen.value), survey, seen),
            **_recipe(models.entry(chosen.value), survey, start, turned),
            "channels": Default(1 if survey.gray else 3, seen),
            "augment": _augmentation(seen),
            "rotations": Default(
                turned,
                "a character that is turned by 90° is another one: four times as many to learn from"
                if turned
                else "only a character that is turned is another one",
            ),
        }

    def metrics(self, classes: Sequence[str]) -> Recognition:
        """Episodes, verification and retrieval; the identities are the pictures' own."""
        return Recognition(self.measure)

    def update(
        self, metrics: Recognition, outputs: np.ndarray, pictures: Pictures, index: Tensor
    ) -> None:
        """Vectors, and who is shown."""
        names = [identity(pictures, i) for i in index.tolist()]
        metrics.update(outputs, names, [group_of(name) for name in names], pictures.listed)

    def details(self, metrics: Recognition) -> dict[str, Any]:
        """What was asked, and the ROC of the verification."""
        return {"episodes": metrics.asked, "roc": metrics.roc}

    def baseline(
        self, method: Method, classes: Sequence[str], pictures: Pictures
    ) -> dict[str, float]:
        """What the nearest picture by its bare pixels tells: ``pixels_accuracy`` and so on."""
        pixels = Recognition(euclidean_distances, PIXELS_COMPARED)
        for index in range(len(pictures)):
            name = identity(pictures, index)
            row = thumbnail(pictures.prepared(index)).reshape(1, -1)
            pixels.update(row, [name], [group_of(name)], pictures.listed)
        found = pixels.compute()
        told = ("accuracy", "accuracy_within", "auc")
        return {f"pixels_{name}": found[name] for name in told if name in found}

    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """Pictures whose most similar one shows somebody else, the most similar first, with that one."""
        metrics = self.metrics(classes)
        names = [identity(pictures, i) for i in range(len(pictures))]
        metrics.update(outputs, names, [group_of(name) for name in names], pictures.listed)
        return [
            {
                "image": beside(pictures.prepared(asked), pictures.prepared(taken)),
                "source": pictures.samples[asked].source,
                "truth": names[asked],
                "predicted": names[taken],
                "score": 1 - far,
            }
            for asked, taken, far in worst(metrics, names, most)
        ]


tasks.add("match", Match())


def identity(pictures: Pictures, index: int) -> str:
    """Who is shown; the class where the sample names nobody."""
    sample = pictures.samples[index]
    return sample.identity if sample.identity is not None else str(sample.label)


def _size(entry: models.Entry, survey: Survey, seen: str) -> Default:
    """The proportions of the data, so that nothing is filled up where all pictures have them."""
    if entry.smallest == entry.size[0]:
        return Default(entry.smallest, f"the size {entry.name} is made for")
    longer, shorter = max(survey.height, survey.width), min(survey.height, survey.width)
    wanted = DRAWN if survey.drawn else min(GRAY if survey.gray else LARGEST, longer)
    least = -(-entry.smallest // STEP) * STEP
    sides = [
        max(least, STEP * round(wanted * side / max(1, longer) / STEP))
        for side in (survey.height, survey.width)
    ]
    shape = str(sides[0]) if sides[0] == sides[1] else f"{sides[0]}x{sides[1]}"
    same = " their proportions," if shorter != longer else ""
    return Default(shape, f"{seen}:{same} multiples of {STEP}, at most {wanted} and what is needed")


def _recipe(entry: models.Entry, survey: Survey, start: Start, turned: bool) -> dict[str, Default]:
    """Optimizer, rate, batch as P×K, and epochs."""
    people, pictures = max(2, survey.classes), survey.samples
    people, pictures = (4 * people, 4 * pictures) if turned else (people, pictures)
    shown = min(SHOWN, max(2, pictures // people))
    ways = max(2, min(32, people // 2))
    epochs = int(min(100, max(10, 300_000 / max(1, pictures))))
    steps = from_scratch(entry.parameters, adam=1e-3) if start == "scratch" else gently(3e-4)
    return {
        **steps,
        "batch": Default(
            shown * ways, f"P×K: {shown} pictures of each of {ways} of {people:,} identities"
        ),
        "pictures": Default(shown, "of each identity in a batch, so that it has someone alike"),
        "epochs": Default(epochs, f"{pictures:,} pictures: about 300,000 looks, 10 to 100 epochs"),
        "ema": Default(0.999, "averaged weights measure distances more evenly than the last ones"),
    }


def _augmentation(seen: str) -> Default:
    return Default("digits", f"{seen}: moved a little; in a mirror it would be another one")
