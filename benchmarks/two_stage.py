"""Whether Faster and Mask R-CNN find what torchvision's find, from the same file of weights.

Command:  python benchmarks/two_stage.py PICTURES [--count 4] [--large]
          in an environment that has torchvision as well as boda; PICTURES is a folder of JPEGs

torchvision's networks with ResNet-50 get random weights that make them find things: see ``lively``.
They are saved as torchvision saves them, in four ways: with batch norms; with fixed ones; with the
names and the norms of its files of COCO, whose fixed norms add nothing to the variance, as a file
that boda recognizes and as one that it does not. boda reads the file, and both look at the same
letterboxed pictures, one at a time and in batches. torchvision's scaling is set so that it leaves
them as they are. Each detection of one side is looked for on the other: the same class, a score
within 1e-3, corners within 0.1 pixel, and a mask (28×28) within 1e-3 everywhere. Which of two that
score alike is the hundredth, and told, is a matter of rounding: such are counted as "at the cut".
What the last way shows is how much the norms matter: there, other detections are right.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops import FrozenBatchNorm2d

from boda import tasks
from boda.data.image import decode
from boda.data.prepare import Preparation
from boda.fetching import sha256
from boda.models import published
from boda.progress import Progress
from boda.tasks import Method
from boda.tasks.detect.detector import LEAST, MOST
from boda.trained import Trained

BOX, SCORE = 0.1, 1e-3  # pixels, and of scores and masks: what may differ
SMALL = ((320, 320), (320, 448))
LARGE = (800, 800)
SPREAD = {  # of the answers over what the networks see; a large one of the classes makes them sure
    "rpn.head.cls_logits": 2.0,
    "rpn.head.bbox_pred": 0.3,
    "roi_heads.box_predictor.cls_score": 4.0,
    "roi_heads.box_predictor.bbox_pred": 1.0,
    "roi_heads.mask_predictor.mask_fcn_logits": 2.0,
}
OLD = (  # torchvision's names now and in its files of COCO
    (r"(inner_blocks|layer_blocks)\.(\d)\.0\.", r"\1.\2."),
    (r"rpn\.head\.conv\.0\.0\.", "rpn.head.conv."),
    *((rf"mask_head\.{n}\.0\.", f"mask_head.mask_fcn{n + 1}.") for n in range(4)),
)


def theirs(masks: bool, norm: type[nn.Module], pictures: Tensor) -> nn.Module:
    """Torchvision's network with random weights, in evaluation mode, not scaling its pictures.

    Args:
        masks: Mask R-CNN and not Faster R-CNN.
        norm: of the backbone.
        pictures: (N, 3, H, W) 0..1, which it is to find things in.
    """
    torch.manual_seed(0)
    body = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=norm), 5)
    kind = MaskRCNN if masks else FasterRCNN
    net = kind(body, 91, box_score_thresh=LEAST).eval()
    lively(net, pictures)
    return net


@torch.no_grad()
def lively(net: nn.Module, pictures: Tensor) -> None:
    """Random statistics for the norms, and answers that vary from place to place.

    A norm scales by about 1, the last one of a block by a half; one variance in ten is as small as
    some of those in the public files. The layers that answer are scaled one after another until
    each channel's answers to the pictures have mean 0 and the deviation in ``SPREAD``.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d | FrozenBatchNorm2d)]
    names = {module: name for name, module in net.named_modules()}
    for norm in norms:
        variance = 0.5 + torch.rand_like(norm.running_var)
        rare = torch.rand_like(variance) < 0.1
        norm.running_var.copy_(torch.where(rare, variance * 1e-4, variance))
        norm.running_mean.copy_(torch.randn_like(variance) / 4)
        scale = 0.5 if names[norm].endswith("bn3") else 1.0
        norm.weight.copy_(scale * (0.75 + torch.rand_like(variance) / 2) * norm.running_var.sqrt())
        norm.bias.copy_(torch.randn_like(variance) / 4)
    for name, wanted in SPREAD.items():
        try:
            layer = net.get_submodule(name)
        except AttributeError:
            continue
        said: list[Tensor] = []
        handle = layer.register_forward_hook(lambda module, given, out, kept=said: kept.append(out))
        look(net, pictures)
        handle.remove()
        answers = torch.cat([each.transpose(0, 1).flatten(1) for each in said], 1)
        factor = wanted / answers.std(1).clamp(min=1e-6)
        shape = [-1] + [1] * (layer.weight.ndim - 1)
        layer.bias.copy_((layer.bias - answers.mean(1)) * factor)
        layer.weight.mul_(factor.view(shape))


@torch.no_grad()
def look(net: nn.Module, pictures: Tensor) -> list[dict[str, Tensor]]:
    """What torchvision's network finds in (N, 3, H, W) 0..1: boxes, scores, labels, masks of 28×28."""
    sides = pictures.shape[-2:]
    net.transform.min_size, net.transform.max_size = (min(sides),), max(sides)
    found: list[dict[str, Tensor]] = []

    def keep(module: nn.Module, given: Any, out: Any) -> None:
        found.extend(dict(each) for each in out[0])  # copies: masks are enlarged in place later

    handle = net.roi_heads.register_forward_hook(keep)
    net(list(pictures))
    handle.remove()
    return found


def save(net: nn.Module, file: Path, old: bool) -> Path:
    """The file of weights; with the names of torchvision's files of COCO where that is wanted."""
    state = dict(net.state_dict())
    for pattern, name in OLD if old else ():
        state = {re.sub(pattern, name, k): v for k, v in state.items()}
    torch.save(state, file)
    return file


