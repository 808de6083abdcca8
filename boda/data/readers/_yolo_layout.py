"""Where YOLO's pictures, labels and names lie: by ``data.yaml``, or by the folders' names."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from boda.data.image import is_picture_name
from boda.data.readers._boxes import REMOVE, Wrong, shown
from boda.data.readers._pictures import split_folder
from boda.data.readers._splits import SPLITS, nfc, split_of
from boda.data.readers._tables import decode_text
from boda.data.readers._yolo_names import (
    NAME_LISTS,
    YAML,
    Names,
    has_names,
    listed_names,
    load_yaml,
    yaml_names,
)
from boda.data.tree import Entry, Tree, join, open_tree
from boda.errors import DataError, Problem

LOOKED_AT = 20  # label files of a folder that are looked into, until one is not empty
LABELS = re.compile(r"labels?([-_].*)?", re.IGNORECASE)
NO_LABELS = (*NAME_LISTS, "train.txt", "val.txt", "valid.txt", "test.txt", "readme.txt")
EXAMPLE = "DATA/images/train/1.jpg  DATA/labels/train/1.txt"
ORDER = ("train", "val", "test", "all")


@dataclass
class Folders:
    """One split: where its pictures and its labels lie, and their names."""

    split: str
    images: str
    labels: str
    pictures: list[str]
    texts: list[str]


@dataclass
class Layout:
    """Everything but the boxes."""

    tree: Tree
    folders: list[Folders]
    names: Names | None
    problems: list[Problem] = field(default_factory=list)


def recognizes(tree: Tree) -> bool:
    """Whether there are labels beside pictures; of a file, whether it is a YAML of names."""
    if tree.kind == "file":
        (name,) = tree.files
        return name.lower().endswith(YAML) and has_names(tree.files[name])
    return any(_pairs(tree).values())


def begins_like_labels(entry: Entry) -> int:
    """How many columns of numbers the first line has: 5, or more of a polygon; else 0."""
    lines = entry.head(1 << 14).decode("ascii", "replace").strip().split("\n")
    cells = lines[0].split()
    if len(cells) < 5 or not cells[0].isdecimal():
        return 0
    try:
        [float(cell) for cell in cells[1:6]]
    except ValueError:
        return 0
    return len(cells)


def find_layout(tree: Tree) -> Layout:
    """Where everything lies.

    Raises:
        DataError: there are no labels, several that could be meant, or names that cannot be read.
    """
    layout = Layout(tree, [], None)
    whole, chosen = tree, None
    if tree.kind == "file":
        (chosen,) = tree.files
        layout.tree = tree = open_tree(tree.root.parent)
    base = _base(tree)
    files = [join(base, name) for name in tree.children(base)[1]]
    yamls = [n for n in files if n.lower().endswith(YAML) and has_names(tree.files[n])]
    content: dict[str, Any] = {}
    chosen = chosen or next(
        (n for n in yamls if PurePosixPath(n).stem.lower() in ("data", "dataset")), None
    )
    if chosen is None and len(yamls) == 1:
        chosen = yamls[0]
    if chosen is not None:
        content = load_yaml(tree.files[chosen])
    if chosen is not None and any(content.get(key) for key in SPLITS):
        layout.folders = folders_by_yaml(tree, base, content, tree.files[chosen], layout.problems)
    else:
        layout.folders, suffix = _by_folders(tree, chosen, layout.problems)
        paired = [n for n in yamls if PurePosixPath(n).stem.lower() == f"names{suffix}"]
        chosen = chosen or (paired[0] if paired else None)
        if chosen is None and yamls:
            raise DataError(
                f"several files could hold the names: {', '.join(yamls)}",
                file=tree.root,
                fix="Name the file that is meant, or call it data.yaml.",
            )
    if not any(folders.pictures for folders in layout.folders) and not layout.problems:
        raise DataError("there are no pictures with labels", file=tree.root, fix=f"As {EXAMPLE}")
    if chosen is not None:
        content = content or load_yaml(tree.files[chosen])
        layout.names = yaml_names(content, tree.files[chosen], layout.problems)
    else:
        layout.names = listed_names(
            tree, base, [folders.labels for folders in layout.folders], layout.problems
        )
    if whole.kind != "file":
        layout.problems += _left(tree, layout.folders)
    layout.folders.sort(key=lambda folders: ORDER.index(folders.split))
    return layout


def _left(tree: Tree, folders: list[Folders]) -> list[Problem]:
    """One warning for the pictures below images/ that are in no split, or have no labels."""
    used = {name for part in folders for name in part.pictures}
    left = [
        name
        for name in tree.files
        if is_picture_name(name) and name not in used and "images" in name.casefold().split("/")
    ]
    if not left:
        return []
    why = f"not read: {len(left):,} pictures in folders without labels, the first of them here"
    fix = "Add a .txt for each, an empty one where nothing is to be seen."
    return [Problem(why, fix, tree.files[left[0]].source, severity="warning")]


def _base(tree: Tree) -> str:
    """Single wrapping folders are skipped over."""
    base = ""
    while True:
        folders, files = tree.children(base)
        if len(folders) != 1 or files or split_of(folders[0]) or _is_role(folders[0]):
            return base
        base = join(base, folders[0])


def _is_role(folder: str) -> bool:
    return folder.casefold() == "images" or LABELS.fullmatch(folder) is not None


def _pairs(tree: Tree, strict: bool = True) -> dict[tuple[str, str], list[str]]:
    """(images, labels) folders → label files; ``strict``: one at least must look like labels."""
    texts: dict[str, list[str]] = defaultdict(list)
    pictures: dict[str, set[str]] = defaultdict(set)
    for name in tree.files:
        folder, _, file = name.rpartition("/")
        if file.lower().endswith(".txt") and file.casefold() not in NO_LABELS:
            texts[folder].append(name)
        elif is_picture_name(file):
            pictures[folder].add(PurePosixPath(file).stem)
    pairs: dict[tuple[str, str], list[str]] = {}
    for folder, names in texts.items():
        images = _images_of(folder, pictures)
        columns = _columns(tree, names)
        stems = {PurePosixPath(name).stem for name in names}
        if images is None or (columns == 0 and (strict or folder == images)):
            continue
        if folder != images or (columns and stems & pictures[images]):
            pairs[images, folder] = names
    return pairs


def _images_of(labels: str, pictures: dict[str, set[str]]) -> str | None:
    """The folder of pictures that belongs to a folder of labels."""
    parts = labels.split("/")
    for at in reversed(range(len(parts))):
        if LABELS.fullmatch(parts[at]):
            for role in ("images", "Images", "JPEGImages", "imgs"):
                images = "/".join([*parts[:at], role, *parts[at + 1 :]])
                if images in pictures:
                    return images
    return labels if labels in pictures else None


def _columns(tree: Tree, names: list[str]) -> int | None:
    """Columns of the first file that looks like labels; 0 where none does, None where all are empty."""
    full = [name for name in names[:LOOKED_AT] if tree.files[name].head(1 << 10).strip()]
    counts = [begins_like_labels(tree.files[name]) for name in full]
    return next((count for count in counts if count), 0) if counts else None


def _group(labels: str) -> str:
    """The word that tells sets of labels apart: "labels-seg" of "labels-seg/train"."""
    parts = [part for part in labels.split("/") if LABELS.fullmatch(part)]
    return parts[-1].casefold() if parts else ""


def _by_folders(
    tree: Tree, chosen: str | None, problems: list[Problem]
) -> tuple[list[Folders], str]:
    """The splits by the folders' names, and what follows "labels" in the name of that folder."""
    pairs = _pairs(tree, strict=False)
    pictures: dict[str, list[str]] = defaultdict(list)
    for name in tree.files:
        if is_picture_name(name):
            pictures[posixpath.dirname(name)].append(name)
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in pairs:
        groups[_group(pair[1])].append(pair)
    if not groups:
        raise DataError("there are no label files", file=tree.root, fix=f"As {EXAMPLE}")
    found = list(groups)
    if len(found) > 1 and chosen is not None:
        suffix = PurePosixPath(chosen).stem.casefold().removeprefix("names")
        found = [group for group in found if group == f"labels{suffix}"] or found
    if len(found) > 1:
        usual = [group for group in found if group in ("labels", "")]
        found = sorted(usual, reverse=True)[:1] or [
            g for g in found if all(_columns(tree, pairs[pair]) in (5, None) for pair in groups[g])
        ]
    if len(found) != 1:
        raise DataError(
            f"several folders could hold the labels: {', '.join(groups)}",
            file=tree.root,
            fix="Name the YAML of the one that is meant, called as the folder: names-x for labels-x.",
        )
    for group in groups:
        if group != found[0]:
            why, fix = f"not read: {found[0]} is", "Name its YAML of names if it is meant."
            folder = tree.shown(groups[group][0][1])
            problems.append(Problem(why, fix, folder, severity="warning"))
    places = []
    for images, labels in groups[found[0]]:
        split = next((s for part in images.split("/") if (s := split_folder(part))), "all")
        places.append(Folders(split, images, labels, pictures[images], pairs[images, labels]))
    return places, found[0].removeprefix("labels").removeprefix("label")


