"""Synthetic slices of heads with tumours on real textures: drawn, of no patient, in a hospital's layout.

Command:  python recipes/slices.py TEXTURES OUT [--patients 80] [--slices 8] [--size 160] [--seed 0]
          boda check OUT --task segment

TEXTURES is a folder of any pictures, at least one a patient; ``superres/T91`` was used, 91 pieces of
photographs. Nothing here was measured on a person, and a figure on these slices says nothing about
patients. What carries over is the way: folders of slices and masks, parted by patient.

A patient is an ellipsoid cut from bottom to top. Its tissue is a photograph in gray, brought to the
same local contrast everywhere, in patches of edges, spots and smooth parts. Around it lie dark bone
and bright skin, within it two dark ventricles. None to three tumours are irregular balls with a
brighter rim, a darker core and soft edges; some hardly differ from the tissue. A smooth field
brightens one side, as a coil does, and the noise is that of a magnitude (Gudbjartsson and Patz 1995,
The Rician distribution of noisy MRI data).

OUT gets ``train``, ``val`` and ``test`` with ``images/patient01/slice_01.png`` and, of the same name
in ``masks``, 255 where a tumour is and 0 elsewhere, and ``classes.txt``. All slices of a patient lie
in one split, and no two patients share a file of TEXTURES; T91 holds a few pieces of one photograph.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from boda.data.image import decode, is_picture_name
from boda.errors import BodaError, DataError, UsageError

CLASSES = ("background", "tumour")
PARTS = {"val": 0.1, "test": 0.2}  # of the patients; the others are learned from
TUMOURS = (0.2, 0.4, 0.25, 0.15)  # how often a patient has none, one, two, three
WAVES = (2, 3, 4, 5)  # of a tumour's outline, in one turn
TISSUE, CONTRAST = 0.45, 0.12
AIR, SKIN, BONE, WATER = 0.02, 0.75, 0.08, 0.18
RIM, CORE = 0.3, -0.22  # brighter and darker than the tissue
HIGHEST = 0.7  # slice, of the head's 1
NEIGHBOURS = 9  # pixels, the deviation of the surroundings that set a texture's contrast


@dataclass(frozen=True)
class Tumour:
    """An irregular ball; lengths are in halves of the slice's side, from its middle.

    Attributes:
        centre: x, y and z, the height of the slice.
        radius: of the ball, before it is dented.
        dents: (4, 2) of each of ``WAVES`` the cosine's and the sine's part.
        contrast: 0..1, how much it differs from the tissue.
    """

    centre: tuple[float, float, float]
    radius: float
    dents: np.ndarray
    contrast: float

    def depth(self, x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        """How far within the outline each place is, in radii: 1 in the middle, below 0 outside."""
        x, y, z = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        angle = np.arctan2(y, x)[..., None] * WAVES
        bulge = np.cos(angle) @ self.dents[:, 0] + np.sin(angle) @ self.dents[:, 1]
        return 1 - np.hypot(np.hypot(x, y) / (1 + bulge), z) / self.radius


@dataclass(frozen=True)
class Patient:
    """What all slices of one head share.

    Attributes:
        texture: (S, S) float64, mean 0 and deviation 1.
        axes: half the head's width and height, in halves of the slice's side.
        tilt: radians.
        field: how much brighter to the right, below and in the middle.
        noise: the deviation, of a full range of 1.
        tumours: none to three.
    """

    texture: np.ndarray
    axes: tuple[float, float]
    tilt: float
    field: np.ndarray
    noise: float
    tumours: list[Tumour]


def texture(gray: np.ndarray, size: int, chance: np.random.Generator) -> np.ndarray:
    """A photograph's texture, alike in contrast everywhere.

    Args:
        gray: (H, W), any range; a smaller one than is needed is continued by its mirror image.
        size: of the result.
        chance: where it is cut out.

    Returns:
        (size, size) float64, mean 0 and deviation 1.
    """
    short = [(0, max(0, size - side)) for side in gray.shape]
    gray = np.pad(gray.astype(np.float64), short, mode="symmetric")
    top, left = (int(chance.integers(side - size + 1)) for side in gray.shape)
    gray = gray[top : top + size, left : left + size]
    gray = gray - ndimage.gaussian_filter(gray, NEIGHBOURS)
    spread = np.sqrt(ndimage.gaussian_filter(gray**2, NEIGHBOURS))
    flat = np.clip(gray / (spread + 0.1 * spread.mean() + 1e-6), -3, 3)
    return (flat - flat.mean()) / max(flat.std(), 1e-6)


def patient(gray: np.ndarray, size: int, chance: np.random.Generator) -> Patient:
    """A head with the photograph's texture."""
    axes = chance.uniform(0.68, 0.8), chance.uniform(0.82, 0.94)
    tumours = [tumour(axes, chance) for _ in range(chance.choice(len(TUMOURS), p=TUMOURS))]
    return Patient(
        texture(gray, size, chance),
        axes,
        tilt=chance.uniform(-0.2, 0.2),
        field=chance.uniform(-0.25, 0.25, 3),
        noise=chance.uniform(0.015, 0.045),
        tumours=tumours,
    )


def tumour(axes: tuple[float, float], chance: np.random.Generator) -> Tumour:
    """Somewhere in the brain."""
    radius, angle = chance.uniform(0.12, 0.32), chance.uniform(0, 2 * np.pi)
    far = np.sqrt(chance.uniform(0, 1)) * (0.85 - radius)
    x, y = far * axes[0] * np.cos(angle), far * axes[1] * np.sin(angle)
    dents = chance.normal(0, 0.15, (len(WAVES), 2)) / np.array(WAVES)[:, None]
    return Tumour((x, y, chance.uniform(-0.5, 0.5)), radius, dents, chance.uniform(0.35, 1))


