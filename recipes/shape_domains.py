"""Ellipses become triangles and back, without pairs: are colour and angle, which they share, kept?

Command:  python recipes/shape_domains.py --out runs/shapes [--model discogan] [--minutes 20]
          [--count 3000] [--size 64] [--seed 0] [--settings …]
Result:   see docs/ledger.md. The rows are appended to OUT/results.jsonl.

discogan turns more ellipses with `--settings --set loss=least-squares`.

What DiscoGAN (arXiv 1703.05192) found between handbags and shoes, or cars and faces, where it can be
measured. `boda synth --kind domains` draws one long shape a picture. The shape of a made picture is
found where it differs from its border; its moments tell the angle of its long axis, its mean colour,
and whether it is an ellipse: of a filled one, the area over 4π times the root of its covariance's
determinant is 1, of a triangle √432 / 8π = 0.827, however long they are. First that is proved on the
true pictures. An angle counts as kept within 15°, a colour within 60 of 255 (the distance in RGB), and
a picture as translated where the ratio lies nearer to that of its aim. By chance it were 1 in 6 angles.
"""

from __future__ import annotations

import argparse
import math
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from timed import BODA, append, fit_and_evaluate

from boda import api
from boda.data import synthetic
from boda.data.image import PictureReader
from boda.data.readers import read

NEAR, LIKE, APART = 15.0, 60.0, 60.0  # degrees, levels of RGB, levels from the ground's colour
RATIOS = {"A": 1.0, "B": math.sqrt(432) / (8 * math.pi)}  # of ellipses, of triangles


@dataclass
class Shape:
    """What is seen of the one shape of a picture.

    Attributes:
        angle: of its long axis, degrees, 0 to 180.
        colour: (3,) its mean RGB.
        ratio: how far it is filled as an ellipse is, see the module.
    """

    angle: float
    colour: np.ndarray
    ratio: float


def shape_of(picture: np.ndarray) -> Shape | None:
    """The shape on a ground of one colour; None where there is none. (H, W, 3) uint8."""
    pixels = picture.astype(np.float64)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    differs = np.linalg.norm(pixels - np.median(edge, 0), axis=2)
    covered = differs > APART
    if covered.sum() < 20:
        return None
    y, x = np.nonzero(covered)
    spread = np.cov(np.stack([x, y]), bias=True) + np.eye(2) / 12  # pixels are squares
    values, axes = np.linalg.eigh(spread)
    angle = math.degrees(math.atan2(axes[1, 1], axes[0, 1])) % 180
    ratio = covered.sum() / (4 * math.pi * math.sqrt(values.prod()))
    return Shape(angle, pixels[covered].mean(0), ratio)


def turned(one: float, other: float) -> float:
    """Degrees between two axes."""
    return abs((one - other + 90) % 180 - 90)


def is_of(shape: Shape, domain: str) -> bool:
    """Whether the ratio lies nearer to that of the domain."""
    return min(RATIOS, key=lambda name: abs(RATIOS[name] - shape.ratio)) == domain


def proved(size: int, count: int = 200) -> dict[str, float]:
    """The measurement on true pictures, whose outlines are known."""
    told = []
    for name in RATIOS:
        for index in range(count):
            sample = synthetic.domain(1, index, size, name)
            assert sample.masks is not None
            found = shape_of(sample.image)
            y, x = np.nonzero(sample.masks[0])
            _, axes = np.linalg.eigh(np.cov(np.stack([x, y])))
            true = math.degrees(math.atan2(axes[1, 1], axes[0, 1])) % 180
            right = found is not None and is_of(found, name)
            told.append((right, found is not None and turned(found.angle, true) <= NEAR))
    shapes, angles = np.mean(told, 0)
    return {"shapes_told": float(shapes), "angles_told": float(angles)}


def kept(run: Path, data: Path, direction: str) -> dict[str, float]:
    """How much of colour and angle is kept in what is made of the test pictures."""
    start, aim = ("A", "B") if direction == "a2b" else ("B", "A")
    predictor = api.predictor(run, settings={"direction": direction})
    test = read(data, task="translate").splits["test"]
    pictures = [
        sample.read.entry.path
        for sample in test
        if sample.label == "AB".index(start) and isinstance(sample.read, PictureReader)
    ]
    rows = []
    for made in predictor.predict_all(pictures):
        assert made._picture is not None and made.image is not None
        was, now = shape_of(made._picture), shape_of(made.image)
        if was is None:
            continue
        if now is None:
            rows.append((False, False, False))
            continue
        near = turned(was.angle, now.angle) <= NEAR
        rows.append((near, np.linalg.norm(was.colour - now.colour) <= LIKE, is_of(now, aim)))
    names = ("angle_kept", "colour_kept", "translated")
    figures = dict(zip(names, map(float, np.mean(rows, 0)), strict=True))
    return {**figures, "all_three": float(np.all(rows, 1).mean()), "pictures": len(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="discogan")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    drawn = asked.out / "drawn"
    if not drawn.exists():
        numbers = ["--count", str(asked.count), "--size", str(asked.size), "--kind", "domains"]
        subprocess.run([*BODA, "synth", str(drawn), *numbers], check=True)
    print("true pictures:", proved(asked.size))
    how = ["--model", asked.model, "--minutes", str(asked.minutes), "--seed", str(asked.seed)]
    run = asked.out / f"{asked.model}-{asked.seed}"
    row = fit_and_evaluate("translate", drawn / "domains", [*how, *asked.settings], [], run)
    for direction in ("a2b", "b2a"):
        row[direction] = kept(run, drawn / "domains", direction)
        print(direction, row[direction])
    head = {"model": asked.model, "seed": asked.seed, "settings": " ".join(asked.settings)}
    append(asked.out, {**head, **row})


if __name__ == "__main__":
    main()
