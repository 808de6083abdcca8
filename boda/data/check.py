"""Looks at every picture of a data set once, and says what is wrong; changes nothing.

Errors are what cannot be learned from; warnings are what makes a result less than it seems: the
same picture twice, in two splits or with two labels, and classes that are missing or rare. For
``match``, an identity in two splits is an error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np

from boda.data import verdicts
from boda.data.findings import Look, balance, mark, misfit, repeated
from boda.data.identities import counts as identities_of
from boda.data.identities import leaks, without_lost
from boda.data.image import PictureReader
from boda.data.outlined import digest
from boda.data.verdicts import Verdict, judge, key_of
from boda.errors import DataError, Problem
from boda.types import ArraySamples, Dataset, Sample

CHUNK = 64  # pictures a worker takes at a time
Visit = Callable[[str, int, np.ndarray], None]


@dataclass(frozen=True)
class CheckReport:
    """What there is and what is wrong with it.

    Attributes:
        dataset: what was checked.
        problems: the reader's and the check's, errors first.
        sizes: ``{"min": [h, w], "median": [h, w], "max": [h, w], "gray": share of gray pictures}``;
            empty where no picture is sound.
        fingerprint: hex digest of classes, ids, labels or maps, and pixels; for instances, of
            outlines too.
        sound: split → (N,) bool, False where a sample has an error.
    """

    dataset: Dataset
    problems: list[Problem]
    sizes: dict[str, Any]
    fingerprint: str
    sound: dict[str, np.ndarray]

    @property
    def errors(self) -> list[Problem]:
        """What stops ``fit``."""
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def warnings(self) -> list[Problem]:
        """What stands in the report."""
        return [problem for problem in self.problems if problem.severity == "warning"]

    def drop(self, dataset: Dataset | None = None) -> tuple[Dataset, dict[str, int]]:
        """Leave out what has errors.

        Args:
            dataset: the one that was checked, which is also the default.

        Returns:
            The data set without those samples, its problems warnings only, and how many were left
            out of each split; "reader" counts the errors of records that never were in a split,
            "pairs" and "episodes" those of which a picture is left out.
        """
        dataset = dataset or self.dataset
        counts = {split: int((~sound).sum()) for split, sound in self.sound.items()}
        counts["reader"] = sum(problem.severity == "error" for problem in dataset.problems)
        splits = {
            split: _keep(samples, self.sound[split]) for split, samples in dataset.splits.items()
        }
        problems = [problem for problem in dataset.problems if problem.severity == "warning"]
        left = dataclasses.replace(dataset, splits=splits, problems=problems)
        left, lost = without_lost(left, dataset)
        counts |= lost
        return left, {name: count for name, count in counts.items() if count}

    def text(self, most: int = 50) -> str:
        """One line a problem, at most ``most`` of a kind."""
        lines: list[str] = []
        shown: Counter[tuple[str, str]] = Counter()
        kinds = Counter(_kind(problem) for problem in self.problems)
        for problem in self.problems:
            kind = _kind(problem)
            shown[kind] += 1
            if shown[kind] <= most:
                lines.append(f"{problem.severity}: {problem}")
            elif shown[kind] == most + 1:
                lines.append(f"{problem.severity}: … and {kinds[kind] - most:,} more such")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``boda check``.

        Objects and their outlines are counted where there are boxes, identities for ``match``.
        """
        identities = {"identities": identities_of(self.dataset)}
        return {
            "format": self.dataset.format,
            "task": self.dataset.task,
            "samples": len(self.dataset),
            "classes": list(self.dataset.classes),
            "splits": {name: len(samples) for name, samples in self.dataset.splits.items()},
            **_objects(self.dataset),
            **(identities if self.dataset.task == "match" else {}),
            "problems": [problem.to_dict() for problem in self.problems],
        }