def cut(head: Patient, z: float, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A slice at height z, from −1 at the bottom to 1.

    Returns:
        (size, size) uint8, the slice; (size, size) bool, where a tumour is.
    """
    size = len(head.texture)
    pixel = 2 / size
    y, x = (np.mgrid[:size, :size] + 0.5) * pixel - 1
    u = x * np.cos(head.tilt) + y * np.sin(head.tilt)
    v = y * np.cos(head.tilt) - x * np.sin(head.tilt)
    wide, high = (axis * np.sqrt(1 - (0.75 * z) ** 2) for axis in head.axes)
    within = 1 - np.hypot(u / wide, v / high)  # 0 at the skin, 1 in the middle

    moved = np.roll(head.texture, round(6 * z), 0)  # the next slice is a little of another place
    tissue = TISSUE + CONTRAST * moved
    value, there = tissue.copy(), np.zeros((size, size), bool)
    for side in (-1, 1):
        ventricle = 1 - np.hypot((u - 0.13 * side * wide) / 0.09, (v + 0.05) / 0.26) - abs(z)
        value = _over(value, WATER, ventricle * 0.09, pixel)
    for each in head.tumours:
        depth = each.depth(u, v, z)
        inner = np.clip((depth - 0.25) / 0.2, 0, 1)  # from the rim to the core
        looks = TISSUE + 0.6 * (tissue - TISSUE) + each.contrast * (RIM + (CORE - RIM) * inner)
        value = _over(value, looks, depth * each.radius, pixel)
        there |= depth >= 0
    shown = _over(AIR, SKIN, within * wide, pixel)
    shown = _over(shown, BONE, (within - 0.06) * wide, pixel)
    brain = (within - 0.14) * wide
    shown = _over(shown, value, brain, pixel)
    right, below, middle = head.field
    shown = shown * (1 + right * x + below * y + middle * (0.5 - x**2 - y**2))
    first, second = chance.normal(0, head.noise, (2, size, size))
    seen = np.hypot(shown + first, second)
    return np.clip(np.round(255 * seen), 0, 255).astype(np.uint8), there & (brain >= 0)


def _over(
    below: np.ndarray | float, above: np.ndarray | float, depth: np.ndarray, pixel: float
) -> np.ndarray:
    """One thing on another; its edge is three pixels wide, half and half where its depth is 0."""
    share = np.clip(depth / (3 * pixel) + 0.5, 0, 1)
    return below + share * (above - below)


def draw(textures: Path, out: Path, patients: int, slices: int, size: int, seed: int) -> dict:
    """Write the folders.

    Args:
        textures: a folder of pictures, searched with all that is below it.
        out: a folder that is empty or not there.
        patients: 10 or more, so that each split has one.
        slices: of each.
        size: of a slice's side, pixels.
        seed: the same one draws the same files.

    Returns:
        ``{split: {"patients", "slices", "with_tumour"}}``.

    Raises:
        DataError: there are fewer pictures than patients, or one cannot be decoded.
        UsageError: ``out`` holds something already, or a number is too small.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; name one that is, or a new one.")
    if patients < 10 or slices < 1 or size < 64:
        raise UsageError("10 patients or more, 1 slice or more, slices of 64 pixels or more.")
    files = sorted(file for file in textures.rglob("*") if is_picture_name(file.name))
    if len(files) < patients:
        raise DataError(
            f"{len(files)} pictures, and {patients} patients need one each",
            file=textures,
            fix="Name a folder with more pictures, or ask for fewer --patients.",
        )
    chance = np.random.default_rng(seed)
    chosen = [files[i] for i in chance.permutation(len(files))[:patients]]
    counts: dict[str, dict[str, int]] = {}
    for number, (file, split) in enumerate(zip(chosen, _splits(patients), strict=True), 1):
        gray = np.asarray(Image.fromarray(decode(file.read_bytes(), str(file))).convert("L"))
        own = np.random.default_rng((seed, number))  # the others do not change with --slices
        head = patient(gray, size, own)
        told = counts.setdefault(split, {"patients": 0, "slices": 0, "with_tumour": 0})
        told["patients"] += 1
        for kind in ("images", "masks"):
            (out / split / kind / f"patient{number:02}").mkdir(parents=True)
        for index, z in enumerate(HIGHEST * ((2 * np.arange(slices) + 1) / slices - 1), 1):
            picture, there = cut(head, z, own)
            name = f"patient{number:02}/slice_{index:02}.png"
            Image.fromarray(picture).save(out / split / "images" / name)
            Image.fromarray(there.astype(np.uint8) * 255).save(out / split / "masks" / name)
            told["slices"] += 1
            told["with_tumour"] += bool(there.any())
    (out / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    return counts


def _splits(patients: int) -> list[str]:
    """The split of each patient."""
    held = {name: round(part * patients) for name, part in PARTS.items()}
    train = ["train"] * (patients - sum(held.values()))
    return train + [name for name, count in held.items() for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("textures", type=Path, help="a folder of pictures, one a patient or more")
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--patients", type=int, default=80)
    parser.add_argument("--slices", type=int, default=8, help="of a patient")
    parser.add_argument("--size", type=int, default=160, help="of a slice's side, pixels")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    try:
        told = draw(asked.textures, asked.out, asked.patients, asked.slices, asked.size, asked.seed)
    except BodaError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_status)
    print(f"{asked.out}: synthetic slices, drawn, of no patient")
    for name, count in told.items():
        print(f"  {name:<5} " + ", ".join(f"{n} {what}" for what, n in count.items()))


if __name__ == "__main__":
    main()
