"""Augmentation on whole batches: pictures that a class allows, made from pictures that are there.

A policy takes (N, C, H, W) uint8 pictures and (N, K) uniform random numbers in [0, 1) and moves
each picture by its own row. The engine draws one table of numbers an epoch and takes the rows by
sample, so what happens to a picture depends on (seed, epoch, index) and on nothing else: not on the
batch, the device or an interruption.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.data.dataset import mix
from boda.ops import geometry
from boda.registry import Registry

NUMBERS = 8  # random numbers a picture, for every policy
Policy = Callable[[Tensor, Tensor], Tensor]
policies: Registry[Policy] = Registry("augmentation")


def random_table(length: int, seed: int, epoch: int) -> Tensor:
    """(length, NUMBERS) uniform numbers in [0, 1) for one epoch."""
    generator = torch.Generator().manual_seed(mix(seed, epoch, 1))
    return torch.rand(length, NUMBERS, generator=generator)


@policies.register("none")
def none(images: Tensor, numbers: Tensor) -> Tensor:
    """Pictures as they are."""
    return images


@policies.register("light")
def light(images: Tensor, numbers: Tensor) -> Tensor:
    """Mirror every second picture; shift by up to an eighth of its size, zeros move in.

    The pad-4 crop and flip of the CIFAR literature (He et al. 2015, arXiv 1512.03385, section 4.2).
    """
    return shift(mirror(images, numbers[:, 0]), numbers[:, 1:3])


@policies.register("digits")
def digits(images: Tensor, numbers: Tensor) -> Tensor:
    """Turn by up to 10°, scale by up to 10 %, shear and shift a little; never mirror: 2 is not S."""
    return affine(images, numbers, degrees=10, zoom=0.1, slant=0.1, move=0.06)


@policies.register("photos")
def photos(images: Tensor, numbers: Tensor) -> Tensor:
    """Mirror, zoom in by up to 1.4, turn a little, shift, and change the brightness by up to 20 %."""
    images = mirror(images, numbers[:, 0])
    images = affine(
        images, numbers[:, 1:], degrees=8, zoom=0.2, slant=0.05, move=0.08, fill="reflect"
    )
    return brightness(images, numbers[:, 7], amount=0.2)


def mirror(images: Tensor, numbers: Tensor) -> Tensor:
    """Mirror the pictures whose number (N,) is below one half."""
    chosen = (numbers < 0.5).to(images.device)[:, None, None, None]
    return torch.where(chosen, images.flip(3), images)


def shift(images: Tensor, numbers: Tensor) -> Tensor:
    """Move each picture by whole pixels, up to an eighth of its size; numbers (N, 2), zeros move in."""
    n, _, height, width = images.shape
    pad_y, pad_x = height // 8, width // 8
    padded = F.pad(images, (pad_x, pad_x, pad_y, pad_y))
    top = (numbers[:, 0] * (2 * pad_y + 1)).long().to(images.device)
    left = (numbers[:, 1] * (2 * pad_x + 1)).long().to(images.device)
    # A view of every window there is; the indexing copies one window a picture and nothing else.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (N, C, 2·pad_y+1, 2·pad_x+1, H, W)
    return windows[torch.arange(n, device=images.device), :, top, left]


def affine(
    images: Tensor,
    numbers: Tensor,
    *,
    degrees: float,
    zoom: float,
    slant: float,
    move: float,
    fill: float | str = 0,
) -> Tensor:
    """Turn, scale, shear and shift each picture about its centre by one matrix; numbers (N, ≥ 5)."""
    height, width = images.shape[-2:]
    signed = (2 * numbers.double() - 1).unbind(1)
    centre = (width / 2, height / 2)
    matrix = geometry.compose(
        geometry.rotate(degrees * signed[0], centre),
        geometry.scale(1 + zoom * signed[1], centre=centre),
        geometry.shear(slant * signed[2], centre=centre),
        geometry.translate(move * width * signed[3], move * height * signed[4]),
    )
    return geometry.warp(images, matrix, (height, width), fill=fill)


def brightness(images: Tensor, numbers: Tensor, amount: float) -> Tensor:
    """Multiply each picture by a factor from 1 − amount to 1 + amount; numbers (N,)."""
    factor = (1 + amount * (2 * numbers - 1)).to(images.device)[:, None, None, None]
    return (images * factor).clamp_(0, 255).to(images.dtype)
