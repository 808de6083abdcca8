"""Losses of adversaries, KID, neighbours and distances in plain loops, as their papers have them."""

import itertools
import math


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def discriminator(name, real, made, s=0.0):
    if name in ("non-saturating", "minimax"):
        sure = [(1 - s) * math.log(sigmoid(z)) + s * math.log(1 - sigmoid(z)) for z in real]
        return -mean(sure) - mean(math.log(1 - sigmoid(z)) for z in made)
    if name == "least-squares":
        return 0.5 * mean((z - (1 - s)) ** 2 for z in real) + 0.5 * mean(z**2 for z in made)
    if name == "hinge":
        return -mean(min(0, -1 + z) for z in real) - mean(min(0, -1 - z) for z in made)
    return mean(made) - mean(real)


def generator(name, made):
    each = {
        "non-saturating": lambda z: -math.log(sigmoid(z)),
        "minimax": lambda z: math.log(1 - sigmoid(z)),
        "least-squares": lambda z: 0.5 * (z - 1) ** 2,
        "hinge": lambda z: -z,
        "wasserstein": lambda z: -z,
    }[name]
    return mean(each(z) for z in made)


def kid(x, y):
    """Unbiased, of two lists of as many vectors."""

    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    m = len(x)
    own = sum(k(a, b) for z in (x, y) for a, b in itertools.permutations(z, 2))
    return own / (m * (m - 1)) - 2 * sum(k(a, b) for a in x for b in y) / m**2


def mean_distance(vectors):
    return mean(math.dist(a, b) for a, b in itertools.combinations(vectors, 2))


def neighbours(queries, bank, count):
    """(place, distance) of the nearest ones of each query, equal ones in their order."""
    out = []
    for query in queries:
        far = sorted((math.dist(query, other), place) for place, other in enumerate(bank))
        out.append([(place, distance) for distance, place in far[:count]])
    return out
