"""Boxes, suppression and detection metrics as plain loops over plain numbers."""

import math

import numpy as np


def iou(a, b):
    """Of two xyxy boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    union = area(a) + area(b) - both
    return both / union if union > 0 else 0.0


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def hull(a, b):
    return [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]


def giou(a, b):
    whole = area(hull(a, b))
    if whole == 0:
        return iou(a, b)
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return iou(a, b) - (whole - (area(a) + area(b) - width * height)) / whole


def diou(a, b):
    x = (a[0] + a[2]) / 2 - (b[0] + b[2]) / 2
    y = (a[1] + a[3]) / 2 - (b[1] + b[3]) / 2
    c = hull(a, b)
    diagonal = (c[2] - c[0]) ** 2 + (c[3] - c[1]) ** 2
    return iou(a, b) - (x * x + y * y) / diagonal if diagonal else iou(a, b)


def ciou(a, b):
    """Of boxes with positive height."""
    angles = [math.atan((box[2] - box[0]) / (box[3] - box[1])) for box in (a, b)]
    v = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    alpha = v / (1 - iou(a, b) + v) if v else 0.0
    return diou(a, b) - alpha * v


def greedy(overlap, scores, threshold, labels):
    """What non-max suppression keeps; ``overlap[i][j]`` is the IoU."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    kept = []
    for i in order:
        if all(labels[i] != labels[j] or overlap[i][j] <= threshold for j in kept):
            kept.append(i)
    return kept


def soft(overlap, scores, labels, decay, floor):
    """Soft-NMS: (index, lowered score) in the order of choice; ``decay(iou)`` is a factor."""
    left = {i: s for i, s in enumerate(scores) if s >= floor}
    chosen = []
    while left:
        best = max(left, key=lambda i: (left[i], -i))
        chosen.append((best, left.pop(best)))
        for i in left:
            if labels[i] == labels[best]:
                left[i] *= decay(overlap[i][best])
        left = {i: s for i, s in left.items() if s >= floor}
    return chosen


# --- metrics; pictures are (found, truth) as boda.metrics.detection has them ------------------------


def coco_class(pictures, label, smallest, largest):
    """COCO's figures of one class and size, or None where it has no objects."""
    aps, recalls = [], []
    for threshold in np.linspace(0.5, 0.95, 10):  # as COCO rounds them
        there, seen = 0, []
        for found, truth in pictures:
            count, marks = coco_picture(found, truth, label, smallest, largest, threshold)
            there += count
            seen += marks
        if not there:
            return None
        seen = [right for _, right in sorted(seen, key=lambda mark: -mark[0]) if right is not None]
        aps.append(coco_precision(seen, there))
        recalls.append(sum(seen) / there)
    return {"aps": aps, "ap": sum(aps) / 10, "ar": sum(recalls) / 10}


def coco_precision(seen, there):
    points, hits = [], 0
    for n, right in enumerate(seen, start=1):
        hits += right
        points.append((hits, hits / n))
    best = [max([p for h, p in points if 100 * h >= r * there], default=0.0) for r in range(101)]
    return sum(best) / 101


def coco_picture(found, truth, label, smallest, largest, threshold):
    """(objects that count, [(score, right, or None where it does not count)])."""
    objects = [i for i, kind in enumerate(truth.labels) if kind == label]
    aside = {
        i: bool(truth.crowd[i]) or not smallest <= area(truth.boxes[i]) <= largest for i in objects
    }
    order = sorted(
        (i for i, kind in enumerate(found.labels) if kind == label),
        key=lambda i: (-found.scores[i], i),
    )
    taken, marks = set(), []
    for d in order[:100]:
        box = found.boxes[d]
        choice = None
        for ignored in (False, True):
            if choice is None:
                choice = best_free(
                    box, truth, [i for i in objects if aside[i] == ignored], taken, threshold
                )
        if choice is not None:
            taken.add(choice)
            right = None if aside[choice] else True
        else:
            right = False if smallest <= area(box) <= largest else None
        marks.append((found.scores[d], right))
    return sum(not out for out in aside.values()), marks


