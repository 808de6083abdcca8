"""Writes what pytorch-metric-learning makes of a few drawn embeddings: triplets, losses, figures.

Run in an environment that has pytorch-metric-learning, from the repository (boda is not needed):

    python -m benchmarks.record_metric_learning

Vectors have three decimals, so that every program reads the same ones. Labels are of uneven number,
one stands alone. Of what is drawn by distance the weights are kept, as they are handed on to the
draw. Contrastive losses are kept as each pair's hinge, which the paper squares and halves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytorch_metric_learning
import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from pytorch_metric_learning.utils import loss_and_miner_utils
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "metric_learning.json"
REDUCERS = {
    "mean": reducers.MeanReducer,
    "active": reducers.AvgNonZeroReducer,
    "sum": reducers.SumReducer,
}


def drawn(count: int, size: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(-1000, 1001, (count, size), generator=generator).double() / 1000


def kept(value: torch.Tensor) -> Any:
    """Ten digits are enough, and a third of the file."""
    return json.loads(
        json.dumps(value.tolist()), parse_float=lambda text: float(f"{float(text):.9e}")
    )


def told(loss: Any, x: torch.Tensor, labels: torch.Tensor, *more: Any) -> dict[str, Any]:
    """The loss and its gradient."""
    x = x.clone().requires_grad_()
    value = loss(x, labels, *more)
    (gradient,) = torch.autograd.grad(value, x)
    return {"loss": kept(value), "gradient": kept(gradient)}


def measures(normalize: bool = False) -> dict[str, distances.BaseDistance]:
    return {
        "euclidean": distances.LpDistance(normalize_embeddings=normalize),
        "squared-euclidean": distances.LpDistance(normalize_embeddings=normalize, power=2),
    }


def mined(x: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    measure = measures()["squared-euclidean"]
    semi = miners.TripletMarginMiner(margin=0.4, type_of_triplets="semihard", distance=measure)
    found = {
        "all": loss_and_miner_utils.get_all_triplets_indices(labels),
        "hard": miners.BatchHardMiner(distance=measure)(x, labels),
        "semi-hard": semi(x, labels),  # every such negative, not the nearest alone
    }
    return {name: torch.stack(list(each), 1).tolist() for name, each in found.items()}


def weights(x: torch.Tensor, labels: torch.Tensor) -> Any:
    """What the miner by distance hands on to the draw; NaN where an anchor has no useful negative."""
    with mock.patch.object(
        loss_and_miner_utils, "get_random_triplet_indices", return_value=(labels[:0],) * 3
    ) as draw:
        miners.DistanceWeightedMiner()(x, labels)
    rows = draw.call_args.kwargs["weights"]
    return [None if row.isnan().any() else kept(row) for row in rows]


def triplets(x: torch.Tensor, labels: torch.Tensor) -> list[dict[str, Any]]:
    out = []
    for name, measure in measures().items():
        for reducer, make in REDUCERS.items():
            loss = losses.TripletMarginLoss(margin=0.4, distance=measure, reducer=make())
            out.append({"distance": name, "reducer": reducer, **told(loss, x, labels)})
        miner = miners.BatchHardMiner(distance=measure)
        soft = losses.TripletMarginLoss(
            margin=0, smooth_loss=True, distance=measure, reducer=reducers.MeanReducer()
        )
        hard = told(lambda e, k, m=miner, f=soft: f(e, k, m(e, k)), x, labels)
        out.append({"distance": name, "reducer": "soft, hard", **hard})
    return out


def hinges(x: torch.Tensor, labels: torch.Tensor) -> list[list[float]]:
    """(first, second, hinge) of every pair, with margins 0.3 and 1.5."""
    loss = losses.ContrastiveLoss(
        pos_margin=0.3,
        neg_margin=1.5,
        distance=measures()["euclidean"],
        reducer=reducers.DoNothingReducer(),
    )
    out = []
    for part in loss(x, labels).values():
        for i, j, value in zip(*part["indices"], part["losses"], strict=True):
            if i < j:
                out.append([int(i), int(j), kept(value)])
    return sorted(out)


def classes(
    x: torch.Tensor, labels: torch.Tensor, directions: torch.Tensor
) -> list[dict[str, Any]]:
    out = []
    count, size = directions.shape
    for margin, scale in ((0.5, 64.0), (2.5, 8.0)):
        loss = losses.ArcFaceLoss(count, size, margin=margin * 180 / torch.pi, scale=scale)
        loss.W.data = directions.T.clone()
        out.append({"margin": margin, "scale": scale, **told(loss, x, labels)})
    loss = losses.NormalizedSoftmaxLoss(count, size, temperature=0.1)
    loss.W.data = directions.T.clone()
    return [*out, {"margin": 0.0, "scale": 10.0, **told(loss, x, labels)}]


def figures(x: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    calculator = AccuracyCalculator(
        include=names,
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(distances.LpDistance()),
        kmeans_func=lambda *_: None,
    )
    return calculator.get_accuracy(x, labels)


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([3, 0, 1, 0, 2, 1, 0, 4, 2, 1, 3, 0, 2])  # 4 stands alone
    x, directions = drawn(13, 6, generator), drawn(5, 6, generator)
    many_labels = torch.randint(0, 12, (90,), generator=generator)
    many = drawn(90, 6, generator) + 1.5 * drawn(12, 6, generator)[many_labels]
    supcon = {str(t): told(losses.SupConLoss(temperature=t), x, labels) for t in (0.1, 0.5)}
    golden = {
        "pytorch-metric-learning": pytorch_metric_learning.__version__,
        "embeddings": x.tolist(),
        "labels": labels.tolist(),
        "directions": directions.tolist(),
        "distances": {name: kept(measure(x, x)) for name, measure in measures().items()},
        "cosines": kept(distances.CosineSimilarity()(x, x)),
        "mined": mined(x, labels),
        "weights": weights(x, labels),
        "triplet": triplets(x, labels),
        "hinges": hinges(x, labels),
        "supcon": supcon,
        "arcface": classes(x, labels, directions),
        "many": kept(many),
        "many labels": many_labels.tolist(),
        "figures": figures(many, many_labels),
    }
    GOLDEN.write_text(json.dumps(golden, separators=(",", ":")) + "\n", "utf-8")
    print(f"{GOLDEN}: {GOLDEN.stat().st_size:,} bytes; {golden['figures']}")


if __name__ == "__main__":
    main()
