"""Losses, weights and contours of maps of classes, pixel after pixel, as their papers have them."""

import itertools
import math

IGNORED = 255
AROUND = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]


def pixels(logits, target):
    """(class, probabilities) of every pixel whose class is known; nested lists (N, K, H, W)."""
    found = []
    for scores, classes in zip(logits, target, strict=True):
        for y, row in enumerate(classes):
            for x, kind in enumerate(row):
                if kind == IGNORED:
                    continue
                e = [math.exp(plane[y][x]) for plane in scores]
                found.append((kind, [value / sum(e) for value in e]))
    return found


def focal(logits, target, gamma, weights):
    """−(1 − p)^gamma log p, the mean over the weights; gamma 0 is cross entropy."""
    total = whole = 0.0
    for kind, p in pixels(logits, target):
        total += weights[kind] * -((1 - p[kind]) ** gamma) * math.log(p[kind])
        whole += weights[kind]
    return total / whole


def dice(logits, target):
    """1 − the mean over the classes that are there of 2 Σ p t / (Σ p + Σ t)."""
    each = pixels(logits, target)
    found = []
    for c in {kind for kind, _ in each}:
        both = sum(p[c] for kind, p in each if kind == c)
        said, true = sum(p[c] for _, p in each), sum(kind == c for kind, _ in each)
        found.append(2 * both / (said + true))
    return 1 - sum(found) / len(found)


def pieces(classes, background):
    """The objects as lists of (y, x): pixels of one class that touch, by an edge or a corner."""
    height, width = len(classes), len(classes[0])
    left = {
        (y, x)
        for y, x in itertools.product(range(height), range(width))
        if classes[y][x] not in (background, IGNORED)
    }
    found = []
    while left:
        piece = [left.pop()]
        for y, x in piece:  # grows while it is walked through
            for dy, dx in AROUND:
                place = (y + dy, x + dx)
                if place in left and classes[place[0]][place[1]] == classes[y][x]:
                    left.remove(place)
                    piece.append(place)
        found.append(piece)
    return found


def boundary_weights(classes, w0, sigma, background):
    """Equation 2 of the U-Net paper, from the distances to all pixels of all objects."""
    objects = pieces(classes, background)
    out = [[0.0] * len(row) for row in classes]
    for y, row in enumerate(classes):
        for x, kind in enumerate(row):
            distances = sorted(min(math.dist((y, x), place) for place in o) for o in objects)
            if len(distances) > 1 and kind != IGNORED:
                d = distances[0] + distances[1]
                out[y][x] = w0 * math.exp(-(d**2) / (2 * sigma**2))
    return out


def contour(classes, kind):
    """The (y, x) of a class that have a neighbour, edge to edge, of another known class."""
    height, width = len(classes), len(classes[0])
    found = []
    for y, x in itertools.product(range(height), range(width)):
        beside = [
            classes[y + dy][x + dx]
            for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))
            if 0 <= y + dy < height and 0 <= x + dx < width
        ]
        if classes[y][x] == kind and any(other not in (kind, IGNORED) for other in beside):
            found.append((y, x))
    return found


def near(places, others, distance):
    """How many of the places have one of the others within the distance."""
    return sum(any(math.dist(p, o) <= distance for o in others) for p in places)


def boundary_f1(pairs, classes, tolerance):
    """For each class the mean over the pictures (said, truth) that have it; None where none tells."""
    found = []
    for kind in range(classes):
        values = []
        for said, truth in pairs:
            if not any(kind in row for row in truth):
                continue
            masked = [
                [IGNORED if t == IGNORED else s for s, t in zip(ours, theirs, strict=True)]
                for ours, theirs in zip(said, truth, strict=True)
            ]
            distance = tolerance * math.hypot(len(truth), len(truth[0]))
            ours, theirs = contour(masked, kind), contour(truth, kind)
            if not ours and not theirs:
                continue
            precision = near(ours, theirs, distance) / len(ours) if ours else 0.0
            recall = near(theirs, ours, distance) / len(theirs) if theirs else 0.0
            both = precision + recall
            values.append(2 * precision * recall / both if both else 0.0)
        found.append(sum(values) / len(values) if values else None)
    return found
