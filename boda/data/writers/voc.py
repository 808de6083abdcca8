"""Pascal VOC: ``Annotations/1.xml``, ``JPEGImages/1.jpg`` and ``ImageSets/Main/train.txt``.

Numbers count from 1, xmax included: xmin = x1 + 1, xmax = x2. VOC's are whole numbers; a box that
does not lie between pixels is written with its decimals, which most programs read, and counted.
Crowds are written as difficult, with a ``crowd`` of our own; outlines cannot be written.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import escape

from boda.data.writers import plain
from boda.files import atomic_write
from boda.types import Dataset, Sample


def place(dataset: Dataset, split: str, id: str) -> str:
    """``JPEGImages/1.jpg``; ``JPEGImages/train/1.jpg`` where splits share names."""
    return f"JPEGImages/{_name(dataset, split, id)}"


def write(dataset: Dataset, folder: Path) -> Counter[str]:
    """Write an XML a picture, and a list a split; returns what was said otherwise, or not."""
    told: Counter[str] = Counter()
    used: set[int] = set()
    for split, samples in dataset.splits.items():
        names = []
        for sample in samples:
            name = PurePosixPath(_name(dataset, split, sample.id))
            file = folder / "Annotations" / name.with_suffix(".xml")
            file.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(file, _xml(dataset, sample, name.name, told).encode())
            used |= set() if sample.labels is None else set(sample.labels.tolist())
            names.append(str(name.with_suffix("")))
        if split != "all":
            lists = folder / "ImageSets" / "Main"
            lists.mkdir(parents=True, exist_ok=True)
            atomic_write(lists / f"{split}.txt", "".join(f"{n}\n" for n in names).encode())
    told["classes without a box, which Pascal VOC cannot name"] = len(dataset.classes) - len(used)
    return told


def _name(dataset: Dataset, split: str, id: str) -> str:
    return f"{split}/{id}" if _share_names(dataset) else id


def _share_names(dataset: Dataset) -> bool:
    """Whether a name without its suffix is in two splits."""
    stems = [{_stem(s.id) for s in samples} for samples in dataset.splits.values()]
    return len(set().union(*stems)) < sum(map(len, stems))


def _stem(id: str) -> str:
    return str(PurePosixPath(id).with_suffix(""))


def _xml(dataset: Dataset, sample: Sample, name: str, told: Counter[str]) -> str:
    assert sample.boxes is not None and sample.labels is not None and sample.size is not None
    height, width = sample.size
    lines = [
        "<annotation>",
        f"  <filename>{escape(name)}</filename>",
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
    ]
    for i, (box, label) in enumerate(zip(sample.boxes.tolist(), sample.labels, strict=True)):
        x1, y1, x2, y2 = box
        crowd = sample.crowd is not None and bool(sample.crowd[i])
        difficult = crowd or (sample.difficult is not None and bool(sample.difficult[i]))
        numbers = zip(("xmin", "ymin", "xmax", "ymax"), (x1 + 1, y1 + 1, x2, y2), strict=True)
        written = "".join(f"<{tag}>{plain(value)!r}</{tag}>" for tag, value in numbers)
        told["boxes with decimals, which Pascal VOC has not"] += any(v % 1 for v in box)
        told["outlines left out"] += sample.outlines is not None and sample.outlines[i] is not None
        told["crowds written as difficult"] += crowd
        lines += [
            "  <object>",
            f"    <name>{escape(dataset.classes[label])}</name>",
            f"    <difficult>{int(difficult)}</difficult>",
            *(["    <crowd>1</crowd>"] if crowd else []),
            f"    <bndbox>{written}</bndbox>",
            "  </object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])
