"""How a picture of any size becomes the network's input: one rule, recorded in run and ONNX file.

The rules: "crop" scales the shorter side to the target and keeps the centre; "letterbox" keeps the
whole picture and fills the rest with gray 114; "stretch" ignores the proportions; "tiles" changes no
pixel: a picture is seen in tiles of that size, of which the working picture is the middle one.
Public classifiers were measured on crops from somewhat larger pictures: ``resize`` 256 and a target
of 224, for example. Resampling is Pillow's antialiased bilinear, cropped and scaled in one step. No
torch here: an exported file is run with this module alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image as Pillow

Rule = Literal["crop", "letterbox", "stretch", "tiles"]
GRAY = 114  # the fill of letterboxes


@dataclass(frozen=True)
class Preparation:
    """From the original picture to the working one, and the numbers that normalize it.

    Attributes:
        height, width: of the working picture, pixels.
        channels: 3 = RGB, 1 = gray (luma of Rec. 601).
        rule: see the module's docstring.
        mean, std: per channel, of values in 0..1.
        resize: to what "crop" scales the shorter side; 0 = no more than the target needs, which
            stands too where ``resize`` is less.
    """

    height: int
    width: int
    channels: int = 3
    rule: Rule = "crop"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)
    resize: int = 0

    def __str__(self) -> str:
        """For people."""
        size, colours = f"{self.height}×{self.width}", "gray" if self.channels == 1 else "RGB"
        if self.rule == "crop" and self.resize > min(self.height, self.width):
            size += f" from the middle of a shorter side of {self.resize}"
        mean, std = (" ".join(f"{v:.4g}" for v in values) for values in (self.mean, self.std))
        return f"{colours}, {size}, mean {mean}, deviation {std}"

    def matrix(self, height: int, width: int) -> np.ndarray:
        """(3, 3) float64: working picture ← original of ``height`` × ``width``."""
        x1, y1, x2, y2 = self._window(height, width)
        scale_x, scale_y = self.width / (x2 - x1), self.height / (y2 - y1)
        return np.array([[scale_x, 0, -x1 * scale_x], [0, scale_y, -y1 * scale_y], [0, 0, 1]])

    def moved(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Points (…, 2) x, y of an original of ``size`` (H, W) in the working picture, float32."""
        return _mapped(self.matrix(*size), points)

    def moved_back(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Points (…, 2) x, y of the working picture in the original of ``size`` (H, W), float32."""
        return _mapped(np.linalg.inv(self.matrix(*size)), points)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The working picture.

        Args:
            image: (H, W, 3) uint8 RGB, or (H, W) gray.

        Returns:
            (height, width, 3) uint8 RGB or, with one channel, (height, width, 1) gray.
        """
        picture = Pillow.fromarray(image)
        mode = "L" if self.channels == 1 else "RGB"
        if picture.mode != mode:
            picture = picture.convert(mode)
        if self.rule != "tiles" and not self._fits(picture.height, picture.width):
            picture = self._resize(picture, mode)
        array = np.asarray(picture)
        if self.rule == "tiles":
            x, y = (int(corner) for corner in self._window(*array.shape[:2])[:2])
            array = continued(
                array[y : y + self.height, x : x + self.width], self.height, self.width
            )
        return array[..., None] if array.ndim == 2 else array

    def _fits(self, height: int, width: int) -> bool:
        """Whether such a picture is the working picture as it stands."""
        larger = self.rule == "crop" and self.resize > min(height, width)
        return (height, width) == (self.height, self.width) and not larger

    def _resize(self, picture: Pillow.Image, mode: str) -> Pillow.Image:
        window = self._window(picture.height, picture.width)
        size, bilinear = (self.width, self.height), Pillow.Resampling.BILINEAR
        if self.rule != "letterbox":
            return picture.resize(size, bilinear, box=window)
        canvas = Pillow.new(mode, size, GRAY if mode == "L" else (GRAY,) * 3)
        scale = min(self.width / picture.width, self.height / picture.height)
        inner = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        corner = (self.width - inner[0]) // 2, (self.height - inner[1]) // 2
        canvas.paste(picture.resize(inner, bilinear), corner)
        return canvas

    def _window(self, height: int, width: int) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 of the original that fill the working picture; they may reach beyond it."""
        if self.rule == "stretch":
            return 0.0, 0.0, float(width), float(height)
        if self.rule == "tiles":
            x, y = max(0, (width - self.width) // 2), max(0, (height - self.height) // 2)
            return x, y, x + self.width, y + self.height
        if self.rule == "crop":
            scale = max(self.width / width, self.height / height, self.resize / min(height, width))
            # Rounding must not make the window larger than the picture: Pillow would refuse it.
            w, h = min(width, self.width / scale), min(height, self.height / scale)
            # Whole pixels of the scaled picture: half a one would blur a picture that has the scale
            # already, which costs a classifier several of a hundred pictures.
            x, y = _whole(scale * (width - w) / 2), _whole(scale * (height - h) / 2)
            return x / scale, y / scale, x / scale + w, y / scale + h
        # The letterbox works in whole pixels, so its window follows from the rounded inner rectangle.
        scale = min(self.width / width, self.height / height)
        inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
        scale_x, scale_y = width / inner_w, height / inner_h
        x1 = -((self.width - inner_w) // 2) * scale_x
        y1 = -((self.height - inner_h) // 2) * scale_y
        return x1, y1, x1 + self.width * scale_x, y1 + self.height * scale_y

    def batch(self, images: np.ndarray) -> np.ndarray:
        """What ``__call__`` does, for many gray (N, H, W) or RGB (N, H, W, 3) uint8 pictures of one size.

        Returns:
            (N, channels, height, width) uint8: the layout of tensors, since these go to torch.
        """
        height, width = images.shape[1:3]
        if not self._fits(height, width) or (images.ndim == 4 and self.channels == 1):
            prepared = np.empty((len(images), self.height, self.width, self.channels), np.uint8)
            for image, out in zip(images, prepared, strict=True):
                out[:] = self(image)
            images = prepared
        planes = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        return np.broadcast_to(planes, (len(planes), self.channels, self.height, self.width))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``Preparation.from_dict`` reads them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preparation:
        """The inverse of ``to_dict``."""
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


def _mapped(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Scaled and shifted: the matrices of all rules do no more."""
    scale, shift = matrix[[0, 1], [0, 1]], matrix[:2, 2]
    return (points.astype(np.float64) * scale + shift).astype(np.float32)


def continued(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, …), by its mirror image, edge pixels included, until it is as high and as wide as that."""
    lower, right = max(0, height - picture.shape[0]), max(0, width - picture.shape[1])
    if not lower and not right:
        return picture
    beside = ((0, lower), (0, right), *[(0, 0)] * (picture.ndim - 2))
    return np.pad(picture, beside, mode="symmetric")


def _whole(pixels: float) -> int:
    """Rounded down; what lacks nothing but the last bits of a float is not."""
    return math.floor(pixels + 1e-6)
