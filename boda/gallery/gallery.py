"""Names, their pictures as vectors, and who a new picture shows: nearest neighbour with a threshold.

Koch, Zemel, Salakhutdinov, "Siamese neural networks for one-shot image recognition", 2015, names a
class by its most similar example; FaceNet (Schroff, Kalenichenko, Philbin, 2015, arXiv 1503.03832)
does so by distance in the embedding. Deviation: a similarity that unknown people reach too is no
match (``boda.gallery.calibration``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from boda.data.entries import Entry as File
from boda.errors import DataError, Problem, UsageError
from boda.gallery import embedding
from boda.gallery.calibration import RATE, calibrate, is_stale
from boda.gallery.embedding import Detector, Embedder, crop, unit
from boda.gallery.given import Given, load
from boda.gallery.records import (
    About,
    Calibration,
    Entry,
    Found,
    Identified,
    Person,
    clean_name,
    thumbnail,
    unknown_name,
)
from boda.gallery.store import Store, create_store, open_store
from boda.predicting import Picture
from boda.types import Image

AT_ONCE = 32  # pictures that are embedded, and taken in, in one step


@dataclass(frozen=True)
class _View:
    """A picture, or what is in one box of it."""

    source: str
    image: Image
    box: np.ndarray | None = None
    label: str | None = None


class Gallery:
    """An open gallery.

    Attributes:
        store: where its entries lie.
        problems: what the last ``add`` or ``identify`` could not do.
        already: pictures that the last ``add`` found to be there already.
    """

    def __init__(self, store: Store, run: str | None = None) -> None:
        self.store = store
        self._run = run or store.about.run
        self.problems: list[Problem] = []
        self.already: list[str] = []

    @classmethod
    def create(cls, where: str, run: str, rate: float = RATE) -> Gallery:
        """A new, empty gallery for the vectors of a run's network.

        Args:
            where: a file that is not there yet, or ``postgresql://…``.
            run: a run for ``match``, or its exported file.
            rate: the share of unknown people that may be taken for somebody, above 0, at most 0.5.

        Raises:
            UsageError, DataError: it cannot be made there, or the run makes no vectors.
        """
        _refuse_rate(rate)
        embed = embedding.of_run(run)
        # A gray picture tells how many numbers the network makes, and that it makes any.
        dimension = embed([np.full((32, 32, 3), 128, np.uint8)]).shape[1]
        return cls(create_store(where, About(embed.run, embed.model, dimension, rate)), run)

    @classmethod
    def open(cls, where: str, run: str | None = None) -> Gallery:
        """A gallery that is there; see ``open_store``.

        Args:
            where: its file or address.
            run: where its run is now, if not where it was.
        """
        return cls(open_store(where), run)

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file or the connection."""
        self.store.close()

    @cached_property
    def embed(self) -> Embedder:
        """The network; a ``UsageError`` where it is not the one that made the gallery's vectors."""
        embed = embedding.of_run(self._run)
        self._refuse_model(embed.model, f"The run {self._run}")
        return embed

    def people(self) -> list[Person]:
        """Everybody, by code point."""
        return self.store.people()

    def add(
        self, pictures: Iterable[tuple[str, Picture | File]], detector: Detector | None = None
    ) -> Iterator[Entry]:
        """Take in pictures of names; each entry is given back once it is on the disk.

        A picture that cannot be read is left out and named in ``problems``; one that is there under
        the same name counts in ``already``, so that an import that was cut short can be begun again.

        Args:
            pictures: (name, picture) pairs.
            detector: where given, each picture is to show one box, and that is taken in.

        Raises:
            UsageError: a name cannot be one, or the network is not the gallery's.
        """
        self.problems, self.already = [], []
        _ = self.embed  # another model's is refused before a picture is read
        numbered = enumerate(pictures)
        while some := list(itertools.islice(numbered, AT_ONCE)):
            yield from self._add(some, detector)
        self.settle()

    def merge(self, other: Gallery) -> Iterator[Entry]:
        """Take in another gallery's entries; problems and ``already`` as with ``add``.

        Raises:
            UsageError: its vectors are of another model.
        """
        self._refuse_model(other.store.about.model, f"{other.store.where}")
        self.problems, self.already = [], []
        entries = other.store.entries()
        while some := list(itertools.islice(entries, 8 * AT_ONCE)):
            yield from self._keep(some)
        self.settle()

    def identify(
        self,
        pictures: Iterable[Picture],
        detector: Detector | None = None,
        threshold: float | None = None,
    ) -> Iterator[Identified]:
        """Who is on each picture; what cannot be read is left out and named in ``problems``.

        Args:
            pictures: paths or arrays.
            detector: finds boxes, each of which is looked at; without it the whole picture is.
            threshold: instead of the calibrated one, −1..1.
        """
        self.problems = []
        _ = self.embed
        calibration = self.settle()
        if threshold is None and calibration is not None:
            threshold = calibration.threshold
        numbered = enumerate(pictures)
        while some := list(itertools.islice(numbered, AT_ONCE)):
            seen = []
            for number, picture in some:
                try:
                    given = load(picture, number)
                    seen.append((given.source, self._views(given, detector)))
                except DataError as error:
                    self.problems += error.problems
            every = [view for _, views in seen for view in views]
            found = iter(self._look(every, threshold))
            for source, views in seen:
                yield Identified(source, list(itertools.islice(found, len(views))))

    def remove(self, name: str) -> tuple[int, bool]:
        """Take out a name with all its pictures; see ``Store.remove``.

        Raises:
            UsageError: nobody is called so; the nearest names are told.
        """
        removed, gone = self.store.remove(clean_name(name))
        if not removed:
            names = [person.name for person in self.people()]
            raise unknown_name(clean_name(name), self.store.where, names)
        self.settle()
        return removed, gone

    def settle(self, rate: float | None = None) -> Calibration | None:
        """The calibration, found again where a tenth of the gallery is new, or another rate is asked for."""
        about = self.store.refresh()
        if rate is not None:
            _refuse_rate(rate)
        rate = about.rate if rate is None else rate
        if not is_stale(about.calibration, rate, self.store.extent()):
            return about.calibration
        found = calibrate(self.store, rate)
        if found != about.calibration or rate != about.rate:
            self.store.calibrated(found, rate)
        return found

    def to_dict(self) -> dict[str, Any]:
        """What a gallery says of itself, as plain JSON values."""
        about = self.store.refresh()
        last = about.calibration
        return {
            "gallery": self.store.where,
            "run": about.run,
            "model": about.model,
            "dimension": about.dimension,
            "created": about.created,
            "entries": self.store.extent()[0],
            "rate": about.rate,
            "threshold": None if last is None else last.threshold,
            "measured": None if last is None else last.measured,
        }

    def _add(
        self, some: list[tuple[int, tuple[str, Picture | File]]], detector: Detector | None
    ) -> Iterator[Entry]:
        """Read, embed and keep some pictures, those that are there already excepted."""
        loaded: list[tuple[str, Given]] = []
        for number, (name, picture) in some:
            try:
                loaded.append((clean_name(name), load(picture, number)))
            except DataError as error:
                self.problems += error.problems
        known = self.store.known([given.digest for _, given in loaded])
        kept: list[tuple[str, Given, Image]] = []
        for name, given in loaded:
            if given.digest in known:
                self._was_there(name, given.source, known[given.digest])
                continue
            try:
                kept.append((name, given, self._only_view(given, detector)))
            except DataError as error:
                self.problems += error.problems
        if kept:
            vectors = self._vectors([view for *_, view in kept], [g.source for _, g, _ in kept])
            yield from self._keep(
                [
                    Entry(name, vector, thumbnail(view), given.source, given.digest)
                    for (name, given, view), vector in zip(kept, vectors, strict=True)
                ]
            )

    def _keep(self, entries: list[Entry]) -> Iterator[Entry]:
        taken = self.store.add(entries)
        left = [entry for entry, new in zip(entries, taken, strict=True) if not new]
        known = self.store.known([entry.digest for entry in left])
        for entry in left:
            self._was_there(entry.name, entry.source, known.get(entry.digest, entry.name))
        yield from (entry for entry, new in zip(entries, taken, strict=True) if new)

    def _was_there(self, name: str, source: str, owner: str) -> None:
        """The same picture under the same name is no news; under another, one of them is wrong."""
        if owner == name:
            self.already.append(source)
            return
        why = f"not added to '{name}': this very picture is there as '{owner}'"
        fix = f"If that is wrong, remove '{owner}' and add its other pictures again."
        self.problems.append(Problem(why, fix, source))

    def _views(self, given: Given, detector: Detector | None) -> list[_View]:
        image = given.image()
        if detector is None:
            return [_View(given.source, image)]
        seen = detector(image)
        boxes = np.zeros((0, 4)) if seen.boxes is None else seen.boxes
        labels: list[str | None] = [None] * len(boxes) if seen.names is None else [*seen.names]
        return [
            _View(given.source, crop(image, box), box, label)
            for box, label in zip(boxes, labels, strict=True)
        ]

    def _only_view(self, given: Given, detector: Detector | None) -> Image:
        """The picture, or what is in its only box."""
        views = self._views(given, detector)
        if len(views) != 1:
            raise DataError(
                f"the detector finds {len(views) or 'nothing'} on it; who is to be added is to be "
                "alone on the picture",
                file=given.source,
                fix="Crop the picture to one, or give another.",
            )
        return views[0].image

    def _look(self, views: list[_View], threshold: float | None) -> Iterator[Found]:
        for first in range(0, len(views), AT_ONCE):
            some = views[first : first + AT_ONCE]
            queries = self._vectors([view.image for view in some], [view.source for view in some])
            for view, matches in zip(some, self.store.nearest(queries, 1), strict=True):
                if not matches:
                    yield Found(None, None, threshold, None, view.box, view.label)
                    continue
                best = matches[0]
                sure = threshold is not None and best.similarity > threshold
                name = best.name if sure else None
                yield Found(name, best.similarity, threshold, best.name, view.box, view.label)

    def _vectors(self, images: list[Image], sources: list[str]) -> np.ndarray:
        vectors = unit(self.embed(images), sources)
        if vectors.shape[1] != self.store.about.dimension:
            raise UsageError(
                f"{self.embed.run} makes {vectors.shape[1]} numbers of a picture; "
                f"{self.store.where} holds {self.store.about.dimension}."
            )
        return vectors

    def _refuse_model(self, model: str, whose: str) -> None:
        about = self.store.about
        if model != about.model:
            raise UsageError(
                f"{whose} has other weights ({model[:12]}…) than those that made the vectors of "
                f"{self.store.where} ({about.model[:12]}…, {about.run}). Vectors of two models cannot "
                "be compared: name the run that made them, or make a new gallery from the pictures."
            )


def _refuse_rate(rate: float) -> None:
    if not 0 < rate <= 0.5:
        raise UsageError(f"a rate of false accepts of {rate:g}: give a share above 0, at most 0.5.")