def check(
    dataset: Dataset,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    visit: Visit | None = None,
) -> CheckReport:
    """Look at every picture.

    A file that was found sound before, and has the same path, size and time, is not decoded again,
    unless ``visit`` wants it.

    Args:
        dataset: as a reader gave it.
        workers: threads; by default as many as there are processors.
        progress: is told (pictures done, pictures in all), from this thread.
        visit: is given (split, index, picture) of every sound picture, once, from the workers, so
            that a cache can be filled meanwhile. Pictures of ``ArraySamples`` lie in memory
            already and are not visited.
    """
    looks: dict[str, Look] = {}
    problems: list[Problem] = []
    done, total = 0, len(dataset)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    for split, samples in dataset.splits.items():
        if isinstance(samples, ArraySamples):
            looks[split] = _look_at_array(samples)
            advance(len(samples))
        else:
            seen = None if visit is None else _for_split(visit, split)
            looks[split] = _look_at_files(
                samples, workers or _processors(), advance, seen, problems
            )
    problems += dataset.problems
    content = _fingerprint(dataset, looks)
    if dataset.task == "match":
        found, leaked = leaks(dataset)
        problems += found
        looks = {  # what is left out of a split needs no warnings beside
            split: dataclasses.replace(look, sound=look.sound & ~leaked[split])
            for split, look in looks.items()
        }
    problems += repeated(dataset, looks)
    problems += balance(dataset, looks)
    sound = {split: look.sound for split, look in looks.items()}
    problems.sort(key=lambda problem: problem.severity)  # "error" before "warning"; stable
    return CheckReport(dataset, problems, _sizes(looks), content, sound)


def _for_split(visit: Visit, split: str) -> Callable[[int, np.ndarray], None]:
    return lambda index, picture: visit(split, index, picture)


def _look_at_files(
    samples: Sequence[Sample],
    workers: int,
    advance: Callable[[int], None],
    visit: Callable[[int, np.ndarray], None] | None,
    problems: list[Problem],
) -> Look:
    keys = [_key(sample) for sample in samples]
    aims = [""] * len(samples)  # what the targets hold, which is not remembered
    known = verdicts.recall(key for key in keys if key) if visit is None else {}
    found: list[Verdict | Problem | None] = [known.get(key or b"") for key in keys]

    def work(indices: list[int]) -> int:
        for index in indices:
            try:
                aims[index] = _target(samples[index])
                found[index] = _decode(samples[index], index, visit)
            except DataError as error:
                found[index] = error.problems[0]
        return len(indices)

    waiting = [index for index, verdict in enumerate(found) if verdict is None]
    advance(len(samples) - len(waiting))
    chunks = [waiting[start : start + CHUNK] for start in range(0, len(waiting), CHUNK)]
    pool = ThreadPoolExecutor(workers)
    try:
        for chunk in as_completed([pool.submit(work, chunk) for chunk in chunks]):
            advance(chunk.result())
    finally:  # also when interrupted: what was decoded need not be decoded again
        pool.shutdown(cancel_futures=True)
        pairs = ((keys[index], found[index]) for index in waiting)
        verdicts.remember({key: seen for key, seen in pairs if key and isinstance(seen, Verdict)})
    found = [_fits(sample, seen) for sample, seen in zip(samples, found, strict=True)]
    problems += [seen for seen in found if isinstance(seen, Problem)]
    sound = np.array([isinstance(seen, Verdict) for seen in found], bool)
    facts = [seen if isinstance(seen, Verdict) else Verdict(0, 0, False, 0) for seen in found]
    table = np.array([(*fact[:3], fact.digest) for fact in facts], np.int64).reshape(-1, 4)
    lines = sorted(
        f"{sample.id}\t{mark(sample)}{aim}\t{fact.digest if good else 'unsound'}"
        for sample, fact, good, aim in zip(samples, facts, sound, aims, strict=True)
    )
    content = hashlib.blake2b("\n".join(lines).encode("utf-8", "replace"), digest_size=16)
    gray = float(table[sound, 2].mean()) if sound.any() else 0.0
    return Look(table[:, 3], sound, table[:, :2], gray, content.hexdigest())


def _key(sample: Sample) -> bytes | None:
    if sample.has_target or not isinstance(sample.read, PictureReader):
        return None
    return key_of(sample.read.entry.stamp)