def folders_by_yaml(
    tree: Tree, base: str, content: dict[str, Any], entry: Entry, problems: list[Problem]
) -> list[Folders]:
    """The splits as ``train:``, ``val:`` and ``test:`` of a YAML say: folders, or lists of pictures."""
    found: list[Folders] = []
    root = content.get("path")
    root = root.strip("/") if isinstance(root, str) else ""
    for key, split in SPLITS.items():
        paths = content.get(key) or []
        for path in paths if isinstance(paths, list) else [paths]:
            place = None
            if isinstance(path, str):
                # Roboflow writes "../train/images" and means the folder beside the YAML.
                bare = re.sub(r"^(\.{0,2}/)+", "", nfc(path.strip().replace("\\", "/")))
                tries = [path, posixpath.join(root, path), bare]
                tries = [posixpath.normpath(join(base, one)).removeprefix("./") for one in tries]
                place = next(
                    (one for one in tries if one in tree.folders or one in tree.files), None
                )
                place = "" if place is None and "." in tries else place
            if place is None:
                why = f"{key}: {str(path)[:80]} is not there"
                fix = "Give the folder of pictures relative to this file, or take the line out."
                problems.append(Problem(why, fix, entry.source, field=key))
            else:
                found.append(_place(tree, split, place, problems))
    return found


