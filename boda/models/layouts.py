"""Whose tensors are called what, and how their networks want their pictures: a table.

A public file of torchvision's has the names of our own networks; it is known by its content. Where
a file's tensors have our names and nothing else is known of it, ``assumed`` says what such files
usually are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from boda.data import coco_classes, imagenet
from boda.models.published import HALF, Published, official

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FIRES = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True))  # fire 2 is features.3
NEVER = "(?!)"  # a pattern that no name has


@dataclass(frozen=True)
class Layout:
    """Somebody's way to store a network, and how that network wants its pictures.

    Attributes:
        name: whose.
        mark: a pattern of a tensor's name that only this layout has.
        models: a pattern of the networks that are stored so.
        renames: (pattern, replacement) pairs from their names to ours.
        mean, std: of RGB values in 0..1; None where it is not known.
        size: of the pictures, pixels; 0 = the network's own.
        resize: of the shorter side before the centre is cropped; see ``Preparation``.
        bgr: our name of the first convolution where it was fitted to blue, green, red.
        classes: "imagenet", "cifar10" or "coco": whose names the outputs have.
        padding: how its 3×3 convolutions go on behind the border, "zeros" or "reflect".
        sure: whether this is known of the file, and not what such files usually hold.
    """

    name: str
    mark: str = NEVER
    models: str = ".*"
    renames: tuple[tuple[str, str], ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: int = 0
    resize: int = 0
    bgr: str = ""
    classes: str = ""
    padding: str = "zeros"
    sure: bool = False

    def names(self, count: int) -> list[str] | None:
        """The names of so many classes, where the layout tells them."""
        known = {"imagenet": imagenet.names, "cifar10": CIFAR10.copy, "coco": coco_classes.names}
        names = known[self.classes]() if self.classes else []
        return names if len(names) == count else None


BODA = Layout("boda")  # our names, and nothing more

# torchvision's detectors with two stages. Its files of COCO are older than its modules: in them the
# convolutions lie one or two levels higher.
FASTER = Layout(
    "torchvision-faster-rcnn",
    mark=r"^roi_heads\.box_predictor\.",
    models="faster-rcnn-resnet50-fpn",
    renames=(
        (r"^backbone\.body\.", "backbone.net."),
        (r"^backbone\.fpn\.inner_blocks\.(\d)(\.0)?\.", r"pyramid.lateral.\1."),
        (r"^backbone\.fpn\.layer_blocks\.(\d)(\.0)?\.", r"pyramid.smooth.\1."),
        (r"^rpn\.head\.conv(\.0\.0)?\.", "regions.conv."),
        (r"^rpn\.head\.cls_logits\.", "regions.objectness."),
        (r"^rpn\.head\.bbox_pred\.", "regions.deltas."),
        (r"^roi_heads\.box_head\.", "head."),
        (r"^roi_heads\.box_predictor\.cls_score\.", "head.classes."),
        (r"^roi_heads\.box_predictor\.bbox_pred\.", "head.boxes."),
    ),
    mean=imagenet.MEAN,
    std=imagenet.STD,
    classes="coco",
)
MASK = replace(
    FASTER,
    name="torchvision-mask-rcnn",
    mark=r"^roi_heads\.mask_predictor\.",
    models="mask-rcnn-resnet50-fpn",
    renames=(
        *FASTER.renames,
        (r"^roi_heads\.mask_head\.(\d)\.0\.", r"mask_head.convs.\1."),
        *(
            (rf"^roi_heads\.mask_head\.mask_fcn{n + 1}\.", f"mask_head.convs.{n}.")
            for n in range(4)
        ),
        (r"^roi_heads\.mask_predictor\.conv5_mask\.", "mask_head.enlarge."),
        (r"^roi_heads\.mask_predictor\.mask_fcn_logits\.", "mask_head.masks."),
    ),
)

LAYOUTS = (
    # akamaster/pytorch_resnet_cifar10: the CIFAR networks of arXiv 1512.03385.
    Layout(
        "akamaster",
        mark=r"^linear\.weight",
        models=r"resnet\d+",
        renames=((r"^linear\.", "fc."),),
        mean=imagenet.MEAN,
        std=imagenet.STD,
        size=32,
        classes="cifar10",
    ),
    # SqueezeNet by its authors, in Caffe: 0..255 less a mean, 227 of 256 pixels.
    Layout(
        "caffe",
        mark=r"^fire2/squeeze1x1",
        models=r"squeezenet-1\.1",
        renames=(
            (r"^conv1\.", "features.0."),
            (r"^conv10\.", "classifier.1."),
            *((rf"^fire{fire}/", f"features.{place}.") for fire, place in FIRES.items()),
            (r"\.squeeze1x1\.", ".squeeze."),
        ),
        mean=(123 / 255, 117 / 255, 104 / 255),
        std=(1 / 255, 1 / 255, 1 / 255),
        size=227,
        resize=256,
        bgr="features.0.weight",
        classes="imagenet",
    ),
    # timm's "legacy" SE-ResNet-50, converted from the authors' Caffe file.
    Layout(
        "timm-senet",
        mark=r"\.se_module\.fc1\.",
        models="seresnet50",
        renames=((r"^layer0\.", ""), (r"\.se_module\.", ".se."), (r"^last_linear\.", "fc.")),
        mean=imagenet.MEAN,
        std=imagenet.STD,
        size=224,
        resize=256,
        classes="imagenet",
    ),
    # timm's MobileNet v1, fitted to values in -1..1.
    Layout(
        "timm-mobilenet",
        mark=r"^blocks\.0\.0\.conv_dw\.",
        models="mobilenet-v1",
        renames=(
            (r"^conv_stem\.", "stem.0."),
            (r"^bn1\.", "stem.1."),
            (r"\.conv_dw\.", ".depthwise.0."),
            (r"\.bn1\.", ".depthwise.1."),
            (r"\.conv_pw\.", ".pointwise.0."),
            (r"\.bn2\.", ".pointwise.1."),
            (r"^classifier\.", "fc."),
        ),
        mean=HALF,
        std=HALF,
        size=224,
        resize=256,
        classes="imagenet",
    ),
    # The beginning of VGG-19, whose maps were scaled to a mean of 1 (Gatys et al. 2015, arXiv
    # 1508.06576), in a row of layers of which every 3×3 has a padding before it. The first, 1×1, is
    # what is told here: 0..255, blue, green, red, less Caffe's mean.
    Layout(
        "vgg19-normalised",
        mark=r"^16\.weight$",
        models="vgg19",
        renames=tuple(
            (rf"^{theirs}\.(weight|bias)$", rf"features.{ours}.\1")
            for theirs, ours in ((2, 0), (5, 2), (9, 5), (12, 7), (16, 10))
        ),
        mean=(123.68 / 255, 116.779 / 255, 103.939 / 255),
        std=(1 / 255, 1 / 255, 1 / 255),
        bgr="features.0.weight",
        classes="imagenet",
        padding="reflect",
    ),
    MASK,  # before the other: it has that one's tensors, too
    FASTER,
)


def marked(names: Iterable[str]) -> Layout:
    """The layout that has such names; ``BODA`` where none has."""
    names = list(names)
    found = (row for row in LAYOUTS if any(re.search(row.mark, name) for name in names))
    return next(found, BODA)


def known(layout: Layout, row: Published) -> Layout:
    """The layout of a file that is this published one."""
    return replace(
        layout,
        mean=row.mean,
        std=row.std,
        size=row.size,
        resize=row.resize,
        classes=row.classes,
        sure=True,
    )


def assumed(model: str | None) -> Layout:
    """The layout of a file with our names, 1,000 classes and RGB pictures: ImageNet's, presumably."""
    row = official(model) if model is not None else None
    if row is not None:
        return replace(known(BODA, row), sure=False)
    return replace(BODA, mean=imagenet.MEAN, std=imagenet.STD, classes="imagenet")
