"""Selective search: boxes in which an object may be, found by joining like regions step by step.

Uijlings, van de Sande, Gevers & Smeulders 2013, "Selective search for object recognition" (IJCV
104(2); no arXiv id). A picture is cut into small regions; the two neighbours that are most alike
are joined, again and again, until one region is left; the box around every region that there was
is a proposal. This is done in several colour spaces, from several first segmentations, with several
measures of likeness, and all that is found is mixed.

Deviations: pictures longer than 500 pixels are made smaller first (R-CNN's authors did so too,
arXiv 1311.2524); two or three times as many boxes come out as the paper counts, of which its order
puts the better ones first; bins of texture grow with the slope, which the paper leaves open.
"""

from __future__ import annotations

import heapq
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from boda.errors import UsageError, unknown
from boda.ops.color import grayscale, rgb_to_hsv, rgb_to_lab
from boda.ops.graph_segmentation import edges_of, regions_of, smooth

COLOUR_BINS, TEXTURE_BINS, DIRECTIONS = 25, 10, 8
SIGMA = 0.8  # of the blur before the first segmentation
WORKERS = 2  # threads; much of the work is Python's own, so two save about an eighth of the time


@dataclass(frozen=True)
class Mode:
    """Which hierarchies are built: one for each colour space, scale and measure.

    Attributes:
        spaces: names of colour spaces.
        scales: k of the first segmentation, which is its smallest region as well.
        measures: of likeness; each letter adds one: C colour, T texture, S size, F fill.
    """

    spaces: tuple[str, ...]
    scales: tuple[int, ...]
    measures: tuple[str, ...]


MODES = {
    "fast": Mode(("hsv", "lab"), (50, 100), ("CTSF", "TSF")),
    "quality": Mode(
        ("hsv", "lab", "rgi", "hue", "intensity"), (50, 100, 150, 300), ("CTSF", "TSF", "F", "S")
    ),
}


@dataclass
class Regions:
    """Regions, and what likeness is measured by; room for all that will come of joining them.

    Attributes:
        sizes: (M,) float64, pixels.
        boxes: (M, 4) float64 xyxy.
        colour: (M, 25 C) float32, a histogram that sums to 1.
        texture: (M, 80 C) float32, the same.
        near: the numbers of each region's neighbours.
        pixels: of the whole picture.
    """

    sizes: np.ndarray
    boxes: np.ndarray
    colour: np.ndarray
    texture: np.ndarray
    near: list[set[int]]
    pixels: int


