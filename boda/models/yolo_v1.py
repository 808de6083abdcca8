"""``yolo-v1``: one look at the whole picture, and dense layers say for each cell what it holds.

Redmon, Divvala, Girshick, Farhadi, "You only look once: unified, real-time object detection", 2015,
arXiv 1506.02640, figure 3; Fast YOLO as its authors released it, since the paper gives no more than
its nine convolutions. Deviations: in pictures that are not 448×448 the last maps are averaged to the
grid, so that the dense layers stay the same; the numbers of a box stand in the notes' order; the
convolutions begin with He's weights (arXiv 1502.01852) and not with those of a classifier.
"""

from __future__ import annotations

from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.darknet import SLOPE
from boda.models.layers import at_least

PAPER = "Redmon, Divvala, Girshick, Farhadi 2015, arXiv 1506.02640"
HIDDEN = 4096  # values between the dense layers
SMALLEST = 64  # a cell's pixels in the paper: six times halved, one value is left

Row = tuple[int, int, int]  # kernel, channels, stride of a convolution
POOL: Row = (2, 0, 2)  # 2×2, two apart
# The paper's figure 3: 24 convolutions.
FULL: tuple[Row, ...] = (
    (7, 64, 2),
    POOL,
    (3, 192, 1),
    POOL,
    (1, 128, 1),
    (3, 256, 1),
    (1, 256, 1),
    (3, 512, 1),
    POOL,
    *((1, 256, 1), (3, 512, 1)) * 4,
    (1, 512, 1),
    (3, 1024, 1),
    POOL,
    *((1, 512, 1), (3, 1024, 1)) * 2,
    (3, 1024, 1),
    (3, 1024, 2),
    (3, 1024, 1),
    (3, 1024, 1),
)
# Fast YOLO: nine convolutions, and a dense layer of 256 values more.
FAST: tuple[Row, ...] = (
    *(row for n in (16, 32, 64, 128, 256, 512) for row in ((3, n, 1), POOL)),
    *((3, 1024, 1),) * 3,
)
NARROW = 256


class YoloV1(nn.Module):
    """Convolutions down to a grid, then dense layers that see all of it.

    Args:
        rows: the convolutions and poolings.
        narrow: values of a dense layer before the others, without activation; 0 for none.
        classes, channels: of the output and of the pictures.
        width: factor of all channels and of the dense layers' values; 1 is the paper's.
        grid: S, cells down and across.
        boxes: B, boxes that a cell tells.

    Attributes:
        boxes: B.

    Raises:
        UsageError: a width that leaves no channels, or is far too large; no cell, or no box.
    """

    def __init__(
        self,
        rows: tuple[Row, ...],
        narrow: int,
        classes: int,
        channels: int,
        width: float = 1.0,
        grid: int = 7,
        boxes: int = 2,
    ) -> None:
        super().__init__()
        if not 1 / 16 <= width <= 16:
            raise UsageError(f"a YOLO v1 of width {width}. Give a factor from 0.0625 to 16.")
        if min(grid, boxes) < 1:
            raise UsageError(f"{grid} cells and {boxes} boxes in each. Give at least one of both.")
        self.boxes = boxes
        layers: list[nn.Module] = []
        for kernel, count, stride in rows:
            if not count:
                layers.append(nn.MaxPool2d(kernel, stride))
                continue
            wide = round(width * count)
            layers.append(nn.Conv2d(channels, wide, kernel, stride, kernel // 2))
            layers.append(nn.LeakyReLU(SLOPE, inplace=True))
            channels = wide
        self.features = nn.Sequential(*layers)
        self.cells = nn.AdaptiveAvgPool2d(grid)
        values, hidden, narrow = (
            round(n) for n in (grid**2 * channels, width * HIDDEN, width * narrow)
        )
        dense: list[nn.Module] = [nn.Flatten()]
        if narrow:
            dense.append(nn.Linear(values, narrow))
            values = narrow
        dense += [nn.Linear(values, hidden), nn.LeakyReLU(SLOPE, inplace=True), nn.Dropout()]
        self.dense = nn.Sequential(*dense)
        shape = (grid, grid, 5 * boxes + classes)
        last = nn.Linear(hidden, grid**2 * shape[2])
        self.output = nn.Sequential(last, nn.Unflatten(1, shape))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):  # no norms: values keep their variance
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.normal_(last.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, S, S, B·5 + C), for each cell what it says.

        B times Pc, bx, by, bh, bw, then c1 … cC, raw numbers. bx, by is the middle of the box within the
        cell, 0..1; bh, bw are the square roots of its height and width as shares of the picture's.
        """
        at_least(x, SMALLEST, "YOLO v1")
        return self.output(self.dense(self.cells(self.features(x))))


@register(
    "yolo-v1",
    size=448,
    smallest=SMALLEST,
    classes=20,
    paper=PAPER,
    task="detect",
    method="yolo-v1",
)
def yolo_v1(
    classes: int, channels: int, width: float = 1.0, grid: int = 7, boxes: int = 2
) -> YoloV1:
    """The first YOLO, 7×7 cells of two boxes; 271,703,550 parameters with 20 classes."""
    return YoloV1(FULL, 0, classes, channels, width, grid, boxes)


@register(
    "yolo-v1-fast",
    size=448,
    smallest=SMALLEST,
    classes=20,
    paper=PAPER,
    task="detect",
    method="yolo-v1",
)
def yolo_v1_fast(
    classes: int, channels: int, width: float = 1.0, grid: int = 7, boxes: int = 2
) -> YoloV1:
    """Fast YOLO, with nine convolutions for 24; 45,089,374 parameters with 20 classes."""
    return YoloV1(FAST, NARROW, classes, channels, width, grid, boxes)
