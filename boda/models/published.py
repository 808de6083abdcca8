"""The files of weights that others published: where they are, and what was measured with them.

torchvision's files, timm's for the two networks that torchvision lacks, and akamaster's CIFAR
networks. Accuracies are those of ILSVRC 2012's validation pictures, one centre crop each, and of
CIFAR-10's test pictures. The EfficientNets were measured with bicubic resampling; boda's is bilinear.
Detectors were measured on COCO's validation pictures of 2017, their shorter side scaled to 800 and
the longer one to 1,333 at most; boda's pictures are letterboxes.

A file is recognized by its content, whatever it is called: its SHA-256 begins with the digits in
the published name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from boda.data import imagenet
from boda.errors import UsageError
from boda.fetching import fetch, hash_in, sha256
from boda.progress import Progress

TORCHVISION = "https://download.pytorch.org/models/"
TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/"
HUB = "https://huggingface.co/timm/mobilenetv1_100.ra4_e3600_r224_in1k/resolve/main/"
AKAMASTER = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/"
HALF = (0.5, 0.5, 0.5)
WORD = "imagenet"  # what a person writes for a network's official file …
COCO_WORD = "coco"  # … and for a detector's
WORDS = (WORD, COCO_WORD)
DATA = {"imagenet": "ImageNet", "cifar10": "CIFAR-10", "coco": "COCO"}


@dataclass(frozen=True)
class Published:
    """A file of weights.

    Attributes:
        model: boda's name of the network.
        file: its name; before the suffix stand the first digits of its SHA-256.
        top1: share of the validation pictures whose class had the highest score, in percent; None
            where it is no classifier's.
        top5: share of those whose class was among the five highest; None where it is not told.
        size: of the pictures, pixels.
        resize: to what the shorter side was scaled before the centre was cropped.
        mean: of values in 0..1, red green blue.
        std: likewise.
        place: the address without the file's name.
        classes: whose.
        box_map, mask_map: COCO's average precision of boxes and of masks, in percent.
        eps: what was added to the variances of the norms, where that is not what we add.
    """

    model: str
    file: str
    top1: float | None
    top5: float | None = None
    size: int = 224
    resize: int = 256
    mean: tuple[float, ...] = imagenet.MEAN
    std: tuple[float, ...] = imagenet.STD
    place: str = TORCHVISION
    classes: Literal["imagenet", "cifar10", "coco"] = "imagenet"
    box_map: float | None = None
    mask_map: float | None = None
    eps: float | None = None

    @property
    def url(self) -> str:
        """Where it is fetched from."""
        return self.place + self.file

    @property
    def figures(self) -> str:
        """What was measured, for the person."""
        if self.top1 is not None:
            return f"{self.top1:.1f} % right on {DATA[self.classes]}"
        of_masks = f" and of {self.mask_map:.1f} for masks" if self.mask_map is not None else ""
        return f"a mAP of {self.box_map:.1f} for boxes{of_masks} on {DATA[self.classes]}"

    def to_dict(self) -> dict[str, Any]:
        """The file, its address and what was measured, in percent: accuracies, or a detector's mAP."""
        where = {"file": self.file, "url": self.url}
        if self.top1 is not None:
            return {**where, "top1": self.top1, "top5": self.top5}
        return {**where, "box_map": self.box_map, "mask_map": self.mask_map}


