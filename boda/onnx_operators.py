"""What boda's own operators are in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import boda.ops.roi_operator  # they register the operators
import boda.ops.together  # noqa: F401


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Operator → a function that builds it of ONNX's, for ``torch.onnx.export``."""
    from onnxscript import opset18

    op: Any = opset18  # its types know tensors only, not what stands for one in a graph

    def keep(boxes: Any, scores: Any, labels: Any, classes: int, threshold: float) -> Any:
        """``NonMaxSuppression``, which wants the scores of every class apart: (N, classes, K)."""
        numbers = op.Constant(value_ints=list(range(classes)))
        numbers = op.Unsqueeze(numbers, op.Constant(value_ints=[0, 2]))
        one = op.Constant(value_ints=[1])
        mine = op.Equal(op.Unsqueeze(labels, one), numbers)
        apart = op.Where(mine, op.Unsqueeze(scores, one), op.Constant(value_float=0.0))
        count = op.Shape(scores, start=1, end=2)
        chosen = op.NonMaxSuppression(
            boxes,
            apart,
            count,
            op.Constant(value_floats=[threshold]),
            op.Constant(value_floats=[0.0]),  # a score of 0 is no box
        )
        places = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)  # picture and box
        zeros = op.Mul(scores, op.Constant(value_float=0.0))
        there = op.Expand(op.Constant(value_float=1.0), op.Shape(places, start=0, end=1))
        return op.Greater(op.ScatterND(zeros, places, there), op.Constant(value_float=0.5))

    def best(scores: Any, count: int) -> Any:
        """``TopK``."""
        return op.TopK(scores, op.Constant(value_ints=[count]), axis=1)[1]

    def align(
        maps: Any, boxes: Any, pictures: Any, levels: Any, size: Any, samples: int, aligned: bool
    ) -> Any:
        """``RoiAlign`` in each level of the boxes that are there, then back in their order."""

        def pool(level: Any, boxes: Any, pictures: Any) -> Any:
            return op.RoiAlign(
                level,
                boxes,
                pictures,
                coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
                output_height=size[0],
                output_width=size[1],
                sampling_ratio=samples,
            )

        if len(maps) == 1:
            return pool(maps[0], boxes, pictures)
        numbers = [op.Constant(value_ints=[k]) for k in range(len(maps))]
        here = [op.Squeeze(op.NonZero(op.Equal(levels, k)), numbers[0]) for k in numbers]
        pooled = [
            pool(level, op.Gather(boxes, some), op.Gather(pictures, some))
            for level, some in zip(maps, here, strict=True)
        ]
        order = op.Concat(*here, axis=0)
        count = op.Squeeze(op.Shape(order), numbers[0])
        place = op.Range(op.Constant(value_int=0), count, op.Constant(value_int=1))
        return op.Gather(op.Concat(*pooled, axis=0), op.ScatterElements(order, order, place))

    return {
        torch.ops.boda.align.default: align,
        torch.ops.boda.best.default: best,
        torch.ops.boda.keep.default: keep,
    }
