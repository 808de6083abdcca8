"""Drawn people, and a network without weights that tells them apart: mean colours, projected."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from boda.gallery.records import About, Entry

GRID = 4  # cells of a picture, whose mean colours are the network's features
DIMENSION = 32
MODEL = "ab" * 32


class Colours:
    """An ``Embedder``: the mean colours of a grid, less the middle gray, times a fixed random matrix."""

    def __init__(self, run: str = "runs/match-1", model: str = MODEL) -> None:
        self.run, self.model = run, model
        self.seen = 0
        generator = np.random.default_rng(7)
        self.projection = generator.normal(size=(GRID * GRID * 3, DIMENSION))

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        self.seen += len(pictures)
        small = [Image.fromarray(p).resize((GRID, GRID), Image.Resampling.BOX) for p in pictures]
        values = np.stack([np.asarray(picture, np.float64).ravel() for picture in small])
        return ((values - 120) @ self.projection).astype(np.float32)


def portrait(person: int, number: int, side: int = 48) -> np.ndarray:
    """A picture of a person: a pattern of colours that is theirs, and noise that is the picture's."""
    pattern = np.random.default_rng(person).integers(0, 256, (GRID, GRID, 3))
    noise = np.random.default_rng([person, number]).integers(-40, 41, (side, side, 3))
    large = pattern.repeat(side // GRID, 0).repeat(side // GRID, 1)
    return np.clip(large + noise, 0, 255).astype(np.uint8)


def save(folder: Path, name: str, person: int, numbers: Sequence[int]) -> list[Path]:
    """Pictures of one person under ``folder/name/``."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    files = [folder / name / f"{number}.png" for number in numbers]
    for file, number in zip(files, numbers, strict=True):
        Image.fromarray(portrait(person, number)).save(file)
    return files


def about(dimension: int = DIMENSION, rate: float = 0.01) -> About:
    return About("runs/match-1", MODEL, dimension, rate)


def entry(name: str, number: int, dimension: int = DIMENSION) -> Entry:
    """An entry with a random direction and bytes that are found nowhere else."""
    generator = np.random.default_rng(number)
    vector = generator.normal(size=dimension)
    vector /= np.linalg.norm(vector)
    picture = generator.bytes(2500)
    return Entry(name, vector.astype(np.float32), picture, f"{name}/{number}.jpg", digest(number))


def digest(number: int) -> str:
    """As long as a digest, and like no other text in a file."""
    return hashlib.sha256(str(number).encode()).hexdigest()
