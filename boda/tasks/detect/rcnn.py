"""``rcnn``: regions by selective search, each looked at by itself; stages that follow each other.

Girshick, Donahue, Darrell, Malik 2013, arXiv 1311.2524: regions; the network, fine-tuned to tell
them apart; its features; a support vector machine for each class; non-max suppression; a regressor
for each class that moves what is left. See ``boda.models.rcnn`` for the network and ``stages`` for
what follows the gradient descent. Its faults are there to be measured: every region goes through the
network, a picture takes a second, and no stage learns from the ones behind it.

Deviations: the network of ``boda.models.rcnn``, the engine's optimizer, as many regions of each
picture in a batch; at most 600 pictures are learned from; margins are made comparable between
classes (Platt 1999).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.data.dataset import Batch, Pictures, epoch_order, objects_in
from boda.data.survey import Survey
from boda.errors import UsageError
from boda.ops.anchors import match_anchors
from boda.ops.boxes import clip_boxes, decode_boxes
from boda.ops.crops import warp_regions, with_context
from boda.ops.regions import MODES
from boda.ops.sampling import sample_balanced
from boda.ops.suppression import nms
from boda.progress import Progress
from boda.tasks.base import Default, Start, methods
from boda.tasks.detect.detector import LEAST, MOST, Detector
from boda.tasks.detect.machines import affine
from boda.tasks.detect.proposals import Proposals
from boda.tasks.detect.stages import conclude, of_regions
from boda.tasks.optimizing import Optimizing
from boda.tasks.steps import Stage

CONTEXT = 16 / 227  # of a crop's side, on each side of the region
POSITIVE = 0.5  # IoU with an object from which fine-tuning takes a region for it
LOOKS = 12_000  # at pictures in fine-tuning
AT_ONCE = 256  # crops
FEW = 5  # pictures that time is measured on
MACHINE = 5000  # regions a second for a class's support vector machine, about


@dataclass
class Config(Optimizing):
    """Settings of R-CNN."""

    iou: float = field(
        default=0.3,
        metadata={"help": "boxes of a class that overlap a better one more are dropped"},
    )
    mode: str = field(default="fast", metadata={"help": "of selective search: fast or quality"})
    proposals: int = field(default=2000, metadata={"help": "most regions a picture"})
    crop: int = field(default=64, metadata={"help": "pixels of a warped region's sides"})
    samples: int = field(
        default=32,
        metadata={"help": "regions a picture in a step of fine-tuning, a quarter objects"},
    )
    most_pictures: int = field(
        default=600,
        metadata={"help": "most pictures that it learns from, since it looks at all their regions"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.iou <= 1:
            raise UsageError(f"iou is {self.iou}; it is above 0 and at most 1.")
        if self.mode not in MODES:
            raise UsageError(f"mode is {self.mode}; it is {' or '.join(MODES)}.")
        if min(self.proposals, self.samples) < 4:
            raise UsageError("proposals and samples must not be less than 4.")
        if self.most_pictures < 1:
            raise UsageError("most_pictures must be 1 or more: it learns from them.")
        if self.crop < 64:
            raise UsageError(f"crop is {self.crop}; the network needs crops of 64 pixels or more.")


@methods.register("rcnn")
class RCNN(Detector):
    """Selective search, a network for each region, support vector machines, regressors."""

    Config = Config
    still = "its regions are searched once, in the pictures as they are"
    unexportable = "it needs selective search, which is no network"
    concludes = True
    tunes = True  # without it, on 120 pictures of Penn-Fudan map50 is 0.50 in place of 0.73
    numbers = ""

    def __init__(self, net: torch.nn.Module, preparation: Any, config: Any) -> None:
        super().__init__(net, preparation, config)
        self.search = Proposals(config.mode, config.proposals)
        self.regions: dict[int, Tensor] = {}  # of the training pictures that it learns from

    @classmethod
    def prefers(cls, survey: Survey, start: Start) -> dict[str, Default]:
        """Fewer looks, since each is at many regions; no augmentation."""
        some = min(survey.samples, cls.Config.most_pictures)
        epochs = int(min(60, max(3, LOOKS / max(1, some))))
        rate, why = 1e-3, "usual for Adam's steps"
        if start != "scratch":
            rate, why = 3e-4, "the backbone's weights are good already"
        fewer = f"all their regions are looked at: so many of {survey.samples:,} are learned from"
        return {
            **({"most_pictures": Default(some, fewer)} if some < survey.samples else {}),
            "epochs": Default(epochs, f"about {LOOKS:,} looks at pictures, 3 to 60 epochs"),
            "batch": Default(4, "with 32 regions of each, the paper's 128"),
            "rate": Default(rate, why),
            "augment": Default("none", cls.still),
            "calm": Default(0.0, "there are no mosaics"),
        }

    def describe(self) -> dict[str, Default]:
        """How many numbers a region becomes."""
        return {"features": Default(self.net.head.in_features, "numbers that tell a region")}  # type: ignore[union-attr]

    def begin(self, train: Pictures, progress: Progress | None = None) -> list[Stage]:
        """Search the regions of the training pictures."""
        clock = time.monotonic()
        places = self.places(train)
        found = self.search.all_of(train, places, progress or Progress(quiet=True))
        self.regions = dict(zip(places.tolist(), found, strict=True))
        seconds = time.monotonic() - clock
        some = places[:FEW].tolist()
        self.eval()
        clock = time.monotonic()
        for i in some:
            self.features(torch.from_numpy(train.prepared(i)).permute(2, 0, 1), self.regions[i])
        features = len(places) * (time.monotonic() - clock) / len(some)
        classes, count = len(self.net.margin), sum(map(len, found))  # type: ignore[arg-type]
        self.reserve = 1.3 * features + classes * count / MACHINE
        return [Stage("regions", round(seconds, 3), of_regions(self.regions, train))]

    def places(self, train: Pictures) -> Tensor:
        """(n,) int64, the training pictures that it learns from, from all parts of them."""
        count = min(len(train), self.config.most_pictures)
        return torch.arange(count) * len(train) // count

    def order(self, pictures: Pictures, batch: int, seed: int, epoch: int) -> Tensor:
        """Those pictures, in an order of the epoch's own."""
        places = self.places(pictures)
        return places[epoch_order(len(places), seed, epoch)]

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """{"classes": the cross entropy of the drawn regions}, half of them mirrored."""
        boxes, pictures, labels = self.drawn(batch)
        crops = self.crops(batch.images, boxes, pictures)
        if self.training:
            mirrored = torch.rand(len(crops)) < 0.5
            crops[mirrored] = crops[mirrored].flip(-1)
        return {"classes": F.cross_entropy(self.net(crops), labels)}

    def drawn(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Regions to learn from: boxes (R, 4), their pictures (R,), 0 for the background or 1 + class (R,).

        A quarter at most are objects; the objects' own boxes are among them.
        """
        boxes, pictures, labels = [], [], []
        for i, (own, own_labels) in enumerate(objects_in(batch)):
            known = self.regions.get(int(batch.index[i]))
            regions = self.search.of(batch.images[i]) if known is None else known
            regions = torch.cat([own, regions.to(own.device)])
            given = match_anchors(regions, own, POSITIVE, POSITIVE)
            positive, negative = sample_balanced(given, self.config.samples, 0.25)
            place = torch.cat([positive, negative])
            label = torch.zeros_like(place)
            label[: len(positive)] = 1 + own_labels[given[positive]]
            boxes.append(regions[place])
            pictures.append(torch.full_like(place, i))
            labels.append(label)
        device = batch.images.device
        return (
            torch.cat(boxes).to(device),
            torch.cat(pictures).to(device),
            torch.cat(labels).to(device),
        )

    def crops(self, images: Tensor, boxes: Tensor, pictures: Tensor) -> Tensor:
        """uint8 pictures and their regions → normalized crops (R, channels, crop, crop)."""
        around = with_context(boxes, CONTEXT)
        crops = warp_regions(self.normalize(images), around, pictures, self.config.crop)
        return crops.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def features(self, image: Tensor, boxes: Tensor) -> Tensor:
        """One (C, H, W) uint8 picture and (R, 4) regions → (R, D) float32."""
        images = image[None].to(self.scale.device)
        rows = []
        for some in boxes.to(images.device).split(AT_ONCE):
            crops = self.crops(
                images, some, torch.zeros(len(some), dtype=torch.int64).to(images.device)
            )
            rows.append(self.net.features(crops).float())  # type: ignore[operator]
        return torch.cat(rows)

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The regions (N, A, 4) and their scores (N, A, classes), before they are moved; zeros fill up."""
        boxes, scores = [], []
        for image in images:
            regions = self.search.of(image)
            boxes.append(regions.to(images.device))
            scores.append(affine(self.features(image, regions), self.net.margin).sigmoid())  # type: ignore[arg-type]
        pad = torch.nn.utils.rnn.pad_sequence
        return pad(boxes, batch_first=True), pad(scores, batch_first=True)

    def output(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, 100, 6): x1, y1, x2, y2 in their pixels, score, class.

        The surest first; rows of score 0 are no boxes.
        """
        rows = images.new_zeros(len(images), MOST, 6, dtype=torch.float32)
        for i, image in enumerate(images):
            boxes = self.search.of(image).to(images.device)
            told = self.told(boxes, self.features(image, boxes))
            rows[i, : len(told)] = told
        return rows

    def told(self, boxes: Tensor, features: Tensor, regressing: bool = True) -> Tensor:
        """Regions (R, 4) and their features (R, D) → (K, 6), K at most 100.

        Non-max suppression among the regions themselves, then what is left is moved.
        """
        scores = affine(features, self.net.margin).sigmoid()  # type: ignore[arg-type]
        classes = scores.shape[1]
        place = (scores.flatten() >= LEAST).nonzero()[:, 0]
        row, label = place // classes, place % classes
        kept = nms(boxes[row], scores.flatten()[place], self.overlap, label)[:MOST]
        place, row, label = place[kept], row[kept], label[kept]
        chosen = boxes[row]
        if regressing:
            weights = self.net.offsets[label]  # type: ignore[index]
            moved = (weights[..., :-1] @ features[row][..., None])[..., 0] + weights[..., -1]
            chosen = clip_boxes(decode_boxes(moved, chosen), self.size)
        score = scores.flatten()[place]
        return torch.cat([chosen, score[:, None], label[:, None].to(chosen.dtype)], 1)

    def conclude(self, train: Pictures, val: Pictures | None, progress: Progress) -> list[Stage]:
        """Features of all regions, a machine and a regressor for each class, and what each took."""
        return conclude(self, train, val, progress)
