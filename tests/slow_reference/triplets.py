"""Triplets, their losses and figures of embeddings, in plain loops, as the papers have them."""

import itertools
import math


def squared(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def cosine(a, b):
    """The cosine of the angle; 0 with a vector of zeros."""
    lengths = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


def table(vectors, others, distance):
    return [[distance(a, b) for b in others] for a in vectors]


def everything(labels):
    """All valid (anchor, positive, negative)."""
    places = range(len(labels))
    return [
        (a, p, n)
        for a, p, n in itertools.product(places, places, places)
        if a != p and labels[a] == labels[p] != labels[n]
    ]


def hard(distances, labels):
    """The farthest positive and the nearest negative of each anchor."""
    found = []
    for a, row in enumerate(distances):
        positives = [i for i, k in enumerate(labels) if k == labels[a] and i != a]
        negatives = [i for i, k in enumerate(labels) if k != labels[a]]
        if positives and negatives:
            found.append(
                (a, max(positives, key=row.__getitem__), min(negatives, key=row.__getitem__))
            )
    return found


def semi_hard(distances, labels, margin):
    """For each anchor and positive the nearest negative in between, where there is one."""
    best = {}
    for a, p, n in everything(labels):
        row = distances[a]
        if row[p] < row[n] < row[p] + margin:
            now = best.get((a, p))
            best[a, p] = n if now is None or row[n] < row[now] else now
    return [(a, p, n) for (a, p), n in sorted(best.items())]


def density(d, dimensions):
    """Of the distance of two points on a sphere, but for a factor (Wu 2017, section 4)."""
    return d ** (dimensions - 2) * (1 - d**2 / 4) ** ((dimensions - 3) / 2)


def negative_weights(distances, labels, dimensions, nearest, farthest):
    rows = []
    for a, row in enumerate(distances):
        others = [labels[i] != labels[a] for i in range(len(labels))]
        weights = [
            1 / density(max(d, nearest), dimensions) if other and d < farthest else 0.0
            for d, other in zip(row, others, strict=True)
        ]
        weights = weights if any(weights) else [float(other) for other in others]
        rows.append([w / sum(weights) if any(weights) else 0.0 for w in weights])
    return rows


def triplet(distances, triplets, margin, reducer):
    """The loss and the active share."""
    excess = [distances[a][p] - distances[a][n] + (margin or 0.0) for a, p, n in triplets]
    active = [e for e in excess if e > 0]
    share = len(active) / len(excess) if excess else 0.0
    if margin is None:
        losses = [math.log1p(math.exp(e)) for e in excess]
        return reduce(losses, reducer), share
    return reduce([max(e, 0.0) for e in excess], reducer), share


def reduce(losses, reducer):
    counted = [x for x in losses if x > 0] if reducer == "active" else losses
    return sum(losses) / (1 if reducer == "sum" else max(len(counted), 1))


def contrastive(vectors, labels, margin, near, reducer):
    losses = []
    for i, j in itertools.combinations(range(len(labels)), 2):
        d = math.sqrt(squared(vectors[i], vectors[j]))
        miss = d - near if labels[i] == labels[j] else margin - d
        losses.append(max(miss, 0.0) ** 2 / 2)
    return reduce(losses, reducer), sum(x > 0 for x in losses) / len(losses)


def cross_entropy(logits, truth):
    return math.log(sum(math.exp(z - logits[truth]) for z in logits))


def prototypical(vectors, labels, shots):
    """The first pictures of each are its prototype; the mean over the others."""
    members = {}
    for v, k in zip(vectors, labels, strict=True):
        members.setdefault(k, []).append(v)
    kinds = list(members)
    means = [[sum(x) / len(first) for x in zip(*first, strict=True)]
             for first in (members[k][:shots] for k in kinds)]  # fmt: skip
    losses = [
        cross_entropy([-squared(v, mean) for mean in means], kinds.index(k))
        for k in kinds
        for v in members[k][shots:]
    ]
    return sum(losses) / len(losses) if losses else 0.0


def supcon(vectors, labels, temperature):
    """Equation 2 of Khosla et al. 2020, the mean over the anchors with a positive."""
    losses = []
    for i, anchor in enumerate(vectors):
        logits = {j: cosine(anchor, v) / temperature for j, v in enumerate(vectors) if j != i}
        positives = [j for j in logits if labels[j] == labels[i]]
        whole = sum(math.exp(z) for z in logits.values())
        if positives:
            each = [-math.log(math.exp(logits[j]) / whole) for j in positives]
            losses.append(sum(each) / len(each))
    return sum(losses) / len(losses) if losses else 0.0


def arcface(vectors, weights, labels, margin, scale):
    losses = []
    for v, k in zip(vectors, labels, strict=True):
        angles = [math.acos(max(-1.0, min(1.0, cosine(v, w)))) for w in weights]
        cosines = [math.cos(angle) for angle in angles]
        if angles[k] + margin <= math.pi:
            cosines[k] = math.cos(angles[k] + margin)
        else:
            cosines[k] -= margin * math.sin(margin)
        losses.append(cross_entropy([scale * c for c in cosines], k))
    return sum(losses) / len(losses)


def retrieval(distances, names, ks):
    """Recall at each k, R-precision and MAP@R; of equally near ones others come first."""
    rows = []
    for i, row in enumerate(distances):
        places = [j for j in range(len(names)) if j != i]
        places.sort(key=lambda j: (row[j], names[j] == names[i]))
        hits = [names[j] == names[i] for j in places]
        r = sum(hits)
        if not r:
            continue
        precisions = [sum(hits[: n + 1]) / (n + 1) for n in range(r) if hits[n]]
        recalls = [float(any(hits[:k])) for k in ks]
        rows.append([*recalls, sum(hits[:r]) / r, sum(precisions) / r])
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def few_shot(vectors, episode, distance):
    """The share of one episode's queries that is nearest to its own class's mean, and no other's."""
    support, queries = episode
    means = [[sum(x) / len(c) for x in zip(*(vectors[i] for i in c), strict=True)] for c in support]
    right = total = 0
    for kind, asked in enumerate(queries):
        for i in asked:
            far = [distance(vectors[i], mean) for mean in means]
            right += all(far[kind] < d for other, d in enumerate(far) if other != kind)
            total += 1
    return right / total


def rates(scores, same, threshold):
    """The shares accepted of pairs of two and of pairs of the same."""
    accepted = [s >= threshold for s in scores]
    wrong = [a for a, truth in zip(accepted, same, strict=True) if not truth]
    right = [a for a, truth in zip(accepted, same, strict=True) if truth]
    return sum(wrong) / len(wrong), sum(right) / len(right)


def auc(scores, same):
    """How often a pair of the same scores higher; a tie counts a half."""
    right = [s for s, truth in zip(scores, same, strict=True) if truth]
    wrong = [s for s, truth in zip(scores, same, strict=True) if not truth]
    wins = sum((r > w) + (r == w) / 2 for r in right for w in wrong)
    return wins / len(right) / len(wrong)


def tenfold(scores, same, folds):
    """Of each fold the accuracy at the threshold that is best, and highest, on the others."""
    out = []
    for fold in sorted(set(folds)):
        rest = [(s, t) for s, t, f in zip(scores, same, folds, strict=True) if f != fold]
        tested = [(s, t) for s, t, f in zip(scores, same, folds, strict=True) if f == fold]
        steps = sorted({s for s, _ in rest}, reverse=True)
        cuts = [steps[0] + 1e-9, *((a + b) / 2 for a, b in itertools.pairwise(steps)), steps[-1]]
        best = max(cuts, key=lambda cut: (sum((s >= cut) == t for s, t in rest), cut))
        out.append(sum((s >= best) == t for s, t in tested) / len(tested))
    return out
