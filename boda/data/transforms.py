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
from boda.data.prepare import GRAY
from boda.ops import geometry, photometric
from boda.ops.geometry import Size
from boda.registry import Registry

NUMBERS = 8  # random numbers a picture; ``more`` makes further ones of them

# Variances and axes (R, G, B) of the colours of photographs, ``photometric.principal_colours`` of
# the 50,000 training pictures of CIFAR-10.
VARIANCES = (0.17183, 0.01253, 0.00265)
AXES = ((0.55763, 0.57669, 0.59706), (0.70296, 0.05447, -0.70915), (0.44148, -0.81515, 0.37501))


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
            change = replace(change, matrix=_unmirrored(change.matrix, _size(batch.images)))
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


def more(numbers: Tensor, count: int) -> Tensor:
    """(N, count) further uniform numbers in [0, 1), each row made from its row of (N, K) alone.

    The bits of a row are hashed, and counted on from there (splitmix64, Steele et al. 2014), so a
    policy may take as many as it wants while the table stays small.
    """
    state = torch.zeros(len(numbers), dtype=torch.int64)
    for column in (numbers.double() * 2**53).long().unbind(1):
        state = _scrambled(state ^ column)
    steps = torch.arange(1, count + 1) * -0x61C8864680B583EB  # the golden ratio, in 64 bits
    bits = _scrambled(state[:, None] + steps)
    return ((bits >> 40) & 0xFFFFFF) / 2**24  # exact in float32, so never 1