def best_free(box, truth, candidates, taken, threshold):
    """The free object with the largest overlap, the last of equal ones; crowds are always free."""
    choice, most = None, threshold
    for i in candidates:
        if i in taken and not truth.crowd[i]:
            continue
        overlap = inside(box, truth.boxes[i]) if truth.crowd[i] else iou(box, truth.boxes[i])
        if overlap >= most:
            choice, most = i, overlap
    return choice


def inside(a, b):
    """The share of ``a`` that lies in ``b``."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return width * height / area(a) if area(a) > 0 else 0.0


def voc_class(pictures, label, points, threshold):
    """VOC's average precision of one class, or None where it has no objects."""
    seen, there = [], 0
    for p, (found, truth) in enumerate(pictures):
        there += sum(k == label and not c for k, c in zip(truth.labels, truth.crowd, strict=True))
        for d, kind in enumerate(found.labels):
            if kind == label:
                seen.append((-found.scores[d], p, d))
    if not there:
        return None
    used, marks = set(), []
    for _, p, d in sorted(seen):
        found, truth = pictures[p]
        best, most = None, -1.0
        for i, kind in enumerate(truth.labels):
            if kind == label and iou(found.boxes[d], truth.boxes[i]) > most:
                best, most = i, iou(found.boxes[d], truth.boxes[i])
        if best is None or most < threshold:
            marks.append(False)
        elif not truth.crowd[best]:
            marks.append((p, best) not in used)
            used.add((p, best))
    curve, hits = [], 0
    for n, right in enumerate(marks, start=1):
        hits += right
        curve.append((hits, hits / n))
    if points:
        steps = points - 1
        best = [
            max([p for h, p in curve if steps * h >= i * there], default=0.0) for i in range(points)
        ]
        return sum(best) / points
    return (
        sum(max([p for h, p in curve if h >= i], default=0.0) for i in range(1, there + 1)) / there
    )


def confusion(pictures, classes, score, threshold):
    table = [[0] * (classes + 1) for _ in range(classes + 1)]
    for found, truth in pictures:
        taken = set()
        for d in sorted(range(len(found.scores)), key=lambda i: (-found.scores[i], i)):
            if found.scores[d] < score:
                continue
            real = [i for i in range(len(truth.labels)) if not truth.crowd[i]]
            crowds = [i for i in range(len(truth.labels)) if truth.crowd[i]]
            choice = best_free(found.boxes[d], truth, real, taken, threshold)
            if choice is not None:
                taken.add(choice)
                table[truth.labels[choice]][found.labels[d]] += 1
            elif best_free(found.boxes[d], truth, crowds, taken, threshold) is None:
                table[classes][found.labels[d]] += 1
        for i, kind in enumerate(truth.labels):
            if i not in taken and not truth.crowd[i]:
                table[kind][classes] += 1
    return table


# --- anchors --------------------------------------------------------------------------------------


def matched(overlap, positive, negative):
    """Faster R-CNN's rule; ``overlap[anchor][object]``. −1 is background, −2 ignored."""
    objects = range(len(overlap[0]))
    out = []
    for row in overlap:
        best = max(objects, key=lambda j: (row[j], -j))
        out.append(best if row[best] >= positive else -1 if row[best] < negative else -2)
    for i, row in enumerate(overlap):
        claims = [j for j in objects if row[j] > 0 and row[j] == max(r[j] for r in overlap)]
        if claims:
            out[i] = max(claims, key=lambda j: (row[j], -j))
    return out


def assigned(cells, alike):
    """Each object's anchor: the most alike pair of all that is still possible, again and again."""
    anchors = {}
    while True:
        free = [
            (-value, i, a)
            for i, row in enumerate(alike)
            for a, value in enumerate(row)
            if i not in anchors
            and all(cells[i] != cells[j] or a != taken for j, taken in anchors.items())
        ]
        if not free:
            return [anchors.get(i, -1) for i in range(len(cells))]
        _, i, a = min(free)
        anchors[i] = a
