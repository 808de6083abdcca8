"""RoI align and RoI pooling as plain loops over cells, samples and pixels, for one box."""

import math


def align(picture, box, size, scale, samples, aligned):
    """(H, W) as nested lists, xyxy → (h, w) as nested lists."""
    x1, y1, x2, y2 = (edge * scale - (0.5 if aligned else 0) for edge in box)
    width, height = x2 - x1, y2 - y1
    if not aligned:
        width, height = max(width, 1), max(height, 1)
    out = []
    for i in range(size[0]):
        out.append([])
        for j in range(size[1]):
            total = 0.0
            for a in range(samples):
                for b in range(samples):
                    y = y1 + height * (i + (a + 0.5) / samples) / size[0]
                    x = x1 + width * (j + (b + 0.5) / samples) / size[1]
                    total += interpolated(picture, y, x)
            out[-1].append(total / samples**2)
    return out


def interpolated(picture, y, x):
    """Between four pixels; the border reaches one pixel out, behind it all is 0."""
    height, width = len(picture), len(picture[0])
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = min(int(y), height - 2), min(int(x), width - 2)
    down, right = y - top, x - left
    above = picture[top][left] * (1 - right) + picture[top][left + 1] * right
    below = picture[top + 1][left] * (1 - right) + picture[top + 1][left + 1] * right
    return above * (1 - down) + below * down


def pool(picture, box, size, scale):
    """(H, W) as nested lists, xyxy → (h, w) as nested lists."""
    x1, y1, x2, y2 = (rounded(edge * scale) for edge in box)
    rows = cells(y1, y2, size[0], len(picture))
    columns = cells(x1, x2, size[1], len(picture[0]))
    return [
        [max((picture[y][x] for y in down for x in across), default=0.0) for across in columns]
        for down in rows
    ]


def cells(first, last, count, length):
    """The pixels of each cell; neighbours share one where the sides do not come out even."""
    step = max(last - first + 1, 1) / count
    return [
        range(
            max(first + math.floor(i * step), 0),
            min(first + math.ceil((i + 1) * step), length),
        )
        for i in range(count)
    ]


def rounded(x):
    """Halves away from 0."""
    return math.floor(x + 0.5) if x >= 0 else math.ceil(x - 0.5)
