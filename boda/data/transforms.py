"""Augmentation: pictures that a class allows, made from pictures that are there.

A policy turns (N, 8) uniform random numbers in [0, 1) into the changes of N pictures. The engine draws
one table of numbers an epoch and takes the rows by sample, so what happens to a picture depends on
(seed, epoch, index) and on nothing else: not on the batch, the device or an interruption. Only
mixup and cutmix have partners, see ``boda.data.mixing``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from boda.data import mixing
from boda.data.change import Change, apply, pictures
from boda.data.dataset import Batch, mix
from boda.data.mosaic import NUMBERS as MOSAIC
from boda.data.mosaic import mosaic
from boda.data.operations import (
    affine,
    chosen,
    jitter,
    local_warp,
    mirror,
    more,
    pca,
    perspective,
    resized_crop,
    shift,
    unmirrored,
    zoomed,
)
from boda.data.prepare import GRAY
from boda.ops import geometry, photometric
from boda.ops.geometry import Size
from boda.registry import Registry

NUMBERS = 8  # random numbers a picture; ``more`` makes further ones of them


@dataclass(frozen=True)
class Policy:
    """A named way to augment.

    Attributes:
        draw: (N, 8) numbers and the pictures' size (H, W) → what happens to them.
        mosaics: share of the pictures that are made of four before that happens.
    """

    draw: Callable[[Tensor, Size], Change]
    mosaics: float = 0.0

    def __call__(self, images: Tensor, numbers: Tensor) -> Tensor:
        """(N, C, H, W) uint8, changed but not mixed; ``images`` stay as they are."""
        return pictures(images, self.draw(numbers, _size(images)))

    @property
    def mixes(self) -> bool:
        """Whether pictures are mixed with others of their batch."""
        change = self.draw(torch.zeros(1, NUMBERS), (32, 32))
        return change.weights is not None or change.patches is not None

    def augment(self, batch: Batch, numbers: Tensor, calm: bool = False) -> Batch:
        """The batch, changed with all that is known of its pictures; ``calm`` leaves mosaics away."""
        if self.mosaics and batch.boxes is not None and not calm:
            batch = mosaic(batch, more(numbers, MOSAIC), self.mosaics)
        change = self.draw(numbers, _size(batch.images))
        if batch.points is not None and batch.mirror_order is None and change.matrix is not None:
            change = replace(change, matrix=unmirrored(change.matrix, _size(batch.images)))
        return apply(batch, change)


policies: Registry[Policy] = Registry("augmentation")


def _policy(
    name: str, mosaics: float = 0.0
) -> Callable[[Callable[[Tensor, Size], Change]], Policy]:
    def enter(draw: Callable[[Tensor, Size], Change]) -> Policy:
        policy = Policy(draw, mosaics)
        policies.add(name, policy)
        return policy

    return enter


def random_table(length: int, seed: int, epoch: int) -> Tensor:
    """(length, NUMBERS) uniform numbers in [0, 1) for one epoch."""
    generator = torch.Generator().manual_seed(mix(seed, epoch, 1))
    return torch.rand(length, NUMBERS, generator=generator)


@_policy("none")
def none(numbers: Tensor, size: Size) -> Change:
    """Pictures as they are."""
    return Change()


@_policy("mirrored")
def mirrored(numbers: Tensor, size: Size) -> Change:
    """Mirror every second picture, and nothing else: no pixel is lost."""
    return Change(mirror(numbers[:, 0], size))


@_policy("light")
def light(numbers: Tensor, size: Size) -> Change:
    """Mirror every second picture; shift by up to an eighth of its size, zeros move in.

    The pad-4 crop and flip of the CIFAR literature (He et al. 2015, arXiv 1512.03385, section 4.2).
    """
    return Change(geometry.compose(mirror(numbers[:, 0], size), shift(numbers[:, 1:3], size)))


@_policy("digits")
def digits(numbers: Tensor, size: Size) -> Change:
    """Turn by up to 10°, scale by up to 10 %, shear by up to 5° and shift a little.

    Never mirrored: 2 is not S.
    """
    matrix = affine(numbers, size, degrees=10, zoom=0.1, slant=5, move=0.06)
    return Change(matrix)


@_policy("photos")
def photos(numbers: Tensor, size: Size) -> Change:
    """Mirror, take a window of 40 to 100 % of the area, turn by up to 8°, shear by up to 5°.

    Brightness, contrast and saturation change by up to 20 %, the hue turns by up to 5°.
    """
    further = more(numbers, 5)
    matrix = geometry.compose(
        mirror(numbers[:, 0], size),
        resized_crop(numbers[:, 1:5], size, smallest=0.4),
        affine(numbers[:, [5, 6, 7]], size, degrees=8, slant=5, zoom=0),
    )
    return Change(matrix, "reflect", colour=jitter(further, 0.2, degrees=5))


@_policy("scenes", mosaics=0.6)
def scenes(numbers: Tensor, size: Size) -> Change:
    """For boxes: six of ten pictures are mosaics of four; all are mirrored, scaled, moved and lit otherwise.

    Scaled from 0.55 to 1.6 of their size, moved by up to a fifth, gray where nothing is; brightness,
    contrast and saturation change by up to 40 %, the hue turns by up to 8°.
    """
    further = more(numbers, MOSAIC + 5)[:, MOSAIC:]
    matrix = geometry.compose(
        mirror(numbers[:, 0], size), zoomed(numbers[:, 1:4], size, (0.55, 1.6), 0.2)
    )
    return Change(matrix, GRAY, colour=jitter(further, 0.4, degrees=8))


@_policy("places")
def places(numbers: Tensor, size: Size) -> Change:
    """For one object a picture: mirror, scale from 0.75 to 1.33 of its size, move by up to an eighth.

    Gray where nothing is; brightness, contrast and saturation change by up to 30 %, the hue turns by
    up to 8°.
    """
    matrix = geometry.compose(
        mirror(numbers[:, 0], size), zoomed(numbers[:, 1:4], size, (3 / 4, 4 / 3), 1 / 8)
    )
    return Change(matrix, GRAY, colour=jitter(more(numbers, 5), 0.3, degrees=8))


@_policy("poses")
def poses(numbers: Tensor, size: Size) -> Change:
    """For points: ``places`` with turns of up to 20°, and scales from 0.8 to 1.25.

    Pictures are not mirrored where it is not known which points change places.
    """
    matrix = geometry.compose(
        mirror(numbers[:, 0], size),
        affine(numbers[:, [4, 5, 6]], size, degrees=20, zoom=0, slant=0),
        zoomed(numbers[:, 1:4], size, (4 / 5, 5 / 4), 1 / 10),
    )
    return Change(matrix, GRAY, colour=jitter(more(numbers, 5), 0.3, degrees=8))


@_policy("jitter")
def jitter_and_cut(numbers: Tensor, size: Size) -> Change:
    """For pictures that are made of others: mirror every second one, enlarge by up to 12 %, cut anywhere.

    As pix2pix's (Isola et al. 2016, arXiv 1611.07004), which enlarges 256 pixels to 286 and cuts 256;
    here by any factor up to that, and the colours stay.
    """
    largest = 286 / 256
    zoom = 1 + (largest - 1) * numbers[:, 1].double()
    room = torch.tensor([size[1], size[0]]) * (zoom[:, None] - 1)
    moved = -room * numbers[:, 2:4].double()
    return Change(
        geometry.compose(
            mirror(numbers[:, 0], size),
            geometry.scale(zoom),
            geometry.translate(moved[:, 0], moved[:, 1]),
        ),
        "reflect",
    )


@_policy("strong")
def strong(numbers: Tensor, size: Size) -> Change:
    """For long fits and few pictures: ``photos`` further, and what else the literature does.

    Windows from a quarter of the area, turns of 15°, perspective, local warping; colours by up to
    40 %, hue 18°, AlexNet's colour shift. Each tenth picture is gray, each fifth blurred, each
    fifth noisy, every second has a hole; a quarter is mixed by mixup, another by cutmix.
    """
    n = more(numbers, 48).split([4, 3, 8, 18, 4, 3, 2, 2, 2, 2], 1)
    crop, turn, corners, bend, colours, shifts, optics, levels, hole, kind = n
    matrix = geometry.compose(
        mirror(numbers[:, 0], size),
        resized_crop(crop, size, smallest=0.25),
        affine(turn, size, degrees=15, slant=10, zoom=0.1),
        perspective(corners, size, amount=0.1),
    )
    gray = photometric.saturation(chosen(numbers[:, 1], 0.1, 0.0, 1.0))
    colour = photometric.compose(jitter(colours, 0.4, degrees=18), pca(shifts), gray)
    longest = 2 * min(size) / 224  # pixels of blur; small pictures have small optics
    holes = mixing.cutout(hole, 0.4, size) * (numbers[:, 2:3] < 0.5)
    patches = mixing.cutmix(numbers[:, 3:6], size) * (kind[:, :1] < 0.25)
    blended = (kind[:, 0] >= 0.25) & (kind[:, 0] < 0.5)
    return Change(
        matrix,
        "reflect",
        control=local_warp(bend, size, amount=0.03),
        colour=colour,
        blur=chosen(optics[:, 0], 0.2, longest * levels[:, 0], 0.0),
        noise=chosen(optics[:, 1], 0.2, 12 * levels[:, 1], 0.0),
        seeds=(numbers[:, 6] * 2**24).long(),
        holes=holes,
        weights=torch.where(blended, kind[:, 1], 1.0),
        patches=patches,
    )


def _size(images: Tensor) -> Size:
    return (images.shape[-2], images.shape[-1])
