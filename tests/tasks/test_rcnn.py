"""``rcnn``: every stage against plain loops or another solver, and that it learns to find what is drawn."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC

import boda
from boda import models
from boda.api import evaluate, export, fit
from boda.data import synthetic
from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.ops.boxes import encode_boxes, iou
from boda.progress import Progress
from boda.tasks.detect import machines, proposals
from boda.tasks.detect.rcnn import RCNN, Config
from boda.tasks.detect.stages import Seen, fit_machines, fit_regressors, look, overlaps

SIDE = 64
QUIET = Progress(quiet=True)


def small(classes: int = 3, **settings: object) -> RCNN:
    torch.manual_seed(0)
    net = models.create("rcnn", classes=classes, width=0.125)
    return RCNN(net, Preparation(SIDE, SIDE, rule="letterbox"), Config(**settings))  # type: ignore[arg-type]


def drawn(count: int = 4) -> Pictures:
    samples = synthetic.dataset(count + 4, SIDE, seed=3).splits["train"][:count]
    preparation = Preparation(SIDE, SIDE, rule="letterbox")
    images = np.stack([preparation(s.image).transpose(2, 0, 1) for s in samples])
    return Pictures(samples, preparation, images)


def test_fine_tuning_takes_regions_for_what_they_overlap_by_half() -> None:
    """By a loop over everything that was drawn."""
    method, pictures = small(classes=6), drawn()
    method.begin(pictures)
    (batch,) = pictures.in_order(4)
    boxes, which, labels = method.drawn(batch)
    assert batch.boxes is not None and batch.box_labels is not None
    shown = 0
    for box, picture, label in zip(boxes, which.tolist(), labels.tolist(), strict=True):
        best, object_label = 0.0, -1
        for other, other_label in zip(
            batch.boxes[picture], batch.box_labels[picture].tolist(), strict=True
        ):
            if (value := iou(box, other).item()) > best:
                best, object_label = value, other_label
        assert label == (1 + object_label if best >= 0.5 else 0)
        shown += label > 0
    assert 4 <= shown <= 32 and len(boxes) <= 4 * 32
    counts = torch.bincount(which, minlength=4)
    assert (torch.bincount(which[labels > 0], minlength=4) <= 8).all() and (counts <= 32).all()


def test_overlaps_are_those_of_plain_loops() -> None:
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(30, 2, 2, generator=generator).sort(1).values.flatten(1) * 50
    boxes, own = (
        corners[:25] + torch.tensor([0, 0, 1, 1]),
        corners[25:] + torch.tensor([0, 0, 1, 1]),
    )
    labels = torch.tensor([2, 0, 2, 0, 2])
    overlap, nearest = overlaps(boxes, own, labels, 4)
    for i, box in enumerate(boxes):
        for c in range(4):
            of_class = [k for k in range(5) if labels[k] == c]
            values = [iou(box, own[k]).item() for k in of_class]
            assert overlap[i, c] == pytest.approx(max(values, default=0.0))
            if values and max(values) > 0:
                assert iou(box, own[nearest[i, c]]).item() == pytest.approx(max(values))
    assert (overlap[:, [1, 3]] == 0).all()


def crowd(count: int = 6000) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A hundred positives, as many negatives that are much like them, and easy ones."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(count, 16, generator=generator) * 3
    features[:200, 0] += 20
    features[100:200, 1] += 10
    return features, torch.arange(100), torch.arange(count) >= 100


def test_mining_finds_what_all_negatives_at_once_give() -> None:
    """The same machine by scikit-learn from every negative, and that few of them were needed."""
    features, positive, negative = crowd()
    mined = machines.mined_svm(features, positive, negative)
    whole = LinearSVC(
        loss="hinge",
        C=1e-3,
        class_weight={True: 2.0, False: 1.0},
        intercept_scaling=10.0,
        random_state=0,
        max_iter=200_000,
    )
    whole.fit(features.numpy(), ~negative.numpy())
    margins = machines.affine(features, mined.weights).numpy()
    expected = whole.decision_function(features.numpy())
    np.testing.assert_allclose(margins, expected, atol=5e-3)
    assert 1 < mined.rounds < machines.ROUNDS and mined.negatives < 1000
    assert (margins[:100] > 0).mean() > 0.8 and (margins[100:200] < 0).mean() > 0.8
    # The first negatives alone give another machine: the hard ones were needed.
    easy = LinearSVC(loss="hinge", C=1e-3, class_weight={True: 2.0, False: 1.0}, random_state=0)
    rows = np.r_[:100, 3000:3200]
    easy.fit(features[rows].numpy(), rows < 100)
    wrong = np.abs(easy.decision_function(features.numpy()) - expected).max()
    assert wrong > 0.5


def test_nobody_is_left_on_the_wrong_side_unlearned() -> None:
    """With very few negatives at first, every one that counts is found by mining."""
    features, positive, negative = crowd(1500)
    before = machines.FIRST
    machines.FIRST = 20
    try:
        few = machines.mined_svm(features, positive, negative)
    finally:
        machines.FIRST = before
    many = machines.mined_svm(features, positive, negative)
    torch.testing.assert_close(few.weights, many.weights, atol=0.01, rtol=0.05)
    assert few.rounds > many.rounds and few.negatives > 20


def test_ridge_is_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(50, 20, generator=generator) * 3 + 2
    targets = torch.randn(50, 4, generator=generator) + 1
    ours = machines.ridge(features, targets, 30.0)
    theirs = Ridge(alpha=30.0).fit(features.numpy(), targets.numpy())
    np.testing.assert_allclose(ours[:, :-1].numpy(), theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours[:, -1].numpy(), theirs.intercept_, atol=1e-4)


def test_platt_tells_how_often_it_is_true() -> None:
    generator = torch.Generator().manual_seed(3)
    margins = torch.randn(20_000, generator=generator) * 2
    often = torch.sigmoid(1.5 * margins - 2)
    a, b = machines.platt(margins, torch.rand(20_000, generator=generator) < often)
    assert a == pytest.approx(1.5, abs=0.1) and b == pytest.approx(-2, abs=0.1)


def seen_by(classes: int = 2) -> tuple[Seen, torch.Tensor]:
    """Regions around two objects, whose features tell where they lie; what was asked for them."""
    generator = torch.Generator().manual_seed(4)
    own = torch.tensor([[10.0, 12, 40, 44], [60, 20, 90, 70]])
    shift = torch.randn(300, 4, generator=generator) * 0.1
    base = own[torch.arange(300) % 2]
    sides = (base[:, 2:] - base[:, :2]).repeat(1, 2)
    boxes = torch.cat([own, base + shift * sides])
    is_own = torch.full((302,), -1)
    is_own[:2] = torch.tensor([0, 1])
    overlap, nearest = overlaps(boxes, own, torch.tensor([0, 1]), classes)
    wanted = encode_boxes(own[torch.arange(302) % 2], boxes)
    features = torch.cat([wanted, overlap, torch.randn(302, 10, generator=generator) * 0.1], 1)
    features = features * 200
    pictures = torch.zeros(302, dtype=torch.int64)
    return Seen(features, 2.0, boxes, is_own, overlap, nearest, own, pictures), wanted


def test_regressors_move_regions_onto_their_objects() -> None:
    seen, wanted = seen_by()
    method = small(classes=2)
    method.net.offsets = torch.zeros(2, 4, 17)
    told = fit_regressors(method.net, seen)
    near = (seen.overlap >= 0.6) & (seen.own < 0)[:, None]
    assert told["examples"] == int(near.sum()) > 50
    for label in (0, 1):
        rows = near[:, label]
        got = machines.affine(seen.features / seen.scale, method.net.offsets[label])  # type: ignore[index]
        assert (got - wanted)[rows].abs().mean() < 0.2 * wanted[rows].abs().mean()


def test_a_class_without_objects_is_never_told() -> None:
    seen, _ = seen_by(classes=3)
    method = small(classes=3)
    method.net.margin = torch.ones(3, 18)
    fit_machines(method.net, seen, 0.3)
    scores = machines.affine(seen.features / seen.scale, method.net.margin).sigmoid()
    assert (scores[:, 2] < 1e-3).all() and (method.net.margin[2, :-1] == 0).all()
    of_first = seen.overlap[:, 0] >= 0.5
    assert scores[of_first, 0].mean() > 0.5 > scores[~of_first, 0].mean()


def test_non_max_suppression_comes_before_the_boxes_move() -> None:
    """Two regions that overlap little before, and wholly after: both stay; and by hand where they go."""
    method = small(classes=2)
    method.net.margin = torch.zeros(2, 3)
    method.net.margin[0, 0], method.net.margin[1, -1] = 1.0, machines.NEVER  # type: ignore[index]
    method.net.offsets = torch.zeros(2, 4, 3)
    method.net.offsets[0, 0, 1] = 1.0  # type: ignore[index]
    boxes = torch.tensor([[0.0, 0, 20, 20], [20, 0, 40, 20], [1, 0, 21, 20]])
    features = torch.tensor([[3.0, 0.5], [2.0, -0.5], [1.0, 0.0]])
    rows = method.told(boxes, features)
    expected = [[10, 0, 30, 20], [10, 0, 30, 20]]
    assert rows[:, :4].tolist() == expected and rows[:, 5].tolist() == [0, 0]
    torch.testing.assert_close(rows[:, 4], torch.tensor([3.0, 2.0]).sigmoid())
    plain = method.told(boxes, features, regressing=False)
    assert plain[:, :4].tolist() == boxes[:2].tolist()


def test_features_do_not_depend_on_the_number_of_regions() -> None:
    method, pictures = small(classes=6), drawn(2)
    method.begin(pictures)
    seen = look(method, pictures, QUIET)
    assert seen.features.norm(dim=1).mean().item() == pytest.approx(20, rel=1e-3)
    image = torch.from_numpy(pictures.prepared(1)).permute(2, 0, 1)
    last = method.features(image, method.regions[1][-1:]) * seen.scale
    torch.testing.assert_close(seen.features[-1:], last, atol=1e-4, rtol=1e-3)


def test_regions_are_searched_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(proposals, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(proposals, "_known", type(proposals._known)())
    pictures, search = drawn(3), proposals.Proposals("fast", 2000)
    first = search.all_of(pictures, torch.arange(3), QUIET)
    refuse = pytest.fail
    monkeypatch.setattr(proposals, "selective_search", lambda *_: refuse("searched again"))
    image = torch.from_numpy(pictures.prepared(1)).permute(2, 0, 1)
    assert torch.equal(search.of(image), first[1])
    proposals._known.clear()  # another process
    again = search.all_of(pictures, torch.arange(3), QUIET)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(proposals.Proposals("fast", 5).of(image)) == 5


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    for wrong in ({"iou": 0.0}, {"mode": "slow"}, {"samples": 0}, {"crop": 32}):
        with pytest.raises(UsageError):
            Config(**wrong)  # type: ignore[arg-type]
    boda.api.synth(tmp_path / "drawn", count=6, size=64)
    with pytest.raises(UsageError, match="searched once"):
        fit("detect", tmp_path / "drawn" / "scenes", model="rcnn", augment="scenes", progress=QUIET)


def test_an_empty_picture_has_no_boxes_and_a_loss() -> None:
    method = small()
    images = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
    zero = torch.zeros(1, dtype=torch.int64)
    assert method(Batch(images, zero, zero))["classes"].isfinite()
    method.net.margin[:, -1] = machines.NEVER  # type: ignore[index]
    assert (method.eval().output(images) == 0).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit of seconds, on a dozen drawn scenes."""
    folder = tmp_path_factory.mktemp("rcnn")
    boda.api.synth(folder / "drawn", count=20, size=64, seed=1)
    fit(
        "detect",
        folder / "drawn" / "scenes",
        model="rcnn",
        epochs=24,
        size="64",
        out=folder / "run",
        settings={"width": "0.125", "rate": "0.005"},
        progress=QUIET,
    )
    return folder / "run"


