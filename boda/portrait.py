"""Portrait mode: a person stays sharp, and what is behind is blurred as by a wide lens, or replaced.

Who is where a run for segment or instances says; its coarse answer becomes a matte that follows the
picture's edges (``boda.matting``), and the picture is put together anew (``boda.compositing``). No
torch.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from boda.compositing import composed, cut_out
from boda.errors import DataError, UsageError, unknown
from boda.matting import matte
from boda.types import is_ground

if TYPE_CHECKING:
    from boda.predicting import Predictor

TASKS = ("segment", "instances")  # those that know what covers a pixel
PEOPLE = ("person", "pedestrian", "portrait", "사람")
CLEAR = "transparent"
SHARE = 60  # the picture's longer side is that many radii of the blur, where none is given
LEAST = 1e-3  # of the picture is somebody; less is a stray pixel
CELLS = 28  # pixels of an instance's mask in the network, He et al. 2017 (arXiv 1703.06870)


@dataclass(frozen=True)
class Portrait:
    """A picture with its person kept.

    Attributes:
        picture: (H, W, 3) uint8 RGB, or (H, W, 4) RGBA where what is behind is transparent.
        matte: (H, W) float32, how much of each pixel the person covers.
        name: the class that was kept.
        blur: radius in pixels of the disc that blurred the rest; 0 = none.
    """

    picture: np.ndarray
    matte: np.ndarray
    name: str
    blur: float

    @property
    def share(self) -> float:
        """How much of the picture the person covers, 0..1."""
        return float(self.matte.mean(dtype=np.float64))


def portrait(
    predictor: Predictor,
    picture: np.ndarray,
    blur: float | None = None,
    behind: np.ndarray | str | None = None,
    keep: str | None = None,
    source: str = "the picture",
) -> Portrait:
    """Keep what a network sees as a person, blur or replace the rest.

    Args:
        predictor: of a run for segment or instances.
        picture: (H, W, 3) uint8 RGB.
        blur: radius in pixels; by default 1/60 of the longer side, and none where something is
            behind.
        behind: what ``backdrop`` gives; None keeps the picture's own background.
        keep: the class; a person by default.
        source: what to call the picture in messages.

    Raises:
        UsageError: the network is for another task or knows no such class, or the blur is out of
            range.
        DataError: it sees none in this picture.
    """
    number = class_to_keep(predictor, keep)
    name, longer = predictor.classes[number], max(picture.shape[:2])
    if blur is None:
        blur = max(1.0, round(longer / SHARE)) if behind is None else 0.0
    elif isinstance(behind, str) or (behind is not None and behind.size == 3):
        raise UsageError("--blur has nothing to blur in a background of one colour: leave it away.")
    elif not 1 <= blur <= longer:
        raise UsageError(
            f"--blur is {blur:g}; in this picture, {picture.shape[1]}×{picture.shape[0]}, the radius "
            f"is 1 to {longer} pixels."
        )
    probability, cell = _seen(predictor, picture, number, source)
    covered = matte(picture, probability, cell)
    if isinstance(behind, str):
        return Portrait(cut_out(picture, covered), covered, name, 0.0)
    return Portrait(composed(picture, covered, blur, behind), covered, name, blur)


def backdrop(text: str) -> np.ndarray | str:
    """What is to be behind the person, as it is named in the shell.

    Args:
        text: a picture's path, a colour ("#rrggbb" or a name that HTML knows), or "transparent".

    Returns:
        (H, W, 3) uint8, where a colour is one pixel; or "transparent".

    Raises:
        UsageError: it is neither a file nor a colour.
        DataError: the file is no picture.
    """
    from PIL import ImageColor

    from boda.data.image import is_picture_name
    from boda.predicting import read_picture

    if text == CLEAR:
        return CLEAR
    if Path(text).exists() or is_picture_name(text):
        return read_picture(text, 0)[0]
    try:
        colour = ImageColor.getrgb(text)
    except ValueError:
        raise UsageError(
            f"--background {text}: there is no file at this path, and no colour is called so. Give a "
            f"picture, a colour as #rrggbb or by a name such as white, or {CLEAR}."
        ) from None
    if len(colour) > 3:
        raise UsageError(f"--background {text}: give a colour without opacity, or {CLEAR}.")
    return np.array(colour, np.uint8).reshape(1, 1, 3)


def class_to_keep(predictor: Predictor, keep: str | None = None) -> int:
    """The index of the class that stays sharp: that name, or else the one that is a person.

    Raises:
        UsageError: the network is for another task, or knows no such class.
    """
    if predictor.task not in TASKS:
        raise UsageError(
            f"a portrait needs a run that knows what covers a pixel, for {' or '.join(TASKS)}; this "
            f"one is for {predictor.task}."
        )
    classes = [_plain(name) for name in predictor.classes]
    if keep is not None:
        if _plain(keep) not in classes:
            raise unknown("class", keep, predictor.classes)
        return classes.index(_plain(keep))
    people = [classes.index(name) for name in PEOPLE if name in classes]
    others = [i for i, name in enumerate(classes) if not is_ground(name)]
    if not people and len(others) != 1:
        raise UsageError(
            f"none of the classes is called {' or '.join(PEOPLE)}. Say with --keep which one stays "
            f"sharp: {', '.join(predictor.classes)}."
        )
    return (people or others)[0]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().strip()


def _seen(
    predictor: Predictor, picture: np.ndarray, number: int, source: str
) -> tuple[np.ndarray, float]:
    """(H, W) float32, how probable the class is in each pixel, and how large the network's pixels are."""
    from boda import outputs

    size = picture.shape[0], picture.shape[1]
    if predictor.task == "instances":
        found = predictor.predict(picture)
        assert found.masks is not None and found.labels is not None and found.boxes is not None
        shares = np.zeros(len(predictor.classes))
        np.add.at(shares, found.labels, found.masks.mean((1, 2)))
        ours = found.labels == number
        _check_there(predictor, number, shares, source)
        boxes = found.boxes[ours]
        cell = float((boxes[:, 2:] - boxes[:, :2]).max()) / CELLS
        return found.masks[ours].any(0).astype(np.float32), cell
    prepared = predictor.preparation(picture).transpose(2, 0, 1)[None]
    probabilities = predictor.network(np.ascontiguousarray(prepared))[0]
    counts = np.bincount(probabilities.argmax(0).ravel(), minlength=len(predictor.classes))
    _check_there(predictor, number, counts / counts.sum(), source)
    # Against the strongest of the others: one half is where the class map changes.
    others = np.delete(probabilities, number, 0).max(0)
    odds = probabilities[number] / np.maximum(probabilities[number] + others, 1e-12)
    cell = 1 / float(predictor.preparation.matrix(*size)[[0, 1], [0, 1]].min())
    return outputs.plane(odds.astype(np.float32), predictor.preparation, size), cell


def _check_there(predictor: Predictor, number: int, shares: np.ndarray, source: str) -> None:
    if shares[number] >= LEAST:
        return
    order = np.argsort(-shares, kind="stable")
    told = [f"{predictor.classes[i]} {shares[i]:.1%}" for i in order if shares[i] > 0]
    raise DataError(
        f"the network sees no {predictor.classes[number]} in it; it sees "
        f"{', '.join(told) or 'nothing it knows'}",
        file=source,
        fix="Take another picture, or say with --keep what stays sharp.",
    )
