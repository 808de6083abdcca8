"""Choosing boxes for a whole batch: the best ones, and non-max suppression, each as one operator.

``torch.export`` cannot look into a loop whose length depends on the numbers; as an operator of its
own it stands in the graph by its name, and ``boda.onnx_operators`` says what it is in ONNX. Both
are exact: of equal scores the lower index comes first, as in ONNX and on every device. They are
defined part by part and not by ``custom_op``, whose first call loads torch's compiler, for seconds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.ops.suppression import nms


def best(scores: Tensor, count: int) -> Tensor:
    """The places of the highest scores.

    Args:
        scores: (N, A), no NaN.
        count: 1 to A.

    Returns:
        (N, count) int64, the highest score first, of equal ones the lower index.
    """
    found: Tensor = torch.ops.boda.best(scores, count)
    return found


def _best(scores: Tensor, count: int) -> Tensor:
    last = scores.topk(count, 1).values[:, -1:]  # topk itself leaves open which of equals it takes
    above, equal = scores > last, scores == last
    chosen = above | (equal & (equal.cumsum(1) <= count - above.sum(1, keepdim=True)))
    places = chosen.nonzero()[:, 1].view(len(scores), count)
    order = scores.gather(1, places).argsort(dim=1, descending=True, stable=True)
    return places.gather(1, order)


def _places(scores: Tensor, count: int) -> Tensor:
    return scores.new_empty((scores.shape[0], count), dtype=torch.int64)


def keep(boxes: Tensor, scores: Tensor, labels: Tensor, classes: int, threshold: float) -> Tensor:
    """Which boxes non-max suppression keeps, picture by picture, class by class.

    Args:
        boxes: (N, K, 4) xyxy.
        scores: (N, K); those of 0 are no boxes.
        labels: (N, K) int64.
        classes: how many there are.
        threshold: see ``boda.ops.suppression.nms``.

    Returns:
        (N, K) bool.
    """
    found: Tensor = torch.ops.boda.keep(boxes, scores, labels, classes, threshold)
    return found


def _keep(boxes: Tensor, scores: Tensor, labels: Tensor, classes: int, threshold: float) -> Tensor:
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for i in range(len(boxes)):
        there = (scores[i] > 0).nonzero()[:, 0]
        chosen = nms(boxes[i, there], scores[i, there], threshold, labels[i, there])
        kept[i, there[chosen]] = True
    return kept


def _kept(boxes: Tensor, scores: Tensor, labels: Tensor, classes: int, threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


torch.library.define("boda::best", "(Tensor scores, int count) -> Tensor")
torch.library.impl("boda::best", "default", _best)
torch.library.register_fake("boda::best", _places)
torch.library.define(
    "boda::keep",
    "(Tensor boxes, Tensor scores, Tensor labels, int classes, float threshold) -> Tensor",
)
torch.library.impl("boda::keep", "default", _keep)
torch.library.register_fake("boda::keep", _kept)