def selective_search(
    image: np.ndarray, mode: str = "fast", seed: int = 0, longer: int | None = 500
) -> np.ndarray:
    """Propose boxes in which objects of any class may be (Uijlings et al. 2013).

    Args:
        image: (H, W, 3) uint8 RGB.
        mode: "fast", 8 hierarchies, about 5,000 boxes of a photograph; or "quality", 80 and 25,000.
        seed: of the random numbers that order the boxes; the same boxes come with every seed.
        longer: pixels; a picture whose longer side is more is made smaller for the search. None
            searches it as it is.

    Returns:
        (N, 4) float32 xyxy, pixels of ``image``, 0 <= x1 < x2 <= W, no two alike. Where fewer are
        wanted, the first are taken: large regions tend to stand early, those of all hierarchies
        mixed.

    Raises:
        UsageError: no such picture or mode.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise UsageError(f"{image.dtype} of shape {image.shape}. Give a picture, (H, W, 3) uint8.")
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    height, width = image.shape[:2]
    if longer is not None and max(height, width) > longer:
        factor = longer / max(height, width)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    chosen = MODES[mode]
    with ThreadPoolExecutor(WORKERS) as pool:
        done = pool.map(lambda space: _in_space(image, space, chosen), chosen.spaces)
        hierarchies = [boxes for several in done for boxes in several]
    boxes = _ordered(hierarchies, np.random.default_rng(seed))
    scale = np.array([width / image.shape[1], height / image.shape[0]] * 2)
    return np.minimum(boxes * scale, [width, height] * 2).astype(np.float32)


def hierarchy(regions: Regions, count: int, measure: str) -> np.ndarray:
    """Join the two neighbours that are most alike until one region is left.

    Args:
        regions: the first ``count`` of them are there; the others are filled in here.
        count: R, of the regions that there are.
        measure: letters of C, T, S and F; likeness is the sum of what they stand for.

    Returns:
        (2R − 1, 4) xyxy, the box of each region in the order in which they came to be.
    """
    near = [set(one) for one in regions.near] + [set() for _ in range(count - 1)]
    one = np.array([a for a in range(count) for b in near[a] if a < b], np.int64)
    other = np.array([b for a in range(count) for b in near[a] if a < b], np.int64)
    alike = likeness(regions, one, other, measure)
    heap = list(zip((-alike).tolist(), one.tolist(), other.tolist(), strict=True))
    heapq.heapify(heap)
    alive, new = [True] * (2 * count - 1), count
    while heap:
        _, a, b = heapq.heappop(heap)
        if not (alive[a] and alive[b]):
            continue
        alive[a] = alive[b] = False
        _join(regions, a, b, new, measure)
        around = near[a] | near[b]
        around -= {a, b}
        near[new] = around
        for neighbour in around:
            near[neighbour] -= {a, b}
            near[neighbour].add(new)
        others = list(around)
        alike = likeness(regions, new, np.array(others, np.int64), measure)
        for value, neighbour in zip(alike.tolist(), others, strict=True):
            heapq.heappush(heap, (-value, neighbour, new))
        new += 1
    return regions.boxes[:new]


def likeness(
    regions: Regions, one: int | np.ndarray, other: np.ndarray, measure: str
) -> np.ndarray:
    """How alike regions are, (P,); each letter of ``measure`` gives 0 to 1.

    C and T: what two histograms share. S: 1 less the share of the picture that both fill, so that
    small regions are joined first. F: 1 less the share that the box around both has besides them.
    """
    total = np.zeros(len(other))
    for letter, histograms in (("C", regions.colour), ("T", regions.texture)):
        if letter in measure:
            total += np.minimum(histograms[one], histograms[other]).sum(1)
    sizes = regions.sizes[one] + regions.sizes[other]
    if "S" in measure:
        total += 1 - sizes / regions.pixels
    if "F" in measure:
        a, b = regions.boxes[one], regions.boxes[other]
        sides = np.maximum(a[..., 2:], b[:, 2:]) - np.minimum(a[..., :2], b[:, :2])
        total += 1 - (sides[:, 0] * sides[:, 1] - sizes) / regions.pixels
    return total


def _join(regions: Regions, a: int, b: int, new: int, measure: str) -> None:
    sizes, boxes = regions.sizes, regions.boxes
    sizes[new] = sizes[a] + sizes[b]
    np.minimum(boxes[a, :2], boxes[b, :2], out=boxes[new, :2])
    np.maximum(boxes[a, 2:], boxes[b, 2:], out=boxes[new, 2:])
    share = sizes[a] / sizes[new]
    for letter, histograms in (("C", regions.colour), ("T", regions.texture)):
        if letter in measure:
            histograms[new] = share * histograms[a] + (1 - share) * histograms[b]


def _in_space(image: np.ndarray, space: str, mode: Mode) -> list[np.ndarray]:
    """The hierarchies of one colour space."""
    planes = _colours(image, space)
    edges = edges_of(smooth(planes, SIGMA))
    colour = np.minimum(planes * (COLOUR_BINS / 256), COLOUR_BINS - 1).astype(np.int64)
    binned = [(colour[..., c], COLOUR_BINS) for c in range(planes.shape[2])], _textures(planes)
    found = []
    for k in mode.scales:
        labels = regions_of(edges, k, k, planes[..., 0].size).reshape(planes.shape[:2])
        regions = _described(labels, *binned)
        found += [hierarchy(regions, len(regions.near), m).copy() for m in mode.measures]
    return found


def _colours(image: np.ndarray, space: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB in another colour space, (H, W, C) float32, every channel 0 to 255."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    if space == "lab":
        planes = (rgb_to_lab(pixels) + torch.tensor([0, 128, 128])[:, None, None]).clamp(0, 255)
        planes[0] *= 2.55
    elif space == "rgi":
        floating = pixels.float()
        total = floating.sum(0).clamp(min=1)
        planes = torch.stack([*(255 * floating[:2] / total), total / 3])
    elif space == "intensity":
        planes = grayscale(pixels).float()
    else:
        planes = 255 * rgb_to_hsv(pixels)[: 1 if space == "hue" else 3]
    return planes.permute(1, 2, 0).contiguous().numpy()


def _textures(planes: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Bins of the derivative of a Gaussian (σ = 1) in eight directions, for each channel.

    A slope and its opposite are two directions; what falls is in the first bin. Most slopes of a
    picture are slight, so the bins are narrow there: they grow with the slope's square root, up to
    the steepest of the channel.
    """
    found = []
    angles = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
    for c in range(planes.shape[2]):
        down, right = (ndimage.gaussian_filter(planes[..., c], 1.0, o) for o in ((1, 0), (0, 1)))
        steepest = max(float(np.hypot(down, right).max()), 1e-6)
        for angle in angles:
            slope = np.float32(np.cos(angle)) * right + np.float32(np.sin(angle)) * down
            bins = TEXTURE_BINS * np.sqrt(np.maximum(slope, 0) / steepest)
            found.append((np.minimum(bins, TEXTURE_BINS - 1).astype(np.int64), TEXTURE_BINS))
    return found