def _decode(sample: Sample, index: int, visit: Callable[[int, np.ndarray], None] | None) -> Verdict:
    # Not ``sample.image``, which would keep the picture.
    picture = sample.image if sample.read is None else sample.read()
    if visit is not None:
        visit(index, picture)
    return judge(picture)


def _target(sample: Sample) -> str:
    """What the picture that is to be produced holds, as a short text; it must be there to be read."""
    return f"\ttarget {judge(sample.target_image).digest}" if sample.has_target else ""


def _fits(sample: Sample, seen: Verdict | Problem | None) -> Verdict | Problem | None:
    """The verdict, or what is wrong where the annotation is of a picture of another size."""
    return misfit(sample, seen) or seen if isinstance(seen, Verdict) else seen


def _look_at_array(samples: ArraySamples) -> Look:
    """A look at pictures in memory: a few passes over one array instead of a step a picture."""
    images = np.ascontiguousarray(samples.images)
    count = len(images)
    rows = images.reshape(count, -1)
    hashed = hashlib.blake2b(f"{images.shape}".encode(), digest_size=16)
    hashed.update(np.ascontiguousarray(samples.labels, np.int64).data)
    hashed.update(images.data)
    some = images[:: max(1, count // 500)]
    gray = images.ndim == 3 or float((some == some[..., :1]).all(axis=(1, 2, 3)).mean())
    sizes = np.broadcast_to(np.array(images.shape[1:3]), (count, 2))
    sound = np.ones(count, bool)
    return Look(_row_digests(rows), sound, sizes, float(gray), hashed.hexdigest())


def _row_digests(rows: np.ndarray) -> np.ndarray:
    """A number for each row, equal for equal rows: words times odd random numbers, modulo 2^64."""
    if odd := rows.shape[1] % 8:
        rows = np.pad(rows, ((0, 0), (0, 8 - odd)))
    words = rows.view(np.uint64)
    generator = np.random.default_rng(0)
    factors = generator.integers(0, 2**63, words.shape[1], dtype=np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    return (words @ factors).view(np.int64)


def _objects(dataset: Dataset) -> dict[str, int]:
    marked = [
        sample
        for samples in dataset.splits.values()
        if not isinstance(samples, ArraySamples)
        for sample in samples
        if sample.boxes is not None
    ]
    if not marked:
        return {}
    outlined = sum(outline is not None for sample in marked for outline in sample.outlines or ())
    return {
        "objects": sum(len(sample.boxes) for sample in marked if sample.boxes is not None),
        "outlines": outlined,
    }


def _keep(samples: Sequence[Sample], sound: np.ndarray) -> Sequence[Sample]:
    if isinstance(samples, ArraySamples):
        return samples.take(np.flatnonzero(sound))
    return [sample for sample, kept in zip(samples, sound, strict=True) if kept]


def _kind(problem: Problem) -> tuple[str, str]:
    """Problems of one kind have the same fix."""
    return problem.severity, problem.fix


def _sizes(looks: dict[str, Look]) -> dict[str, Any]:
    good = [(look.sizes[look.sound], look.gray) for look in looks.values() if look.sound.any()]
    if not good:
        return {}
    sizes = np.concatenate([part for part, _ in good])
    gray = float(np.average([share for _, share in good], weights=[len(part) for part, _ in good]))
    summary = {"min": sizes.min(0), "median": np.median(sizes, axis=0), "max": sizes.max(0)}
    return {name: [int(value) for value in pair] for name, pair in summary.items()} | {"gray": gray}


def _fingerprint(dataset: Dataset, looks: dict[str, Look]) -> str:
    content = {split: look.content for split, look in looks.items()}
    if dataset.task == "instances":
        content["outlines"] = digest(dataset)
    if dataset.pairs or dataset.episodes:
        content["listed"] = f"{dataset.pairs} {dataset.episodes}"
    text = json.dumps([dataset.classes, content], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _processors() -> int:
    """Processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
