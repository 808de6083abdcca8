"""Public weights of detectors with two stages: torchvision's names, COCO's classes, the word "coco".

The networks here are small ones under the large ones' names. That the large ones have torchvision's
tensors under these names is proved in ``test_faster_rcnn``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import boda
from boda import fetching, models
from boda.data import coco_classes, imagenet
from boda.errors import DataError, UsageError
from boda.models import layouts, published, weights
from boda.models.faster_rcnn import FasterRCNN
from boda.models.layers import FixedNorm
from boda.models.mask_rcnn import MaskRCNN
from boda.progress import Progress
from boda.trained import Trained, find_weights, whose
from tests.golden.small_detectors import SIZES

FASTER, MASK = "faster-rcnn-resnet50-fpn", "mask-rcnn-resnet50-fpn"
NEW = (  # from our names to those that torchvision's modules have
    (r"^backbone\.net\.", "backbone.body."),
    (r"^pyramid\.lateral\.(\d)\.", r"backbone.fpn.inner_blocks.\1.0."),
    (r"^pyramid\.smooth\.(\d)\.", r"backbone.fpn.layer_blocks.\1.0."),
    (r"^regions\.conv\.", "rpn.head.conv.0.0."),
    (r"^regions\.objectness\.", "rpn.head.cls_logits."),
    (r"^regions\.deltas\.", "rpn.head.bbox_pred."),
    (r"^head\.classes\.", "roi_heads.box_predictor.cls_score."),
    (r"^head\.boxes\.", "roi_heads.box_predictor.bbox_pred."),
    (r"^head\.", "roi_heads.box_head."),
    (r"^mask_head\.convs\.(\d)\.", r"roi_heads.mask_head.\1.0."),
    (r"^mask_head\.enlarge\.", "roi_heads.mask_predictor.conv5_mask."),
    (r"^mask_head\.masks\.", "roi_heads.mask_predictor.mask_fcn_logits."),
)
OLD = (  # and from there to those of its files of COCO
    (r"_blocks\.(\d)\.0\.", r"_blocks.\1."),
    (r"conv\.0\.0\.", "conv."),
    *((rf"mask_head\.{n}\.0\.", f"mask_head.mask_fcn{n + 1}.") for n in range(4)),
)


def tiny_faster(classes: int, channels: int) -> FasterRCNN:
    """Small."""
    return FasterRCNN("resnet18", SIZES, classes, channels, {"width": 1 / 8})


def tiny_mask(classes: int, channels: int) -> MaskRCNN:
    """Small."""
    return MaskRCNN("resnet18", SIZES, 4, classes, channels, {"width": 1 / 8})


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, build in ((FASTER, tiny_faster), (MASK, tiny_mask)):
        monkeypatch.setitem(models._models._things, name, replace(models.entry(name), build=build))


def digits(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:8]


def detector(name: str) -> nn.Module:
    torch.manual_seed(3)
    net = models.create(name, classes=90)
    for norm in net.modules():
        if isinstance(norm, FixedNorm):
            norm.running_var.uniform_(1e-5, 1)
            norm.weight.copy_(norm.running_var.sqrt())
    return net


def named(net: nn.Module, renames: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    state = net.state_dict()
    for pattern, theirs in renames:
        state = {re.sub(pattern, theirs, name): tensor for name, tensor in state.items()}
    return dict(state)


def saved(net: nn.Module, file: Path, old: bool = True) -> Path:
    torch.save(named(net, (*NEW, *OLD) if old else NEW), file)
    return file


@pytest.mark.parametrize("model", [FASTER, MASK])
@pytest.mark.parametrize("old", [False, True])
def test_torchvision_s_names_lead_to_ours(model: str, old: bool, tmp_path: Path) -> None:
    net, other = detector(model), models.create(model, classes=90)
    file = saved(net, tmp_path / "theirs.pth", old)
    assert not set(net.state_dict()) & set(torch.load(file))
    found = weights.load(other, file, model)
    assert found.new == found.left_out == [] and found.classes is None
    assert found.layout.name == "torchvision-" + model.partition("-resnet")[0]
    for name, tensor in net.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_the_counters_of_batch_norms_are_no_tensors_too_many(tmp_path: Path) -> None:
    state = named(detector(FASTER), NEW)
    norms = [name for name in state if name.endswith("running_var")]
    counters = {n.replace("running_var", "num_batches_tracked"): torch.tensor(5) for n in norms}
    torch.save(state | counters, tmp_path / "a.pth")
    other = models.create(FASTER, classes=90)
    weights.load(other, tmp_path / "a.pth", FASTER)
    assert torch.equal(other.head.fc6.weight, state["roi_heads.box_head.fc6.weight"])
    torch.save(state | {"roi_heads.extra.weight": torch.ones(2)}, tmp_path / "b.pth")
    with pytest.raises(DataError, match=r"has beside it roi_heads\.extra\.weight\. Name"):
        weights.load(other, tmp_path / "b.pth", FASTER)


def test_other_classes_start_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = detector(MASK)
    file = saved(net, tmp_path / "theirs.pth")
    other = models.create(MASK, classes=2)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    found = find_weights(MASK, file, Progress(quiet=True))
    weights.fill(other, found)
    layers = ("head.classes", "head.boxes", "mask_head.masks")
    assert found.new == [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    assert "another number of classes: head.classes.weight" in found.tell_changes()
    for name, tensor in other.state_dict().items():
        kept = before if name in found.new else net.state_dict()
        assert torch.equal(tensor, kept[name]), name


def test_a_file_says_how_many_classes_it_has(tmp_path: Path) -> None:
    file = saved(models.create(MASK, classes=4), tmp_path / "theirs.pth")
    trained = Trained.of_model(MASK, file)
    assert trained.classes == list("0123") and not trained.named


def test_another_width_is_not_taken_for_other_classes(tmp_path: Path) -> None:
    state = named(detector(FASTER), NEW)
    state["roi_heads.box_head.fc7.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(DataError, match=r"in another shape head\.fc7\.bias"):
        weights.load(models.create(FASTER, classes=90), tmp_path / "a.pth", FASTER)


def test_masks_are_not_dropped_unsaid(tmp_path: Path) -> None:
    file = saved(detector(MASK), tmp_path / "theirs.pth")
    assert whose(file) == (MASK, {})
    with pytest.raises(DataError, match="laid out as torchvision-mask-rcnn's, where there is no"):
        Trained.of_model(FASTER, file)
    file = saved(detector(FASTER), tmp_path / "theirs.pth")
    assert whose(file) == (FASTER, {})
    with pytest.raises(DataError, match="laid out as torchvision-faster-rcnn's"):
        Trained.of_model(MASK, file)


def test_a_classifier_fills_the_backbone_and_a_detector_all(tmp_path: Path) -> None:
    progress = Progress(quiet=True)
    classifier = models.create("resnet18", width=1 / 8)
    torch.save(classifier.state_dict(), tmp_path / "classifier.pth")
    found = find_weights(FASTER, tmp_path / "classifier.pth", progress)
    assert found.of_backbone
    net = models.create(FASTER, classes=2)
    weights.fill(net, found)
    assert torch.equal(net.backbone.net.conv1.weight, classifier.conv1.weight)
    whole = detector(FASTER)
    torch.save(whole.state_dict(), tmp_path / "ours.pth")  # our names, and nothing said
    for file in (tmp_path / "ours.pth", saved(whole, tmp_path / "theirs.pth")):
        found = find_weights(FASTER, file, progress)
        assert not found.of_backbone
        weights.fill(net, found)
        assert torch.equal(net.head.fc6.weight, whole.head.fc6.weight)


# ---------------------------------------------------------------- the word "coco"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the cache, as if it were the published one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fetching.folder().mkdir(parents=True)
    file = saved(detector(FASTER), tmp_path / "theirs.pth")
    row = replace(published.COCO[0], file=f"fasterrcnn-{digits(file)}.pth", size=96)
    monkeypatch.setattr(published, "COCO", (row,))
    return file.rename(fetching.folder() / row.file)


def test_the_official_file_of_coco_is_used(cached: Path, tmp_path: Path, capsys) -> None:
    trained = Trained.of_model(FASTER, "coco", Progress())
    preparation = trained.preparation
    assert (preparation.height, preparation.width, preparation.rule) == (96, 96, "letterbox")
    assert (preparation.mean, preparation.std) == (imagenet.MEAN, imagenet.STD)
    assert trained.named and trained.classes == coco_classes.names()
    told = capsys.readouterr().err
    assert f"{cached.name}, published with a mAP of 37.0 for boxes on COCO" in told
    assert "fill the backbone" not in told
    Image.new("RGB", (300, 200), (200, 120, 30)).save(tmp_path / "a.png")
    found = boda.predict(FASTER, [tmp_path / "a.png"], weights="coco", conf=0.001)[0]
    assert set(found.names) <= set(coco_classes.names())
    assert len(found.boxes) and (found.boxes >= 0).all()
    assert (found.boxes <= [300, 200, 300, 200]).all()


def test_the_norms_of_the_official_file_add_nothing_to_the_variance(cached: Path) -> None:
    """In its network: x ↦ weight · (x − mean) / √variance + bias."""
    theirs = torch.load(cached)
    place = "layer1.0.bn1"
    w, b, m, v = (
        theirs[f"backbone.body.{place}.{name}"].double().view(-1, 1, 1)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    x = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    norm = Trained.of_model(FASTER, "coco").method.net.backbone.net.get_submodule(place)
    wanted = w * (x - m) / v.sqrt() + b
    torch.testing.assert_close(norm(x).double(), wanted, rtol=1e-5, atol=1e-5)


def test_a_stranger_s_norms_stay_as_they_are(cached: Path, tmp_path: Path) -> None:
    net = detector(FASTER)
    net.head.fc7.bias.data += 1
    file = saved(net, tmp_path / "a.pth")
    trained = Trained.of_model(FASTER, file)
    assert not trained.named and trained.classes == coco_classes.names()
    state = trained.method.net.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())


def test_networks_without_a_file_of_coco_are_told_which_have_one() -> None:
    with pytest.raises(UsageError) as error:
        Trained.of_model("faster-rcnn-resnet18-fpn", "coco")
    assert str(error.value) == (
        "there is no official file of COCO weights for faster-rcnn-resnet18-fpn. "
        f"There is for {FASTER}, {MASK}."
    )
    with pytest.raises(UsageError, match="COCO weights for resnet50"):
        Trained.of_model("resnet50", "coco")


def test_the_word_imagenet_stays_the_backbone_s() -> None:
    assert published.official(FASTER) is None
    rows = [published.official(name, "coco") for name in (FASTER, MASK)]
    assert [row.file for row in rows] == [
        "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
        "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
    ]
    assert rows[1].figures == "a mAP of 37.9 for boxes and of 34.6 for masks on COCO"
    assert {"box_map": 37.0, "mask_map": None}.items() <= rows[0].to_dict().items()


# ---------------------------------------------------------------- COCO's classes


def test_the_names_stand_at_their_numbers() -> None:
    names = layouts.FASTER.names(90)
    assert len(names) == len(set(names)) == 90 and layouts.FASTER.names(80) is None
    # Numbers as the annotations of COCO have them.
    told = {1: "person", 13: "stop sign", 44: "bottle", 62: "chair", 72: "tv", 90: "toothbrush"}
    assert {number: names[number - 1] for number in told} == told
    assert [n for n in names if n.startswith("unused")] == [
        f"unused {n}" for n in coco_classes.UNUSED
    ]


def test_the_names_are_those_of_the_sample(shared_data: Path) -> None:
    from boda.data import readers

    classes = readers.read(shared_data / "coco128" / "instances.json", task="detect").classes
    annotated = [name for name in coco_classes.names() if not name.startswith("unused")]
    assert np.array_equal(annotated, classes)