def _scrambled(state: Tensor) -> Tensor:
    """One step of splitmix64, in int64 that wraps around."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        state = (state ^ ((state >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return state ^ ((state >> 31) & ((1 << 33) - 1))


@_policy("none")
def none(numbers: Tensor, size: Size) -> Change:
    """Pictures as they are."""
    return Change()


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
    factor = 0.55 * (1.6 / 0.55) ** numbers[:, 1].double()
    centre = (size[1] / 2, size[0] / 2)
    moved = 0.2 * (2 * numbers[:, 2:4].double() - 1) * torch.tensor([size[1], size[0]])
    matrix = geometry.compose(
        mirror(numbers[:, 0], size),
        geometry.scale(factor, centre=centre),
        geometry.translate(moved[:, 0], moved[:, 1]),
    )
    return Change(matrix, GRAY, colour=jitter(further, 0.4, degrees=8))


@_policy("places")
def places(numbers: Tensor, size: Size) -> Change:
    """For one object a picture: mirror, scale from 0.75 to 1.33 of its size, move by up to an eighth.

    Gray where nothing is; brightness, contrast and saturation change by up to 30 %, the hue turns by
    up to 8°.
    """
    matrix = geometry.compose(
        mirror(numbers[:, 0], size), zoomed(numbers[:, 1:4], size, 4 / 3, 1 / 8)
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
        zoomed(numbers[:, 1:4], size, 5 / 4, 1 / 10),
    )
    return Change(matrix, GRAY, colour=jitter(more(numbers, 5), 0.3, degrees=8))


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


def chosen(numbers: Tensor, share: float, value: Tensor | float, other: Tensor | float) -> Tensor:
    """``value`` for that share of the pictures, ``other`` for the rest; numbers (N,)."""
    return torch.where(numbers < share, value, other)


def mirror(numbers: Tensor, size: Size) -> Tensor:
    """(N, 3, 3): mirrors the pictures whose number (N,) is below one half."""
    mirrored = (numbers < 0.5)[:, None, None]
    return torch.where(mirrored, geometry.mirror(size[1]), geometry.identity())


def zoomed(numbers: Tensor, size: Size, largest: float, move: float) -> Tensor:
    """(N, 3, 3): scale about the centre, evenly in the logarithm, then shift; numbers (N, 3).

    Args:
        numbers: of the scale, of the shift in x and in y.
        size: (H, W).
        largest: factor; the smallest is its inverse.
        move: share of the width and of the height, in both directions.
    """
    factor = largest ** (2 * numbers[:, 0].double() - 1)
    moved = move * (2 * numbers[:, 1:3].double() - 1) * torch.tensor([size[1], size[0]])
    return geometry.compose(
        geometry.scale(factor, centre=(size[1] / 2, size[0] / 2)),
        geometry.translate(moved[:, 0], moved[:, 1]),
    )


def shift(numbers: Tensor, size: Size) -> Tensor:
    """(N, 3, 3): moves by whole pixels, up to an eighth of the size; numbers (N, 2), y first."""
    y, x = (
        side // 8 - (number * (2 * (side // 8) + 1)).long()
        for number, side in zip(numbers.unbind(1), size, strict=True)
    )
    return geometry.translate(x, y)


def resized_crop(numbers: Tensor, size: Size, smallest: float) -> Tensor:
    """(N, 3, 3): a window of whole pixels becomes the picture; numbers (N, 4).

    Its area is uniform from ``smallest`` to 1, the logarithm of its proportions (width to height, over
    those of the picture) from 3/4 to 4/3, and its place is uniform.

    Source: Szegedy et al. 2014 (arXiv 1409.4842), section 6. Deviation: what would be wider or
    higher than the picture is cut, not drawn again.
    """
    area, bent, x, y = numbers.double().unbind(1)
    side, proportion = (smallest + (1 - smallest) * area).sqrt(), (4 / 3) ** (bent - 0.5)
    height, width = (
        (share.clamp(max=1) * edge).round().clamp(min=1)
        for share, edge in zip((side / proportion, side * proportion), size, strict=True)
    )
    left, top = ((x * (size[1] - width + 1)).floor(), (y * (size[0] - height + 1)).floor())
    return geometry.compose(
        geometry.translate(-left, -top), geometry.scale(size[1] / width, size[0] / height)
    )


def affine(
    numbers: Tensor, size: Size, *, degrees: float, zoom: float, slant: float, move: float = 0
) -> Tensor:
    """(N, 3, 3): turn, scale, shear and shift about the centre; numbers (N, 3), or (N, 5) to shift.

    Args:
        numbers: each operation is uniform between its largest amounts in both directions.
        size: (H, W).
        degrees: of the rotation.
        zoom: share of the size.
        slant: degrees, along the rows.
        move: share of the width and of the height.
    """
    signed = (2 * numbers.double() - 1).unbind(1)
    centre = (size[1] / 2, size[0] / 2)
    steps = [
        geometry.rotate(degrees * signed[0], centre),
        geometry.scale(1 + zoom * signed[1], centre=centre),
        geometry.shear(slant * signed[2], centre=centre),
    ]
    if move:
        steps.append(geometry.translate(move * size[1] * signed[3], move * size[0] * signed[4]))
    return geometry.compose(*steps)


def perspective(numbers: Tensor, size: Size, amount: float) -> Tensor:
    """(N, 3, 3): each corner moves inwards by up to ``amount`` of the side; numbers (N, 8)."""
    width, height = size[1], size[0]
    corners = torch.tensor([[0.0, 0], [width, 0], [width, height], [0, height]])
    inwards = torch.tensor([[1.0, 1], [-1, 1], [-1, -1], [1, -1]]) * torch.tensor([width, height])
    moved = corners + amount * inwards * numbers.unflatten(1, (4, 2))
    return geometry.perspective(corners.expand_as(moved), moved)


def local_warp(numbers: Tensor, size: Size, amount: float) -> Tensor:
    """(N, 2, 5, 5): a 3×3 grid of points moves by up to ``amount`` of the side; numbers (N, 18).

    The border stays, so nothing moves in. Up to 0.05 the picture is never folded.
    """
    inner = (2 * numbers - 1).unflatten(1, (2, 3, 3))
    return torch.nn.functional.pad(inner, (1, 1, 1, 1)) * amount * min(size)


def jitter(numbers: Tensor, amount: float, degrees: float) -> Tensor:
    """(N, 5, 5): brightness, contrast and saturation by up to ``amount``, hue; numbers (N, ≥ 4)."""
    factors = 1 + amount * (2 * numbers - 1)
    return photometric.compose(
        photometric.brightness(factors[:, 0]),
        photometric.contrast(factors[:, 1]),
        photometric.saturation(factors[:, 2]),
        photometric.hue(degrees * (2 * numbers[:, 3] - 1)),
    )


def pca(numbers: Tensor) -> Tensor:
    """(N, 5, 5): AlexNet's colour shift, of deviation 0.1, along the axes of photographs; (N, 3)."""
    normal = torch.special.ndtri(numbers.double().clamp(1e-6, 1 - 1e-6))
    strengths = 0.1 * normal
    return photometric.principal_shift(strengths, torch.tensor(VARIANCES), torch.tensor(AXES))


def _size(images: Tensor) -> Size:
    return (images.shape[-2], images.shape[-1])


def _unmirrored(matrix: Tensor, size: Size) -> Tensor:
    """(N, 3, 3) without the mirror: of those that have one, the picture is mirrored before it."""
    mirrored = (matrix[:, :2, :2].det() < 0)[:, None, None]
    return torch.where(mirrored, matrix @ geometry.mirror(size[1]).to(matrix), matrix)
