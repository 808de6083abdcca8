"""The operations of augmentation: uniform random numbers become matrices, one a picture.

Each takes (N, K) numbers in [0, 1) and the pictures' size (H, W), and gives (N, 3, 3) matrices as
``boda.ops.geometry`` has them, or (N, 5, 5) ones as ``boda.ops.photometric`` has them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.ops import geometry, photometric
from boda.ops.geometry import Size

# Variances and axes (R, G, B) of the colours of photographs, ``photometric.principal_colours`` of
# the 50,000 training pictures of CIFAR-10.
VARIANCES = (0.17183, 0.01253, 0.00265)
AXES = ((0.55763, 0.57669, 0.59706), (0.70296, 0.05447, -0.70915), (0.44148, -0.81515, 0.37501))


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


def chosen(numbers: Tensor, share: float, value: Tensor | float, other: Tensor | float) -> Tensor:
    """``value`` for that share of the pictures, ``other`` for the rest; numbers (N,)."""
    return torch.where(numbers < share, value, other)


def mirror(numbers: Tensor, size: Size) -> Tensor:
    """(N, 3, 3): mirrors the pictures whose number (N,) is below one half."""
    mirrored = (numbers < 0.5)[:, None, None]
    return torch.where(mirrored, geometry.mirror(size[1]), geometry.identity())


def unmirrored(matrix: Tensor, size: Size) -> Tensor:
    """(N, 3, 3) without the mirror: of those that have one, the picture is mirrored before it."""
    mirrored = (matrix[:, :2, :2].det() < 0)[:, None, None]
    return torch.where(mirrored, matrix @ geometry.mirror(size[1]).to(matrix), matrix)


def zoomed(numbers: Tensor, size: Size, scales: tuple[float, float], move: float) -> Tensor:
    """(N, 3, 3): scale about the centre, evenly in the logarithm, then shift; numbers (N, 3).

    Args:
        numbers: of the scale, of the shift in x and in y.
        size: (H, W).
        scales: the smallest and the largest factor.
        move: share of the width and of the height, in both directions.
    """
    smallest, largest = scales
    factor = smallest * (largest / smallest) ** numbers[:, 0].double()
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
