"""Pictures of a run that was fitted to make some: drawn, on the way from one to another, compared.

The way is straight between two points of noise, as in Radford, Metz, Chintala 2015 (arXiv 1511.06434).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boda.errors import UsageError, unknown
from boda.options import option
from boda.progress import Progress

if TYPE_CHECKING:
    import numpy as np

    from boda.runs import Run
    from boda.tasks.generate.adversarial import Adversarial
    from boda.types import Image

MOST = 100_000  # pictures at once
COLUMNS = 10
COMPARED = 1000  # held-out pictures that say how near real ones come


@dataclass(frozen=True)
class GenerateOptions:
    """What a person can choose, for the shell and for Python."""

    count: int = option(16, "pictures, or with --interpolate pairs of them")
    label: str | None = option(None, "the class, for a conditional run; all in turn if left away")
    seed: int = option(0, "another seed, other pictures")
    interpolate: int = option(
        0, "a sheet with a row a pair: so many steps from one picture to another; 0 = no"
    )
    nearest: bool = option(False, "a sheet: each beside the nearest picture of train")


@dataclass(frozen=True)
class Generated:
    """Made pictures.

    Attributes:
        pictures: (H, W, 3) uint8 each.
        names: the class that each was to be of; None where the network is told none.
        columns: of them in a grid.
        copies: after ``beside_nearest``: ``nearest_made`` and ``nearest_real``, median distances to
            the nearest training picture, and ``copied``, the share of made ones that lie nearer than
            all but 1 % of the real ones; see ``boda.metrics.diversity.copying``.
    """

    pictures: list[Image]
    names: list[str] | None = None
    columns: int = COLUMNS
    copies: dict[str, float] | None = None

    def grid(self) -> Image:
        """All of them in one picture, (H', W', 3) uint8."""
        from boda.contact_sheet import picture_grid

        return picture_grid(self.pictures, self.columns)


def generate(
    name: str | Path,
    count: int = 16,
    *,
    label: str | None = None,
    seed: int = 0,
    interpolate: int = 0,
    nearest: bool = False,
    progress: Progress | None = None,
) -> Generated:
    """New pictures of a run of ``boda.fit("generate", …)``.

    Args:
        name: the run's folder.
        count: pictures; with ``interpolate`` pairs of them.
        label: the class to draw, for a conditional run; all in turn if left away.
        seed: of the noise; another seed, other pictures.
        interpolate: pictures on the way from one of a pair to the other, ends included; 0 for none.
        nearest: beside each the training picture whose pixels are nearest, and whether they are
            copies; the run's data must still be there.
        progress: told how far the reading of that data is.

    Raises:
        UsageError: a number is out of range, the run is for another task, or knows no such class.
        DataError: it is no run; for ``nearest``, its data is gone or another.
    """
    from boda.runs import Run
    from boda.tasks.generate import samples

    if interpolate and nearest:
        raise UsageError("--interpolate and --nearest are two sheets: ask for one.")
    run = Run.open(name)
    if not 1 <= count <= MOST or not 0 <= interpolate <= MOST // count or interpolate == 1:
        raise UsageError(
            f"{count} pictures, {interpolate} steps. Give 1 to {MOST:,} pictures in all, and 2 steps "
            "or more."
        )
    method = _method(run)
    rows = max(1, interpolate)
    if interpolate:
        noise = samples.between(method, count, interpolate, seed)
    else:
        noise = samples.drawn(method, count, seed)
    labels = _labels(run, method, count, label)
    if labels is not None:
        labels = labels.repeat_interleave(rows)
    names = None if labels is None else [run.classes[int(i)] for i in labels]
    made = Generated(samples.pictures(method, noise, labels), names, interpolate or COLUMNS)
    return beside_nearest(run, made, progress or Progress(quiet=True)) if nearest else made


def beside_nearest(run: Run, made: Generated, progress: Progress) -> Generated:
    """Each picture beside the training picture whose pixels are nearest, and whether they are copies.

    Args:
        run: whose data is still there.
        made: its pictures.
        progress: told how far it is.

    Raises:
        DataError: the data is gone, or another.
    """
    from boda.data.loading import load
    from boda.fitting import data_of
    from boda.metrics.diversity import copying, nearest_neighbours
    from boda.outputs import as_picture

    loaded = load(data_of(run), run.preparation, run.record["data"]["drop"], progress)
    train = _flat(
        [loaded.pictures["train"].prepared(i) for i in range(len(loaded.pictures["train"]))]
    )
    held = loaded.pictures.get("test", loaded.pictures.get("val"))
    channels = run.preparation.channels
    ours = _flat([picture[..., :channels] for picture in made.pictures])
    places = nearest_neighbours(ours, train)[0][:, 0]
    nearest = [
        as_picture(loaded.pictures["train"].prepared(int(i)).transpose(2, 0, 1)) for i in places
    ]
    both = [each for pair in zip(made.pictures, nearest, strict=True) for each in pair]
    copies = None
    if held is not None:
        unseen = _flat([held.prepared(i) for i in range(min(COMPARED, len(held)))])
        copies = copying(ours, unseen, train)
    return Generated(both, None, COLUMNS, copies)


def _flat(pictures: list[np.ndarray]) -> np.ndarray:
    """(H, W, C) uint8 each → (N, D) float32, 0..1."""
    import numpy as np

    return np.stack([picture.reshape(-1) for picture in pictures]).astype(np.float32) / 255


def _method(run: Run) -> Adversarial:
    from boda.tasks.generate.adversarial import Adversarial

    method = run.trained().method
    if not isinstance(method, Adversarial):
        raise UsageError(
            f"{run.path} is a run for {run.record['task']}, which makes no pictures of noise. Name "
            "one of `boda fit generate`."
        )
    return method


def _labels(run: Run, method: Adversarial, count: int, label: str | None) -> Any:
    """(count,) classes: the one that is named, else in turn; None where the network knows none."""
    import torch

    from boda.tasks.generate import samples

    if label is None:
        return samples.in_turn(method, count)
    if not method.classes:
        raise UsageError(
            f"{run.record['model']} is told no classes: leave --label away, or fit "
            f"{run.record['model']}-conditional."
        )
    if label not in run.classes:
        raise unknown("class", label, run.classes)
    return torch.full((count,), run.classes.index(label))