# The first row of a network is what `--weights imagenet` fetches; the others are recognized too.
PUBLISHED = (
    Published("alexnet", "alexnet-owt-7be5be79.pth", 56.522, 79.066),
    Published("vgg11", "vgg11-8a719046.pth", 69.020, 88.628),
    Published("vgg13", "vgg13-19584684.pth", 69.928, 89.246),
    Published("vgg16", "vgg16-397923af.pth", 71.592, 90.382),
    Published("vgg19", "vgg19-dcbb9e9d.pth", 72.376, 90.876),
    Published("vgg11-bn", "vgg11_bn-6002323d.pth", 70.370, 89.810),
    Published("vgg13-bn", "vgg13_bn-abd245e5.pth", 71.586, 90.374),
    Published("vgg16-bn", "vgg16_bn-6c64b313.pth", 73.360, 91.516),
    Published("vgg19-bn", "vgg19_bn-c79401a0.pth", 74.218, 91.842),
    Published("resnet18", "resnet18-f37072fd.pth", 69.758, 89.078),
    Published("resnet34", "resnet34-b627a593.pth", 73.314, 91.420),
    Published("resnet50", "resnet50-0676ba61.pth", 76.130, 92.862),
    Published("resnet50", "resnet50-11ad3fa6.pth", 80.858, 95.434, resize=232),
    Published("resnet101", "resnet101-63fe2227.pth", 77.374, 93.546),
    Published("resnet101", "resnet101-cd907fc2.pth", 81.886, 95.780, resize=232),
    Published("resnet152", "resnet152-394f9c45.pth", 78.312, 94.046),
    Published("resnet152", "resnet152-f82ba261.pth", 82.284, 96.002, resize=232),
    # Its network was fitted to values in -1..1; torchvision's module converts them inside.
    Published("googlenet", "googlenet-1378be20.pth", 69.778, 89.530, mean=HALF, std=HALF),
    Published("mobilenet-v2", "mobilenet_v2-b0353104.pth", 71.878, 90.286),
    Published("mobilenet-v2", "mobilenet_v2-7ebf99e0.pth", 72.154, 90.822, resize=232),
    Published("squeezenet-1.1", "squeezenet1_1-b8a52dc0.pth", 58.178, 80.624),
    Published("efficientnet-b0", "efficientnet_b0_rwightman-7f5810bc.pth", 77.692, 93.532),
    Published("efficientnet-b1", "efficientnet_b1_rwightman-bac287d4.pth", 78.642, 94.186, 240),
    Published("efficientnet-b1", "efficientnet_b1-c27df63c.pth", 79.838, 94.934, 240, 255),
    Published("efficientnet-b2", "efficientnet_b2_rwightman-c35c1473.pth", 80.608, 95.310, 288, 288),
    Published("efficientnet-b3", "efficientnet_b3_rwightman-b3899882.pth", 82.008, 96.054, 300, 320),
    Published("efficientnet-b4", "efficientnet_b4_rwightman-23ab8bcd.pth", 83.384, 96.594, 380, 384),
    Published("efficientnet-b5", "efficientnet_b5_lukemelas-1a07897c.pth", 83.444, 96.628, 456, 456),
    Published("efficientnet-b6", "efficientnet_b6_lukemelas-24a108a5.pth", 84.008, 96.916, 528, 528),
    Published("efficientnet-b7", "efficientnet_b7_lukemelas-c5b4e57e.pth", 84.122, 96.908, 600, 600),
    Published("seresnet50", "se_resnet50-ce0d4300.pth", 77.650, 93.732, place=TIMM),
    Published(
        "mobilenet-v1", "model.safetensors", 75.382, 92.312, mean=HALF, std=HALF, place=HUB
    ),
)  # fmt: skip

# Not ImageNet's: no word stands for them, but the files are recognized.
CIFAR = tuple(
    Published(model, file, top1, None, 32, 0, place=AKAMASTER, classes="cifar10")
    for model, file, top1 in (
        ("resnet20", "resnet20-12fca82f.th", 91.73),
        ("resnet32", "resnet32-d509ac18.th", 92.63),
        ("resnet44", "resnet44-014dd654.th", 93.10),
        ("resnet56", "resnet56-4bfd9763.th", 93.39),
        ("resnet110", "resnet110-1d1ed7c2.th", 93.68),
    )
)


# What `--weights coco` fetches. The networks were fitted with norms that added nothing to the
# variances; see ``layers.fold_eps``.
COCO = tuple(
    Published(
        model,
        file,
        None,
        size=800,
        resize=0,
        classes="coco",
        box_map=box_map,
        mask_map=mask_map,
        eps=0.0,
    )
    for model, file, box_map, mask_map in (
        ("faster-rcnn-resnet50-fpn", "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", 37.0, None),
        ("mask-rcnn-resnet50-fpn", "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", 37.9, 34.6),
    )
)


def official(model: str, word: str = WORD) -> Published | None:
    """The file that ``--weights`` and this word mean for this network; None where there is none."""
    return next((row for row in _table(word) if row.model == model), None)


def _table(word: str) -> tuple[Published, ...]:
    """The files that the word "imagenet" or "coco" may mean."""
    return COCO if word == COCO_WORD else PUBLISHED


def recognize(path: Path) -> Published | None:
    """Which published file this is, by its content; None where it is another."""
    digits = sha256(path)
    known = ((row, hash_in(row.file)) for row in (*PUBLISHED, *CIFAR, *COCO))
    return next((row for row, prefix in known if prefix and digits.startswith(prefix)), None)


def locate(source: str | Path, model: str, progress: Progress) -> Path:
    """The file that ``--weights`` means: a file, a run folder, an address, "imagenet" or "coco".

    Raises:
        UsageError: there are no official weights for the network, or the address is not safe.
        DataError: the file cannot be fetched.
    """
    if source in WORDS:
        row = official(model, str(source))
        if row is None:
            table = _table(str(source))
            names = ", ".join(dict.fromkeys(row.model for row in table))
            raise UsageError(
                f"there is no official file of {DATA[str(source)]} weights for {model}. "
                f"There is for {names}."
            )
        return fetch(row.url, progress)
    if "://" in str(source):
        return fetch(str(source), progress)
    path = Path(source)
    return path / "model.safetensors" if path.is_dir() else path
