"""From which similarity somebody is known: the threshold at a chosen rate of false accepts.

A search compares an unknown person with everybody and takes the most similar. What is kept low is
therefore the share of *searches* in which an unknown person is taken for somebody (the
false-positive identification rate of ISO/IEC 19795-1), not that of single comparisons: at one false
accept in a thousand comparisons, a gallery of a thousand names would know most strangers.

The gallery itself has the examples: each picture, searched for among all pictures of *other* names,
is an unknown person. With P such probes the threshold is the (k − 1)-th largest of their similarities,
k = ⌊rate · (P + 1)⌋. Among P + 1 people of whom none is special, one is as likely as another to have
one of the k largest; who exceeds the (k − 1)-th of the others has, for their own nearest neighbour
rises with them, but nobody else. So an unknown person is taken for somebody with a probability of at
most the rate, whatever the distribution (probes of one name count as if they were independent).

Where P is too small (k < 2), the threshold is an estimate: the largest similarity that was seen, or
what the normal distribution of single comparisons gives for so many names, whichever is higher. The
rate is 1 % unless it is chosen otherwise: two hundred pictures are enough to measure that.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from boda.gallery.records import Calibration
from boda.gallery.store import Store

RATE = 0.01
PROBES = 2000  # at most: so many measure a rate of 0.1 %
AT_ONCE = 1 << 20  # comparisons whose results are held
DRIFT = 0.1  # share of entries that may come and go before the threshold is found again


@dataclass(frozen=True)
class Impostors:
    """How similar pictures of different names are.

    Attributes:
        nearest: (P,) float64, of each probe the largest similarity to a picture of another name.
        mean, deviation: of all these comparisons.
    """

    nearest: np.ndarray
    mean: float
    deviation: float


def calibrate(store: Store, rate: float) -> Calibration | None:
    """The threshold for a gallery as it is now; None where it has fewer than two names."""
    entries, last = store.extent()
    ids, names = store.labels()
    count = len(set(names))
    if count < 2:
        return None
    chosen = choose_probes(names, PROBES)
    probes = store.vectors(ids[chosen])
    found = impostors(probes, [names[i] for i in chosen], store.blocks())
    threshold, measured = threshold_at(rate, found, count, probes.shape[1])
    return Calibration(threshold, rate, measured, len(chosen), count, entries, last)


def is_stale(calibration: Calibration | None, rate: float, extent: tuple[int, int]) -> bool:
    """Whether a gallery has changed so much, a tenth, that the threshold is to be found again."""
    if calibration is None or calibration.rate != rate:
        return True
    came = extent[1] - calibration.last
    went = calibration.entries + came - extent[0]
    return came + went > DRIFT * calibration.entries


def choose_probes(names: list[str], count: int) -> np.ndarray:
    """At most ``count`` rows, rising: one of every name before a second of any, always the same ones.

    Names come in the order of their SHA-1: by their letters they would come family by family.
    """
    turns: Counter[str] = Counter()
    keys = []
    for row, name in enumerate(names):
        keys.append((turns[name], hashlib.sha1(name.encode()).digest(), row))
        turns[name] += 1
    return np.array(sorted(row for _, _, row in sorted(keys)[:count]), np.int64)


def impostors(
    probes: np.ndarray, names: list[str], blocks: Iterable[tuple[list[str], np.ndarray]]
) -> Impostors:
    """Compare probes with all pictures of other names.

    Args:
        probes: (P, D) float32 of length 1.
        names: of the probes.
        blocks: as ``Store.blocks`` gives them; they have two names or more.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    own = np.array([numbers[name] for name in names])
    nearest = np.full(len(probes), -1.0)
    count, total, squares = 0, 0.0, 0.0
    step = max(1, AT_ONCE // len(probes))
    for there, vectors in blocks:
        others = np.array([numbers.get(name, -1) for name in there])
        for start in range(0, len(there), step):
            some = slice(start, start + step)
            similar = (probes @ vectors[some].T).astype(np.float64)
            differ = own[:, None] != others[None, some]
            np.maximum(nearest, np.where(differ, similar, -1.0).max(1), out=nearest)
            similar *= differ
            count += int(differ.sum())
            total += float(similar.sum())
            squares += float(np.vdot(similar, similar))
    mean = total / count
    return Impostors(nearest, mean, math.sqrt(max(0.0, squares / count - mean * mean)))


def threshold_at(rate: float, found: Impostors, names: int, dimension: int) -> tuple[float, bool]:
    """The threshold, and whether it was measured; see the module's docstring.

    Args:
        rate: of false accepts, above 0 and below 1.
        found: the comparisons.
        names: of the gallery.
        dimension: numbers of a vector.
    """
    above = math.floor(rate * (len(found.nearest) + 1) + 1e-9)
    if above >= 2:
        return _rounded_up(float(np.sort(found.nearest)[1 - above])), True
    # Directions without any relation deviate by 1/√D; a handful of comparisons may show less.
    deviation = max(found.deviation, 1 / math.sqrt(dimension))
    likely = found.mean + deviation * NormalDist().inv_cdf((1 - rate) ** (1 / names))
    return _rounded_up(min(1.0, max(float(found.nearest.max()), likely))), False


def _rounded_up(similarity: float) -> float:
    """To six decimals: what float32 products differ by, from one machine to another, is below that."""
    return math.ceil(similarity * 1e6) / 1e6
