"""The losses of YOLO v1 and v2 as plain loops over plain numbers, written from the papers.

``told`` is nested lists; objects are (x1, y1, x2, y2, label) in pixels of a picture ``size`` (H, W).
"""

import math

from tests.slow_reference.boxes import area, iou


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def cell_of(box, rows, columns, size):
    """Row and column of the cell that holds the middle."""
    x, y = centre(box)
    return int(y / size[0] * rows), int(x / size[1] * columns)


def v1_box(numbers, row, column, grid, size):
    """Pc, bx, by, bh, bw of a cell → corners in pixels; bh, bw are roots of shares."""
    _, bx, by, bh, bw = numbers
    x, y = (column + bx) / grid * size[1], (row + by) / grid * size[0]
    h, w = bh**2 * size[0], bw**2 * size[1]
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def v1_truth(things, grid, size):
    """(row, column) → the object that is learned there: the largest, of equal ones the first."""
    held = {}
    for thing in things:
        place = cell_of(thing, grid, grid, size)
        if place not in held or area(thing[:4]) > area(held[place][:4]):
            held[place] = thing
    return held


def v1_responsible(boxes, thing, size):
    """Which box: the one of the highest IoU; where none touches, the nearest by x, y, w, h as shares."""
    overlaps = [iou(box, thing[:4]) for box in boxes]
    if max(overlaps) > 0:
        return overlaps.index(max(overlaps))

    def shares(box):
        x, y = centre(box)
        return x / size[1], y / size[0], (box[2] - box[0]) / size[1], (box[3] - box[1]) / size[0]

    apart = [math.dist(shares(box), shares(thing)) for box in boxes]
    return apart.index(min(apart))


def v1_loss(told, things, count, size, coordinates=5.0, noobj=0.5):
    """Equation 3 of arXiv 1506.02640 for one picture; ``count`` is B."""
    grid = len(told)
    held = v1_truth(things, grid, size)
    losses = {"box": 0.0, "objectness": 0.0, "background": 0.0, "classes": 0.0}
    for i in range(grid):
        for j in range(grid):
            rows = [told[i][j][5 * b : 5 * b + 5] for b in range(count)]
            classes = told[i][j][5 * count :]
            responsible = None
            if (i, j) in held:
                thing = held[i, j]
                boxes = [v1_box(row, i, j, grid, size) for row in rows]
                responsible = v1_responsible(boxes, thing, size)
                x, y = centre(thing)
                pc, bx, by, bh, bw = rows[responsible]
                losses["box"] += coordinates * (bx - (x / size[1] * grid - j)) ** 2
                losses["box"] += coordinates * (by - (y / size[0] * grid - i)) ** 2
                h, w = (thing[3] - thing[1]) / size[0], (thing[2] - thing[0]) / size[1]
                losses["box"] += coordinates * (bh - math.sqrt(h)) ** 2
                losses["box"] += coordinates * (bw - math.sqrt(w)) ** 2
                losses["objectness"] += (pc - iou(boxes[responsible], thing[:4])) ** 2
                for c, p in enumerate(classes):
                    losses["classes"] += (p - (c == thing[4])) ** 2
            for b in range(count):
                if b != responsible:
                    losses["background"] += noobj * rows[b][0] ** 2
    return losses


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def v2_box(numbers, row, column, grid, shape, size):
    """Pc, bx, by, bh, bw of an anchor → corners in pixels; ``shape`` is (w, h) in shares."""
    x = (column + sigmoid(numbers[1])) / grid[1] * size[1]
    y = (row + sigmoid(numbers[2])) / grid[0] * size[0]
    h = shape[1] * math.exp(numbers[3]) * size[0]
    w = shape[0] * math.exp(numbers[4]) * size[1]
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def v2_truth(things, grid, shapes, size):
    """(row, column, anchor) → object: the most alike pairs first, each place and object once."""
    pairs = []
    for t, thing in enumerate(things):
        w, h = (thing[2] - thing[0]) / size[1], (thing[3] - thing[1]) / size[0]
        for a, shape in enumerate(shapes):
            pairs.append((-iou([0, 0, w, h], [0, 0, *shape]), t, a))
    held, done = {}, set()
    for _, t, a in sorted(pairs):
        place = (*cell_of(things[t], *grid, size), a)
        if t not in done and place not in held:
            held[place] = things[t]
            done.add(t)
    return held


def v2_loss(told, things, shapes, size, ignore=0.6, weights=(1.0, 5.0, 1.0, 1.0)):
    """What the authors of arXiv 1612.08242 released, for one picture; halves of squares."""
    grid = len(told), len(told[0])
    held = v2_truth(things, grid, shapes, size)
    losses = {"box": 0.0, "objectness": 0.0, "background": 0.0, "classes": 0.0}
    for i in range(grid[0]):
        for j in range(grid[1]):
            for a, shape in enumerate(shapes):
                numbers = told[i][j][a]
                found = v2_box(numbers, i, j, grid, shape, size)
                sure = sigmoid(numbers[0])
                thing = held.get((i, j, a))
                if thing is None:
                    if all(iou(found, other[:4]) <= ignore for other in things):
                        losses["background"] += weights[2] * sure**2 / 2
                    continue
                x, y = centre(thing)
                h, w = (thing[3] - thing[1]) / size[0], (thing[2] - thing[0]) / size[1]
                missed = (sigmoid(numbers[1]) - (x / size[1] * grid[1] - j)) ** 2
                missed += (sigmoid(numbers[2]) - (y / size[0] * grid[0] - i)) ** 2
                missed += (numbers[3] - math.log(h / shape[1])) ** 2
                missed += (numbers[4] - math.log(w / shape[0])) ** 2
                losses["box"] += weights[0] * missed / 2
                losses["objectness"] += weights[1] * (sure - iou(found, thing[:4])) ** 2 / 2
                total = sum(math.exp(p) for p in numbers[5:])
                losses["classes"] -= weights[3] * math.log(math.exp(numbers[5 + thing[4]]) / total)
    return losses
