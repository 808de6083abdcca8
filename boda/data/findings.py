"""What a look at all pictures shows: the same one twice, classes that are missing or rare."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from boda.data import mapped
from boda.data.identities import single
from boda.data.split import labels_of
from boda.data.verdicts import Verdict
from boda.errors import Problem
from boda.types import ArraySamples, Dataset, Sample

IMBALANCE = 10  # times more pictures of one class than of another


@dataclass(frozen=True)
class Look:
    """What was seen of one split.

    Attributes:
        digests: (N,) int64, equal for equal pictures; of an unsound picture it means nothing.
        sound: (N,) bool.
        sizes: (N, 2) int32, height and width.
        gray: share of gray pictures among the sound ones, 0..1.
        content: digest of ids, labels and pixels, in an order that does not depend on the files'.
    """

    digests: np.ndarray
    sound: np.ndarray
    sizes: np.ndarray
    gray: float
    content: str


def _groups(dataset: Dataset, looks: dict[str, Look]) -> Iterator[list[tuple[str, int]]]:
    """Places (split, index) that hold the same picture, two at least."""
    names = list(looks)
    if not names:
        return
    digests = np.concatenate([looks[name].digests for name in names])
    lengths = [len(looks[name].digests) for name in names]
    which = np.repeat(np.arange(len(names)), lengths)
    where = np.concatenate([np.arange(length) for length in lengths])
    kept = np.flatnonzero(np.concatenate([looks[name].sound for name in names]))
    order = kept[np.argsort(digests[kept], kind="stable")]
    cuts = np.flatnonzero(np.diff(digests[order])) + 1
    starts, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(order)]])
    for start, end in zip(starts, ends, strict=True):
        if end - start < 2:
            continue
        same: dict[bytes, list[tuple[str, int]]] = {}
        for place in order[start:end]:
            split, index = names[which[place]], int(where[place])
            samples = dataset.splits[split]
            # The numbers of arrays are no proof of sameness, the bytes are.
            proof = samples.images[index].tobytes() if isinstance(samples, ArraySamples) else b""
            same.setdefault(proof, []).append((split, index))
        yield from (group for group in same.values() if len(group) > 1)


def mark(sample: Sample) -> str:
    """What is annotated, as a short text that is equal for equal annotations."""
    if sample.read_semantic is not None or sample.semantic is not None:
        return f"map {mapped.digest(sample)}"
    if sample.boxes is None and sample.points is not None:
        digest = hashlib.blake2b(repr(sample.points.tolist()).encode(), digest_size=8).hexdigest()
        return f"{sample.label} {len(sample.points)} points {digest}"
    if sample.boxes is None:
        return str(sample.label)
    rows = sorted(zip(_classes(sample), sample.boxes.tolist(), strict=True))
    digest = hashlib.blake2b(repr(rows).encode(), digest_size=8).hexdigest()
    return f"{sample.label} {len(rows)} {digest}"


def misfit(sample: Sample, seen: Verdict) -> Problem | None:
    """What is wrong where the annotation is not of this picture: another size, a box outside."""
    file, line = _place(sample)
    if sample.size is not None and sample.size != (seen.height, seen.width):
        return Problem(
            f"the picture is {seen.width}×{seen.height}, the annotation says "
            f"{sample.size[1]}×{sample.size[0]}",
            "Annotate the picture as it is shown (EXIF turns some), or correct the size.",
            file,
            line,
            "size",
        )
    if sample.boxes is not None and len(sample.boxes):
        right, bottom = sample.boxes[:, 2:].max(0).tolist()
        if right > seen.width or bottom > seen.height:
            why = (
                f"a box reaches ({right:g}, {bottom:g}); the picture is {seen.width}×{seen.height}"
            )
            return Problem(why, "Correct the box.", file, line, "boxes")
    return None


def repeated(dataset: Dataset, looks: dict[str, Look]) -> list[Problem]:
    """A warning for each group of equal pictures: with two labels, in two splits, in one."""
    labels = {split: _marks(samples) for split, samples in dataset.splits.items()}
    loud: list[Problem] = []
    across: list[Problem] = []
    within: list[Problem] = []
    for group in _groups(dataset, looks):
        samples = [dataset.splits[split][index] for split, index in group]
        named = [
            f"{sample.source} ({split}, {_told(dataset, sample)})"
            for sample, (split, index) in zip(samples, group, strict=True)
        ]
        more = f" and {len(named) - 4:,} more" if len(named) > 4 else ""
        others = f"{', '.join(named[1:4])}{more}"
        file, line = _place(samples[0])
        own = named[0][len(samples[0].source) + 1 :]
        splits = {split for split, _ in group}
        if len({labels[split][index] for split, index in group}) > 1:
            what = "CONTRADICTION: the same picture has two different labels"
            if _marked(samples[0]):
                what = "the same picture is annotated in two ways"
            why = f"{what}: here {own}, {others}"
            fix, kind = "Correct the label of one, or take both out.", loud
        elif len(splits) > 1:
            why = f"the same picture is in two splits: here {own}, {others}"
            fix, kind = (
                "Take it out of one: a test on pictures seen in training says little.",
                across,
            )
        else:
            why = f"the same picture as {others}"
            fix, kind = "Take all but one out, if they are not meant to count more.", within
        kind.append(Problem(why, fix, file, line, severity="warning"))
    return loud + across + within


def balance(dataset: Dataset, looks: dict[str, Look]) -> list[Problem]:
    """Classes that are missing or rare, from the sound pictures."""
    if dataset.task == "landmarks":
        return []  # its classes are the points, of which every picture has all
    if dataset.task == "segment":
        return _shares(dataset, looks)
    if dataset.task == "match":  # the identities of test are others than those of train
        return single(dataset, {name: look.sound for name, look in looks.items()})
    size = len(dataset.classes)
    counts = {
        split: np.bincount(labels[labels >= 0], minlength=size)[:size]
        for split, samples in dataset.splits.items()
        for labels in [_counted(samples, looks[split].sound)]
    }
    learned = "train" if "train" in counts else "all"
    if not size or learned not in counts:
        return []
    problems = []
    ours = counts[learned]
    boxes = dataset.task in ("detect", "localize", "instances")
    what = "boxes" if boxes else "pictures"
    fix = "Add pictures of the rare classes" + ("." if boxes else ", or fit with --balance.")
    for split, theirs in counts.items():
        missing = [name for name, count in zip(dataset.classes, theirs, strict=True) if not count]
        if missing:
            shown = ", ".join(f"'{name}'" for name in missing[:10])
            more = f" and {len(missing) - 10:,} more" if len(missing) > 10 else ""
            problems.append(
                _warning(
                    dataset,
                    f"{split} has no sound picture of {shown}{more}",
                    "Add some; without them nothing can be said about that class.",
                )
            )
    present = ours[ours > 0]
    if len(present) and present.max() >= IMBALANCE * present.min():
        most, least = int(ours.argmax()), int(np.where(ours > 0, ours, ours.max()).argmin())
        problems.append(
            _warning(
                dataset,
                f"imbalance in {learned}: {ours[most]:,} {what} of '{dataset.classes[most]}', "
                f"{ours[least]:,} of '{dataset.classes[least]}'",
                fix,
            )
        )
    return problems


def _shares(dataset: Dataset, looks: dict[str, Look]) -> list[Problem]:
    """Classes of pixels that are missing or rare, from the sound pictures."""
    size = len(dataset.classes)
    problems = []
    for split, samples in dataset.splits.items():
        kept = (sample for sample, good in zip(samples, looks[split].sound, strict=True) if good)
        counts = sum((mapped.pixels(sample, size) for sample in kept), np.zeros(size, np.int64))
        missing = [name for name, count in zip(dataset.classes, counts, strict=True) if not count]
        if missing:
            shown = ", ".join(f"'{name}'" for name in missing[:10])
            more = f" and {len(missing) - 10:,} more" if len(missing) > 10 else ""
            why = f"{split} has no pixel of {shown}{more}"
            fix = "Add pictures of it; without them nothing can be said about that class."
            problems.append(_warning(dataset, why, fix))
        present = np.flatnonzero(counts)
        if split not in ("train", "all") or not len(present):
            continue
        most, least = int(counts.argmax()), int(present[counts[present].argmin()])
        if counts[most] >= IMBALANCE * counts[least]:
            shares = [f"{100 * counts[i] / counts.sum():.2g} %" for i in (most, least)]
            why = f"imbalance in {split}: {shares[0]} of the pixels are '{dataset.classes[most]}', "
            why += f"{shares[1]} '{dataset.classes[least]}'"
            fix = "Add pictures of the rare classes, or fit with --balance."
            problems.append(_warning(dataset, why, fix))
    return problems


def _warning(dataset: Dataset, why: str, fix: str) -> Problem:
    return Problem(why, fix, str(dataset.root), severity="warning")


def _marks(samples: Sequence[Sample]) -> np.ndarray | list[str]:
    """Something for each sample that tells different labels, boxes or points apart."""
    if isinstance(samples, ArraySamples) or not any(map(_marked, samples)):
        return labels_of(samples)
    return [mark(sample) for sample in samples]


def _marked(sample: Sample) -> bool:
    """Whether something else than a label is annotated."""
    known = (sample.boxes, sample.points, sample.semantic, sample.read_semantic)
    return any(part is not None for part in known)


def _classes(sample: Sample) -> list[int]:
    """The class of each box."""
    count = 0 if sample.boxes is None else len(sample.boxes)
    return [-1] * count if sample.labels is None else sample.labels.tolist()


def _counted(samples: Sequence[Sample], sound: np.ndarray) -> np.ndarray:
    """The classes of all sound pictures, or of all their boxes; (N,) int64, -1 is none."""
    if isinstance(samples, ArraySamples) or not any(s.boxes is not None for s in samples):
        return labels_of(samples)[sound]
    good = (sample for sample, kept in zip(samples, sound, strict=True) if kept)
    return np.array([label for sample in good for label in _classes(sample)], np.int64)


def _told(dataset: Dataset, sample: Sample) -> str:
    if sample.boxes is not None:
        return f"{len(sample.boxes)} box{'es' * (len(sample.boxes) != 1)}"
    if sample.points is not None:
        return f"{len(sample.points)} points"
    if _marked(sample):
        return "a map of classes"
    return _class(dataset, -1 if sample.label is None else sample.label)


def _class(dataset: Dataset, label: int) -> str:
    return f"'{dataset.classes[label]}'" if 0 <= label < len(dataset.classes) else "no class"


def _place(sample: Sample) -> tuple[str, int | None]:
    """File and line of a sample's source."""
    file, _, line = sample.source.rpartition(":")
    return (file, int(line)) if file and line.isdecimal() else (sample.source, None)
