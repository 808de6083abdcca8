"""Graph segmentation edge after edge, and selective search with everything counted anew."""

import math

STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def weighed(image, fine):
    """Edges (level, one, other) of an (H, W, C) picture as lists, each pair of neighbours once."""
    height, width = len(image), len(image[0])
    edges = []
    for dy, dx in STEPS:
        for y in range(height - dy):
            for x in range(width):
                if 0 <= x + dx < width:
                    distance = math.dist(image[y][x], image[y + dy][x + dx])
                    level = round(fine * math.sqrt(distance))
                    edges.append((level, y * width + x, (y + dy) * width + x + dx))
    return sorted(edges, key=lambda edge: edge[0])


def segmented(edges, pixels, weight, k, smallest):
    """The set of regions, frozensets of pixels, that the paper's algorithm ends with.

    ``edges`` are (level, one, other), the lightest first; ``weight(level)``.
    """
    region = {pixel: Region(pixel) for pixel in range(pixels)}

    def join(a, b, heaviest):
        a.pixels |= b.pixels
        a.inside = heaviest
        for pixel in b.pixels:
            region[pixel] = a

    for level, one, other in edges:
        a, b, w = region[one], region[other], weight(level)
        if a is not b and all(w <= c.inside + k / len(c.pixels) for c in (a, b)):
            join(a, b, w)
    for _, one, other in edges:
        a, b = region[one], region[other]
        if a is not b and min(len(a.pixels), len(b.pixels)) < smallest:
            join(a, b, 0)
    return {frozenset(c.pixels) for c in region.values()}


class Region:
    def __init__(self, pixel):
        self.pixels = {pixel}
        self.inside = 0.0  # Int(C), the heaviest edge that it has needed


def joined(labels, bins, measure):
    """Boxes of the regions in the order in which they come to be; histograms counted from pixels.

    ``labels`` is (H, W) as lists; ``bins`` gives "C" and "T" a list of (H, W) lists of bins each.
    """
    height, width = len(labels), len(labels[0])
    pixels = [(y, x) for y in range(height) for x in range(width)]
    count = max(map(max, labels)) + 1
    regions = {n: {(y, x) for y, x in pixels if labels[y][x] == n} for n in range(count)}
    boxes = [box(regions[n]) for n in range(count)]
    while len(regions) > 1:
        best = None
        for a, one in regions.items():
            for b, other in regions.items():
                if a < b and touching(one, other):
                    value = alike(one, other, bins, measure, height * width)
                    best = max(best or (value, -a, -b), (value, -a, -b))
        _, a, b = best
        regions[len(boxes)] = regions.pop(-a) | regions.pop(-b)
        boxes.append(box(regions[len(boxes)]))
    return boxes


def touching(a, b):
    return any((y + i, x + j) in b for y, x in a for i in (-1, 0, 1) for j in (-1, 0, 1))


def box(region):
    """Of a set of (y, x), xyxy."""
    rows, columns = [y for y, _ in region], [x for _, x in region]
    return [min(columns), min(rows), max(columns) + 1, max(rows) + 1]


def alike(a, b, bins, measure, whole):
    total = 0.0
    for letter in "CT":
        if letter in measure:
            one, other = (histogram(region, bins[letter]) for region in (a, b))
            total += sum(min(share, other.get(key, 0.0)) for key, share in one.items())
    if "S" in measure:
        total += 1 - (len(a) + len(b)) / whole
    if "F" in measure:
        x1, y1, x2, y2 = box(a | b)
        total += 1 - ((x2 - x1) * (y2 - y1) - len(a) - len(b)) / whole
    return total


def histogram(region, planes):
    counts = {}
    for number, plane in enumerate(planes):
        for y, x in region:
            key = number, plane[y][x]
            counts[key] = counts.get(key, 0) + 1
    return {key: value / (len(region) * len(planes)) for key, value in counts.items()}
