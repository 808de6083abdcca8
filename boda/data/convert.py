"""A data set for detection from one format into another: annotations are written, pictures copied.

The whole is written into a folder beside OUT and gets its name at the end, so an interrupted
conversion leaves nothing that looks complete. Pictures are never decoded and written again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from boda.data.entries import Entry
from boda.data.image import PictureReader
from boda.data.writers import Writer, writer
from boda.errors import DataError, UsageError
from boda.types import Dataset


def convert(
    dataset: Dataset,
    format: str,
    out: str | Path,
    link: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write a data set in another format.

    Args:
        dataset: as a reader of boxes gave it; of problems it has none, or they were dropped.
        format: coco, voc or yolo.
        out: a folder that is not there, or empty.
        link: give the pictures a second name instead of copying them, where the disk allows it.
        progress: is told (pictures done, pictures in all).

    Returns:
        ``{"samples", "boxes", "classes", "splits", "told"}``; the last is what the format could not
        say, and how often.

    Raises:
        UsageError: OUT is not empty, or the names of the pictures cannot be kept in this format.
    """
    chosen, out = writer(format), Path(out)
    dataset = _with_plain_splits(dataset)
    _refuse_clashes(dataset, format)
    with new_folder(out) as temporary:
        told = chosen.write(dataset, temporary)
        _pictures(dataset, chosen, temporary, link, progress)
    samples = [sample for part in dataset.splits.values() for sample in part]
    return {
        "samples": len(samples),
        "boxes": sum(0 if sample.boxes is None else len(sample.boxes) for sample in samples),
        "classes": list(dataset.classes),
        "splits": {split: len(part) for split, part in dataset.splits.items()},
        "told": {what: count for what, count in sorted(told.items()) if count},
    }


def refuse_full(out: Path) -> None:
    """Raise the ``UsageError`` where the folder to be written holds something already."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        what = "is not empty" if out.is_dir() else "is a file"
        raise UsageError(f"{out} {what}: name a folder that is not there yet.")


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill beside ``out``; after the block it has the name ``out``, and else it is gone.

    Raises:
        UsageError: ``out`` is not empty, or something cannot be written.
    """
    refuse_full(out)
    temporary = out.absolute().parent / f".boda-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if out.exists():
            out.rmdir()  # empty, as was seen; Windows renames onto nothing else
        os.replace(temporary, out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}).") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _with_plain_splits(dataset: Dataset) -> Dataset:
    """What no split claims becomes train, beside val or test; alone it stays "all"."""
    splits = dict(dataset.splits)
    if len(splits) > 1 and "all" in splits:
        if "train" in splits:
            raise UsageError("the data has a split train and pictures in no split: part it first.")
        splits = {"train": splits.pop("all"), **splits}
    return dataclasses.replace(dataset, splits=splits)


def _refuse_clashes(dataset: Dataset, format: str) -> None:
    """Two pictures of one name, or in VOC and YOLO of one name but for its suffix."""
    for split, samples in dataset.splits.items():
        seen: dict[str, str] = {}
        for sample in samples:
            key = sample.id if format == "coco" else str(PurePosixPath(sample.id).with_suffix(""))
            if key in seen:
                raise UsageError(
                    f"two pictures of {split} would have one annotation in {format}: "
                    f"{seen[key]} and {sample.id}. Rename one."
                )
            seen[key] = sample.id


def _pictures(
    dataset: Dataset,
    chosen: Writer,
    folder: Path,
    link: bool,
    progress: Callable[[int, int], None] | None,
) -> None:
    done = 0
    for split, samples in dataset.splits.items():
        for sample in samples:
            target = folder / chosen.place(dataset, split, sample.id)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not isinstance(sample.read, PictureReader):
                raise DataError("is no file that could be copied", file=sample.source)
            _copy(sample.read.entry, target, link)
            done += 1
            if progress is not None:
                progress(done, len(dataset))


def _copy(entry: Entry, target: Path, link: bool) -> None:
    if type(entry) is not Entry:  # a member of an archive
        target.write_bytes(entry.read())
        return
    if link:
        with contextlib.suppress(OSError):  # another disk, or one without links
            os.link(os.path.realpath(entry.path), target)
            return
    shutil.copyfile(entry.path, target)