def ours(model: str, file: Path, size: tuple[int, int]) -> Method:
    """Boda's network from the file, for pictures of a size."""
    trained = Trained.of_model(model, file, Progress(quiet=True))
    preparation = dataclasses.replace(trained.preparation, height=size[0], width=size[1])
    kind = tasks.method(model.partition("-resnet")[0])
    return kind(trained.method.net, preparation, kind.Config()).eval()


def numbers(found: dict[str, Tensor]) -> np.ndarray:
    """Torchvision's detections as our rows (K, 6) or (K, 6 + 28·28); its classes begin with 1."""
    columns = [found["boxes"], found["scores"][:, None], found["labels"][:, None] - 1.0]
    if "masks" in found:
        columns.append(found["masks"].flatten(1))
    return torch.cat(columns, 1).numpy()


def unmatched(rows: np.ndarray, others: np.ndarray) -> tuple[int, int, float, float, float]:
    """How many rows have no partner, and the largest differences of those that have one.

    Counted apart are those that the other side may have left out, since a hundred are told.
    """
    alone, left_out, boxes, scores, masks = 0, 0, 0.0, 0.0, 0.0
    last = others[:, 4].min() + SCORE if len(others) == MOST else 0.0
    for row in rows:
        box = np.abs(others[:, :4] - row[:4]).max(1, initial=0)
        score = np.abs(others[:, 4] - row[4])
        mask = np.abs(others[:, 6:] - row[6:]).max(1, initial=0)
        fits = (others[:, 5] == row[5]) & (box <= BOX) & (score <= SCORE) & (mask <= SCORE)
        if not fits.any():
            left_out += row[4] <= last
            alone += row[4] > last
            continue
        best = np.where(fits, box, np.inf).argmin()
        boxes, scores = max(boxes, box[best]), max(scores, score[best])
        masks = max(masks, mask[best])
    return int(alone), int(left_out), float(boxes), float(scores), float(masks)


def compare(net: nn.Module, method: Method, pictures: Tensor) -> dict[str, Any]:
    """Both find; (N, 3, H, W) uint8."""
    began = time.perf_counter()
    wanted = [numbers(found) for found in look(net, pictures / 255)]
    between = time.perf_counter()
    with torch.inference_mode():
        found = [rows[rows[:, 4] > 0] for rows in method.output(pictures).numpy()]
    ended = time.perf_counter()
    ways = [unmatched(a, b) for a, b in zip(wanted + found, found + wanted, strict=True)]
    count = len(pictures)
    scores = np.concatenate(wanted)[:, 4]
    return {
        "pictures": list(pictures.shape),
        "theirs": sum(map(len, wanted)),
        "ours": sum(map(len, found)),
        "theirs not found": sum(way[0] for way in ways[:count]),
        "ours not found": sum(way[0] for way in ways[count:]),
        "at the cut": sum(way[1] for way in ways),
        "largest box, score, mask": [max(way[n] for way in ways) for n in (2, 3, 4)],
        "scores": [float(scores.min()), float(np.median(scores)), float(scores.max())],
        "seconds": [round(between - began, 2), round(ended - between, 2)],
    }


def prepared(folder: Path, count: int, size: tuple[int, int]) -> Tensor:
    """The first pictures of a folder, letterboxed: (N, 3, H, W) uint8."""
    preparation = Preparation(*size, rule="letterbox")
    files = sorted(folder.rglob("*.jpg"))[:count]
    pictures = [preparation(decode(file.read_bytes(), str(file))) for file in files]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def recognized(model: str, file: Path, known: bool) -> None:
    """Let boda take the file for the public one, or for a stranger's."""
    rows = published.COCO
    digits = sha256(file)[:8] if known else "0" * 8
    name = f"{model}-{digits}.pth"
    published.COCO = tuple(
        dataclasses.replace(row, file=name) if row.model == model else row for row in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--count", type=int, default=4, help="pictures of each size")
    parser.add_argument("--large", action="store_true", help="one picture of 800×800, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = (*SMALL, LARGE) if options.large else SMALL
    with tempfile.TemporaryDirectory() as folder:
        for model in ("faster-rcnn-resnet50-fpn", "mask-rcnn-resnet50-fpn"):
            trial(model, options, sizes, Path(folder) / "weights.pth")


def trial(model: str, options: argparse.Namespace, sizes: tuple, file: Path) -> None:
    """All ways of one network; a line each."""
    first = prepared(options.pictures, 2, sizes[0]) / 255
    ways = (
        ("batch norm", nn.BatchNorm2d, None, False),
        ("fixed norm", FrozenBatchNorm2d, None, False),
        ("COCO's file", FrozenBatchNorm2d, 0.0, True),
        ("COCO's file, not recognized", FrozenBatchNorm2d, 0.0, False),
    )
    for way, norm, eps, known in ways:
        net = theirs(model.startswith("mask"), norm, first)
        if eps is not None:
            overwrite_eps(net, eps)
        save(net, file, old=eps is not None)
        net.load_state_dict(torch.load(file))  # the names are ones that torchvision reads
        recognized(model, file, known)
        for size in sizes[:1] if eps is not None and not known else sizes:
            count = 1 if size == LARGE else options.count
            pictures = prepared(options.pictures, count, size)
            method = ours(model, file, size)
            for part in pictures.split(3):
                told = {"model": model, "weights": way, **compare(net, method, part)}
                print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
