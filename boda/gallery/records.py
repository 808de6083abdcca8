"""What a gallery holds: entries, whose model made them, and how sure a match must be. No torch."""

from __future__ import annotations

import difflib
import io
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from PIL import Image as Pillow

from boda.errors import UsageError
from boda.types import Image

LONGEST_NAME = 200  # characters
THUMBNAIL = 96  # pixels of the longer side


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Entry:
    """One picture of somebody or something.

    Attributes:
        name: who it is; NFC.
        vector: (D,) float32 of length 1.
        thumbnail: a small JPEG.
        source: the file it came from, as it was named.
        digest: SHA-256 of that file, in hexadecimal: a picture is in a gallery once.
        added: when, ISO 8601 in UTC.
    """

    name: str
    vector: np.ndarray
    thumbnail: bytes
    source: str
    digest: str
    added: str = field(default_factory=now)


@dataclass(frozen=True)
class Match:
    """An entry near a query: whose it is, and the cosine of the angle between the two, −1..1."""

    id: int
    name: str
    similarity: float


@dataclass(frozen=True)
class Person:
    """A name with the number of its pictures and when the first came."""

    name: str
    pictures: int
    added: str


@dataclass(frozen=True)
class Calibration:
    """From which similarity somebody is known, and what that was learned from.

    Attributes:
        threshold: a match is more similar than this.
        rate: the share of unknown people that may be taken for somebody, 0..1.
        measured: whether there were enough pictures to count that share; else it is estimated.
        probes: pictures that were searched for among everybody else's.
        names: of the gallery then.
        entries, last: of the gallery then; see ``Store.extent``.
    """

    threshold: float
    rate: float
    measured: bool
    probes: int
    names: int
    entries: int
    last: int


@dataclass(frozen=True)
class About:
    """What a gallery says of itself.

    Attributes:
        run: the run whose network made the vectors: where it was when the gallery was created.
        model: SHA-256 of its weights' file, in hexadecimal.
        dimension: numbers of a vector.
        rate: as in ``Calibration``.
        created: ISO 8601 in UTC.
        calibration: the last; None before there were two names.
    """

    run: str
    model: str
    dimension: int
    rate: float
    created: str = field(default_factory=now)
    calibration: Calibration | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> About:
        """From ``to_dict``."""
        last = values["calibration"]
        return cls(**{**values, "calibration": None if last is None else Calibration(**last)})


@dataclass(frozen=True)
class Found:
    """Somebody or something on a picture.

    Attributes:
        name: who it is; None where it is nobody whom the gallery knows.
        similarity: to the nearest entry, −1..1; None in an empty gallery.
        threshold: what a known one exceeds; None where it could not be calibrated.
        nearest: whose that entry is, known or not.
        box: (4,) xyxy, pixels of the picture; None where all of it was looked at.
        label: what the detector calls it.
    """

    name: str | None
    similarity: float | None
    threshold: float | None
    nearest: str | None
    box: np.ndarray | None = None
    label: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; ``box`` and ``label`` only where a detector found it."""
        said: dict[str, Any] = {
            "name": self.name,
            "similarity": None if self.similarity is None else round(self.similarity, 6),
            "threshold": self.threshold,
            "nearest": self.nearest,
        }
        if self.box is not None:
            said = {"box": [round(float(v), 2) for v in self.box], "label": self.label, **said}
        return said


@dataclass(frozen=True)
class Identified:
    """A picture, and who is on it."""

    source: str
    found: list[Found]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"source": self.source, "found": [one.to_dict() for one in self.found]}


def clean_name(name: str) -> str:
    """The name as a gallery keeps it: NFC, without spaces around it.

    Raises:
        UsageError: it is empty, too long, or holds characters that cannot be shown.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    if not clean:
        raise UsageError("a name is empty. Give one: --name NAME.")
    if len(clean) > LONGEST_NAME:
        raise UsageError(
            f"a name of {len(clean)} characters is too long. Give at most {LONGEST_NAME}."
        )
    # Control characters, and halves of characters that come from file names that are no text.
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in clean):
        raise UsageError(
            f"the name {clean!r} holds characters that cannot be shown. Leave them out."
        )
    return clean


def unknown_name(name: str, where: str, names: Iterable[str]) -> UsageError:
    """What to say of a name that a gallery does not hold."""
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    few = ", ".join(known[:8]) + (f" and {len(known) - 8:,} more" if len(known) > 8 else "")
    hint = f"Did you mean {' or '.join(near)}?" if near else f"It knows {few or 'nobody'}."
    return UsageError(f"{where} knows no '{name}'. {hint}")


def thumbnail(image: Image) -> bytes:
    """A JPEG of a picture (H, W, 3) uint8, its longer side at most 96 pixels."""
    picture = Pillow.fromarray(image)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def printable(path: str) -> str:
    """A path as text that every database takes, also where its bytes are none."""
    return path.encode("utf-8", "backslashreplace").decode().replace("\0", "")
