"""Distance of two pictures in the features of a network instead of in their pixels.

Zhang, Isola, Efros, Shechtman, Wang, "The unreasonable effectiveness of deep features as a
perceptual metric", 2018, arXiv 1801.03924: LPIPS, equation 1, with all its weights w = 1. At every
position the features of a layer are divided by their length; two positions are as far apart as
twice one minus the cosine of their features.

Without that division it is the content loss of SRGAN (Ledig et al. 2016, arXiv 1609.04802,
equation 5) and of Johnson et al. 2016 (arXiv 1603.08155).

Deviations: LPIPS learns a weight a channel from people's judgements, which no file here has; so the
figures are comparable with each other and with LPIPS's "baseline", not with the calibrated ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from boda.errors import UsageError

Features = Callable[[Tensor], Mapping[str, Tensor]]  # pictures → the maps of layers, by name
# The layers of the paper, behind their ReLU; VGG's by the names of the literature.
LAYERS = {
    "squeezenet-1.1": tuple(f"features.{i}" for i in (1, 4, 7, 9, 10, 11, 12)),
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    "alexnet": tuple(f"features.{i}" for i in (1, 4, 7, 9, 11)),
}
TINY = 1e-10  # under the root of a length, so that no features at all have a gradient


def perceptual_distance(
    features: Features, said: Tensor, truth: Tensor, unit: bool = True
) -> Tensor:
    """How far two pictures are apart in the features of a network; differentiable in ``said``.

    Args:
        features: gives the maps (N, C, H', W') of some layers of a network with real weights;
            ``boda.stylizing.features`` makes one of any registered network, for pictures 0 to 1.
        said: (N, C, H, W), as ``features`` wants them.
        truth: the same shape; a constant.
        unit: divide the features of a position by their length. Without it the distance is the mean
            squared difference of the features.

    Returns:
        (N,): Σ over layers of the mean over positions; with ``unit`` each is 0 to 4, and 0 to 2
        behind a ReLU.

    Raises:
        UsageError: shapes that differ, or a layer that puts out no maps.
    """
    if said.ndim != 4 or said.shape != truth.shape:
        raise UsageError(
            f"pictures of shapes {tuple(said.shape)} and {tuple(truth.shape)}. Give (N, C, H, W) "
            "twice, the same."
        )
    with torch.no_grad():
        wanted = features(truth)
    total = said.new_zeros(len(said))
    for name, maps in features(said).items():
        if maps.ndim != 4:
            raise UsageError(
                f"the layer '{name}' puts out {tuple(maps.shape)}, no maps. Choose one before."
            )
        one, other = maps, wanted[name]
        if unit:
            one, other = _directions(one), _directions(other)
        apart = (one - other).square()
        total = total + (apart.sum(1) if unit else apart.mean(1)).mean((1, 2))
    return total


def _directions(maps: Tensor) -> Tensor:
    """Every position's features, divided by their length."""
    return maps * (maps.square().sum(1, keepdim=True) + TINY).rsqrt()
