"""Penn-Fudan with a train and a test split: its last 50 pictures by name are the test.

Command:  python recipes/penn_fudan.py PENNFUDAN OUT
          boda check OUT --task instances

PENNFUDAN holds 170 pictures in ``Images`` (``PNGImages`` as published) and a mask of each in
``PedMasks``. The set has no split of its own, so this one is ours. Names begin with the university
where the pictures were taken: all of the test are from Penn, 74 of the 120 others from Fudan. The
test is a little apart from what is learned from, for everybody alike.

OUT gets ``train/Images``, ``train/PedMasks``, ``test/Images`` and ``test/PedMasks``, which boda
reads as splits; the files are copied, not changed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from boda.errors import BodaError, DataError, UsageError

TEST = 50  # pictures
FOLDERS = ("Images", "PNGImages")
SUFFIXES = (".jpg", ".jpeg", ".png")


def split(source: Path, out: Path) -> dict[str, int]:
    """Copy the pictures and their masks into a folder a split.

    Args:
        source: Penn-Fudan as it was unpacked.
        out: a folder that is empty or not there.

    Returns:
        how many pictures each split has.

    Raises:
        DataError: there are no pictures, too few to hold 50 back, or one without its mask.
        UsageError: ``out`` holds something already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; name one that is, or a new one.")
    pairs = _pairs(source)
    parts = {"train": pairs[:-TEST], "test": pairs[-TEST:]}
    for name, part in parts.items():
        for folder, files in zip(("Images", "PedMasks"), zip(*part, strict=True), strict=True):
            place = out / name / folder
            place.mkdir(parents=True)
            for file in files:
                shutil.copyfile(file, place / file.name)
    return {name: len(part) for name, part in parts.items()}


def _pairs(source: Path) -> list[tuple[Path, Path]]:
    """Each picture with its mask, in the order of the pictures' names."""
    there = [source / name for name in FOLDERS if (source / name).is_dir()]
    pictures = sorted(
        (file for folder in there for file in folder.iterdir() if file.suffix.lower() in SUFFIXES),
        key=lambda file: file.name,
    )
    if len(pictures) <= TEST:
        raise DataError(
            f"{len(pictures)} pictures in {' and '.join(FOLDERS)}, and {TEST} are for the test",
            file=source,
            fix="Name the folder that Penn-Fudan was unpacked into.",
        )
    pairs = [(file, source / "PedMasks" / f"{file.stem}_mask.png") for file in pictures]
    for _, mask in pairs:
        if not mask.is_file():
            raise DataError("there is no such mask", file=mask, fix="Unpack Penn-Fudan again.")
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, help="Penn-Fudan as it was unpacked")
    parser.add_argument("out", type=Path, help="a new folder, with train and test in it")
    asked = parser.parse_args()
    try:
        counts = split(asked.source, asked.out)
    except BodaError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_status)
    print(f"{asked.out}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
