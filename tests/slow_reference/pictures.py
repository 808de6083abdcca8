"""SSIM as its paper has it, window after window, in plain loops."""

import math

SIDE, SIGMA, C1, C2 = 11, 1.5, 0.01**2, 0.03**2


def ssim(x, y):
    """Of two gray pictures as lists of rows, 0 to 1."""
    weights = [
        [math.exp(-((i - 5) ** 2 + (j - 5) ** 2) / (2 * SIGMA**2)) for j in range(SIDE)]
        for i in range(SIDE)
    ]
    total = sum(map(sum, weights))
    found = []
    for top in range(len(x) - SIDE + 1):
        for left in range(len(x[0]) - SIDE + 1):
            triples = [
                (weights[i][j] / total, x[top + i][left + j], y[top + i][left + j])
                for i in range(SIDE)
                for j in range(SIDE)
            ]
            mx = sum(w * a for w, a, _ in triples)
            my = sum(w * b for w, _, b in triples)
            vx = sum(w * (a - mx) ** 2 for w, a, _ in triples)
            vy = sum(w * (b - my) ** 2 for w, _, b in triples)
            both = sum(w * (a - mx) * (b - my) for w, a, b in triples)
            brightness = (2 * mx * my + C1) / (mx * mx + my * my + C1)
            found.append(brightness * (2 * both + C2) / (vx + vy + C2))
    return sum(found) / len(found)
