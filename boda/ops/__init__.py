"""Pure functions on tensors: no state, no I/O. Shapes end in (H, W), as PyTorch's do."""

from boda.ops import geometry, kernels
from boda.ops.color import (
    bitmap,
    channels,
    grayscale,
    hsv_to_rgb,
    lab_to_rgb,
    rgb_to_hsv,
    rgb_to_lab,
    to_chw,
    to_hwc,
)
from boda.ops.convolution import (
    convolve,
    correlate,
    depthwise,
    pad,
    pointwise,
    sum_of_independent,
    transposed,
)
from boda.ops.cost import (
    multiply_adds,
    output_size,
    parameters,
    receptive_field,
    same_padding,
    separable_ratio,
)
from boda.ops.geometry import warp, warp_boxes, warp_points
from boda.ops.kernels import gradient, kernel
from boda.ops.matrices import im2col, toeplitz
from boda.ops.pooling import (
    average_pool,
    global_average_pool,
    global_max_pool,
    max_pool,
    max_pool_indices,
    min_pool,
    unpool,
)

__all__ = [
    "average_pool",
    "bitmap",
    "channels",
    "convolve",
    "correlate",
    "depthwise",
    "geometry",
    "global_average_pool",
    "global_max_pool",
    "gradient",
    "grayscale",
    "hsv_to_rgb",
    "im2col",
    "kernel",
    "kernels",
    "lab_to_rgb",
    "max_pool",
    "max_pool_indices",
    "min_pool",
    "multiply_adds",
    "output_size",
    "pad",
    "parameters",
    "pointwise",
    "receptive_field",
    "rgb_to_hsv",
    "rgb_to_lab",
    "same_padding",
    "separable_ratio",
    "sum_of_independent",
    "to_chw",
    "to_hwc",
    "toeplitz",
    "transposed",
    "unpool",
    "warp",
    "warp_boxes",
    "warp_points",
]
