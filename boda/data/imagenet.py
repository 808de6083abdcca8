"""The 1,000 classes of ILSVRC 2012, and how pictures are normalized that networks learned from it.

Russakovsky and others, "ImageNet large scale visual recognition challenge", 2015, arXiv 1409.0575.
The classes are in the order of their WordNet numbers, as the outputs of every public network are.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB values in 0..1


@cache
def _classes() -> dict[str, str]:
    text = (files("boda.data") / "imagenet.txt").read_text("utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())


def names() -> list[str]:
    """The names in the order of the outputs, "tench" first; no two are alike."""
    return list(_classes().values())


def numbers() -> list[str]:
    """The WordNet numbers in the same order, "n01440764" first: as ImageNet's folders are called."""
    return list(_classes())
