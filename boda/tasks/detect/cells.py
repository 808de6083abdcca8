"""Objects in the cells that are responsible for them: what YOLO v1 and v2 have in common.

The cell that holds an object's centre is responsible for it. Redmon, Divvala, Girshick, Farhadi 2015,
arXiv 1506.02640, section 2. Lengths are in cells here: a cell is 1 wide and 1 high.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from boda.errors import UsageError
from boda.ops.anchors import assign_to_cells, grid_centres
from boda.ops.boxes import convert_boxes

Size = tuple[int, int]


@dataclass
class Objects:
    """K objects of a batch, and where they are learned.

    Attributes:
        place: picture, row and column, (K,) int64 each.
        anchor: (K,) int64.
        boxes: (K, 4) xyxy.
        labels: (K,) int64.
    """

    place: tuple[Tensor, Tensor, Tensor]
    anchor: Tensor
    boxes: Tensor
    labels: Tensor

    @property
    def within(self) -> Tensor:
        """(K, 2) x, y of the middle in its cell, 0..1."""
        _, row, column = self.place
        return convert_boxes(self.boxes, "xyxy", "cxcywh")[:, :2] - torch.stack([column, row], 1)

    @property
    def sides(self) -> Tensor:
        """(K, 2) width and height."""
        return self.boxes[:, 2:] - self.boxes[:, :2]


def objects(
    boxes: list[Tensor], labels: list[Tensor] | None, shapes: Tensor, grid: Size
) -> Objects:
    """The objects of all pictures that find a place; see ``boda.ops.anchors.assign_to_cells``.

    Args:
        boxes: for each picture (n, 4) xyxy in cells.
        labels: for each picture (n,) int64.
        shapes: (A, 2) width and height of the anchors, cells.
        grid: (h, w), cells down and across.
    """
    none = torch.zeros(0, dtype=torch.int64, device=shapes.device)
    pictures, places, found, classes = [none], [none.view(0, 3)], [none.view(0, 4)], [none]
    for i, (own, own_labels) in enumerate(zip(boxes, labels or [], strict=True)):
        given = assign_to_cells(own, shapes, grid, 1.0)
        kept = given[:, 2] >= 0
        pictures.append(torch.full_like(own_labels[kept], i))
        places.append(given[kept])
        found.append(own[kept])
        classes.append(own_labels[kept])
    row, column, anchor = torch.cat(places).unbind(1)
    return Objects(
        (torch.cat(pictures), row, column), anchor, torch.cat(found).float(), torch.cat(classes)
    )


def in_cells(boxes: list[Tensor] | None, grid: Size, size: Size) -> list[Tensor]:
    """The pictures' boxes (n, 4) xyxy, from pixels of pictures of ``size`` (H, W) to cells."""
    scale = torch.tensor([grid[1] / size[1], grid[0] / size[0]] * 2)
    return [own * scale.to(own) for own in boxes or []]


def to_pixels(boxes: Tensor, grid: Size, size: Size) -> Tensor:
    """(…, 4) xyxy from cells to pixels of pictures of ``size`` (H, W)."""
    return boxes * torch.tensor([size[1] / grid[1], size[0] / grid[0]] * 2).to(boxes)


def corners(grid: Size, device: torch.device) -> Tensor:
    """(h, w, 1, 2) x, y of each cell's upper left corner."""
    return (grid_centres(grid, 1.0) - 0.5)[:, :, None].to(device)


def refuse_less_than_0(**weights: float) -> None:
    """Refuse weights that would reward mistakes."""
    for name, value in weights.items():
        if not value >= 0:
            raise UsageError(f"{name} is {value}; it must not be less than 0.")
