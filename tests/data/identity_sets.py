"""Small sets of identities in every layout, drawn: no two pictures are equal, unless one asks."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from boda.errors import Problem
from boda.types import Dataset

SIDE = 8
PEOPLE = {"Kim_Hana": 4, "이두리": 3, "Park": 3, "Choi": 2, "Jo": 1}
LFW = """2\t1
Kim_Hana\t1\t4
이두리\t2\tPark\t3
Park\t1\t2
Choi\t1\tKim_Hana\t2
"""
TABLE = """file1,file2,same,fold
Kim_Hana/Kim_Hana_0001.png,Kim_Hana/Kim_Hana_0004.png,1,1
이두리/이두리_0002.png,Park/Park_0003.png,0,1
Park/Park_0001.png,Park/Park_0002.png,yes,2
Choi/Choi_0001.png,Kim_Hana/Kim_Hana_0002.png,different,2
"""


def picture(seed: int, kind: str = "PNG", side: int = SIDE) -> bytes:
    """Noise, another for each seed."""
    out = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 255, (side, side), np.uint8)
    Image.fromarray(noise).convert("RGB" if kind == "JPEG" else "L").save(out, kind)
    return out.getvalue()


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def people(root: Path, counts: dict[str, int] | None = None, kind: str = "png") -> Path:
    """``NAME/NAME_0001.png`` and so on."""
    for person, (name, count) in enumerate((counts or PEOPLE).items()):
        for number in range(1, count + 1):
            file = root / name / f"{name}_{number:04}.{kind}"
            write(file, picture(100 * person + number, "JPEG" if kind == "jpg" else "PNG"))
    return root


def drawings(alphabets: dict[str, int], each: int = 3, seed: int = 0) -> dict[str, bytes]:
    """``Greek/character01/0001_01.png`` → picture; the same for the same names and seed."""
    return {
        f"{alphabet}/character{n:02}/{n:04}_{k:02}.png": picture(
            hash_of(alphabet) + 1000 * n + 10 * k + seed
        )
        for alphabet, count in alphabets.items()
        for n in range(1, count + 1)
        for k in range(1, each + 1)
    }


def hash_of(text: str) -> int:
    return sum(ord(letter) * 100_003**i for i, letter in enumerate(text)) % 2**40


def omniglot(path: Path, alphabets: dict[str, int], each: int = 3, seed: int = 0) -> Path:
    """An archive as published: ``images_background_small1.zip`` with a folder of its name."""
    files = drawings(alphabets, each, seed)
    return zipped(path, {f"{path.stem}/{name}": data for name, data in files.items()})


def runs(ways: int = 3, count: int = 2) -> tuple[dict[str, bytes], dict[str, list[int]]]:
    """The files of drawn runs, and for each the class of every item, both counted from 1."""
    generator = np.random.default_rng(5)
    files: dict[str, bytes] = {}
    truth: dict[str, list[int]] = {}
    for run in range(1, count + 1):
        name = f"run{run:02}"
        truth[name] = (generator.permutation(ways) + 1).tolist()
        lines = []
        for item, known in enumerate(truth[name], start=1):
            files[f"{name}/test/item{item:02}.png"] = picture(1000 * run + item)
            files[f"{name}/training/class{item:02}.png"] = picture(1000 * run + 500 + item)
            lines.append(f"{name}/test/item{item:02}.png {name}/training/class{known:02}.png\n")
        files[f"{name}/class_labels.txt"] = "".join(lines).encode()
    return files, truth


def samples_of(root: Path) -> dict[str, Path]:
    """One small valid set for every reader of identities."""
    omniglot(root / "omniglot" / "images_background_small1.zip", {"Greek": 2, "Latin": 1})
    zipped(root / "omniglot-runs" / "all_runs.zip", runs()[0])
    write(root / "pairs" / "pairs.txt", LFW)
    people(root / "pairs" / "lfw")
    return {
        "identities": people(root / "identities"),
        "omniglot": root / "omniglot",
        "omniglot-runs": root / "omniglot-runs",
        "pairs": root / "pairs",
    }


def who(dataset: Dataset) -> dict[str, set[str | None]]:
    return {name: {s.identity for s in samples} for name, samples in dataset.splits.items()}


def errors(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]


def told(problems: list[Problem]) -> str:
    return "\n".join(map(str, problems))