def test_the_record_tells_every_stage(run: Path) -> None:
    record = json.loads((run / "run.json").read_text("utf-8"))
    names = [stage["name"] for stage in record["stages"]]
    assert names == [
        "regions",
        "gradient descent",
        "features",
        "support vector machines",
        "regressors",
        "measured on val",
        "one picture",
    ]
    assert all(stage["seconds"] > 0 for stage in record["stages"])
    measured = record["stages"][5]["figures"]
    assert measured["map50 with regression"] == pytest.approx(record["metrics"]["map50"], abs=1e-3)
    page = (run / "report.html").read_text("utf-8")
    assert "support vector machines" in page and "boda export" not in page
    assert all("val_map" not in row for row in boda.load(run).history())


def test_it_learns_to_find_what_is_drawn(run: Path) -> None:
    told = evaluate(run, split="train", progress=QUIET)
    assert told["metrics"]["map50"] > 0.35


def test_it_cannot_be_exported(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="selective search"):
        export(run, tmp_path / "model.onnx")


def test_a_run_that_was_killed_in_its_last_stages_goes_on(run: Path, tmp_path: Path) -> None:
    """Before the stages are in the record they are done again, with the same result to the byte."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    record = json.loads((copy / "run.json").read_text("utf-8"))
    del record["stages"]
    (copy / "run.json").write_text(json.dumps(record), "utf-8")
    whole = (run / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(b"")
    fit(resume=copy, progress=QUIET)
    assert (copy / "model.safetensors").read_bytes() == whole
    assert "stages" in json.loads((copy / "run.json").read_text("utf-8"))


def test_settings_are_a_dataclass_with_help() -> None:
    assert all(field.metadata["help"] for field in dataclasses.fields(Config))