def _described(
    labels: np.ndarray,
    colour: list[tuple[np.ndarray, int]],
    texture: list[tuple[np.ndarray, int]],
) -> Regions:
    """The regions of a segmentation, (H, W), with room for those that will be made of them."""
    count = int(labels.max()) + 1
    room = 2 * count - 1
    sizes = np.zeros(room)
    sizes[:count] = np.bincount(labels.reshape(-1))
    boxes = np.zeros((room, 4))
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels + 1)):
        boxes[number] = columns.start, rows.start, columns.stop, rows.stop
    colours, textures = (_histograms(labels, count, several) for several in (colour, texture))
    return Regions(sizes, boxes, colours, textures, _neighbours(labels, count), labels.size)


def _histograms(labels: np.ndarray, count: int, planes: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """(2 count − 1, all bins) float32; the first ``count`` rows are filled, and sum to 1."""
    parts = [
        np.bincount((labels * bins + values).reshape(-1), minlength=count * bins)
        for values, bins in planes
    ]
    whole = np.concatenate([part.reshape(count, -1) for part in parts], 1)
    rows = np.zeros((2 * count - 1, whole.shape[1]), np.float32)
    rows[:count] = whole / whole.sum(1, keepdims=True)
    return rows


def _neighbours(labels: np.ndarray, count: int) -> list[set[int]]:
    """Of each region those that touch it, at a corner at least."""
    pairs = []
    for one, other in (
        (labels[:, :-1], labels[:, 1:]),
        (labels[:-1], labels[1:]),
        (labels[:-1, :-1], labels[1:, 1:]),
        (labels[:-1, 1:], labels[1:, :-1]),
    ):
        rim = one != other
        pairs.append(one[rim] * count + other[rim])
    near: list[set[int]] = [set() for _ in range(count)]
    for pair in np.unique(np.concatenate(pairs)).tolist():
        a, b = divmod(pair, count)
        near[a].add(b)
        near[b].add(a)
    return near


def _ordered(hierarchies: list[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """All boxes, each once, (N, 4); the paper's order, in which large regions tend to be early.

    The region that was made last has rank 1. A box's place is by rank times a random number.
    """
    every = np.concatenate([boxes[::-1] for boxes in hierarchies])
    ranks = np.concatenate([np.arange(1, len(boxes) + 1) for boxes in hierarchies])
    every = every[np.argsort(ranks * generator.random(len(ranks)), kind="stable")]
    first = np.unique(every, axis=0, return_index=True)[1]
    return every[np.sort(first)]