def _place(tree: Tree, split: str, place: str, problems: list[Problem]) -> Folders:
    if place in tree.files:
        pictures = _list(tree, place, problems)
        images = posixpath.dirname(pictures[0]) if pictures else ""
        return Folders(split, images, _labels_of(images), pictures, [])
    start = f"{place}/" if place else ""
    pictures = [n for n in tree.files if n.startswith(start) and is_picture_name(n)]
    labels = _labels_of(place)
    start = f"{labels}/" if labels else ""
    texts = [
        name
        for name in tree.files
        if name.startswith(start)
        and name.lower().endswith(".txt")
        and posixpath.basename(name).casefold() not in NO_LABELS
    ]
    return Folders(split, place, labels, pictures, texts)


def _labels_of(images: str) -> str:
    """The folder of labels that belongs to one of pictures: the last "images" becomes "labels"."""
    parts = images.split("/")
    for at in reversed(range(len(parts))):
        if parts[at].casefold() == "images":
            return "/".join([*parts[:at], "labels", *parts[at + 1 :]])
    return images


def _list(tree: Tree, name: str, problems: list[Problem]) -> list[str]:
    """The pictures of a list of paths; the longest end of a path that is in the data counts."""
    entry, found = tree.files[name], []
    text = decode_text(entry, entry.read())
    for line, path in enumerate(text.split("\n"), start=1):
        parts = [part for part in nfc(path.strip()).replace("\\", "/").split("/") if part != "."]
        if not any(parts):
            continue
        ends = ("/".join(parts[at:]) for at in range(len(parts)))
        here = posixpath.dirname(name)
        ends = (one for end in ends for one in (join(here, end), end))
        picture = next((end for end in ends if end in tree.files), None)
        if picture is None:
            wrong = Wrong(f"the picture {shown(path.strip())} is missing", REMOVE)
            problems.append(wrong.at(entry.source, line))
        else:
            found.append(picture)
    return found
