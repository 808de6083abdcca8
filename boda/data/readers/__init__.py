"""From a path to a ``Dataset``: every file here that does not begin with ``_`` is one format.

To add a format, add a file with one class like this and nothing else::

    @READERS.register("mine")
    class Mine:
        name = "mine"
        tasks = ("classify",)
        description = "one line for tables and help"
        layout = "an example of what it understands"

        def recognizes(self, tree: Tree) -> bool: ...   # cheap: names and a few first bytes
        def read(self, tree: Tree) -> Dataset: ...      # DataError where there is nothing to read
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol

from boda.data.image import IMAGE_SUFFIXES, looks_like
from boda.data.largest import with_largest
from boda.data.mapped import with_maps
from boda.data.outlined import with_outlines
from boda.data.tree import Tree, open_tree
from boda.errors import DataError, UsageError, unknown
from boda.registry import Registry
from boda.types import Dataset


class Reader(Protocol):
    """One format of data.

    Attributes:
        name: what ``--format`` calls it.
        tasks: the tasks its data can serve; the first is what it is made for, and of several readers
            that fit, the one made for the task that is asked for is taken.
        description: one line.
        layout: a small example, a few lines.
    """

    name: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    description: ClassVar[str]
    layout: ClassVar[str]

    def recognizes(self, tree: Tree) -> bool:
        """Whether the tree is of this format, by names and first bytes; never raises."""
        ...

    def read(self, tree: Tree) -> Dataset:
        """The data set; what is wrong with single records is in its ``problems``.

        Raises:
            DataError: nothing of this format can be read there.
        """
        ...


READERS: Registry[type[Reader]] = Registry("format")
# Of pictures of which nothing is said: asked only where a task is named that needs no more.
BARE = ("pictures", "side-by-side", "two-folders")


def read(path: str | Path, format: str | None = None, task: str | None = None) -> Dataset:
    """Read the data at ``path``, whatever its format.

    Args:
        path: a folder, an archive or a file.
        format: a reader's name; else every reader is asked whether it recognizes the data.
        task: only readers that serve this task are asked.

    Raises:
        DataError: there is nothing at the path, nothing in it, or nothing that a reader knows.
        UsageError: an unknown format, one that does not serve the task, or several that fit.
    """
    tree = open_tree(path)
    known = {name for reader in READERS for name in READERS[reader].tasks}
    if task is not None and task not in known:
        raise unknown("task", task, known)
    if format is not None:
        chosen = READERS[format]
        if task is not None and task not in chosen.tasks:
            raise UsageError(
                f"format '{format}' holds data for {', '.join(chosen.tasks)}, not for {task}."
            )
    _refuse_nothing(tree, task)
    if format is not None:
        fitting = [chosen]
    else:
        asked = (READERS[name] for name in READERS.names())
        fitting = [
            reader for reader in asked if _serves(reader, task) and reader().recognizes(tree)
        ]
    if not fitting:
        why = _what_is_there(tree, task)
        if task is not None:
            others = [READERS[name] for name in READERS.names() if name not in BARE]
            fits = [r for r in others if task not in r.tasks and r().recognizes(tree)]
            told = ", ".join(f"'{r.name}' for {' and '.join(r.tasks)}" for r in fits)
            why = f"no layout for {task} is recognized; it is read as {told}" if fits else why
        raise DataError(why, file=tree.root, fix=_layouts(task))
    fitting = _nearest(fitting, task)
    if len(fitting) > 1:
        names = " and ".join(f"'{reader.name}'" for reader in fitting)
        raise UsageError(
            f"{tree.root} can be read as {names}. Say which: --format {fitting[0].name}"
        )
    dataset = fitting[0]().read(tree)
    dataset.problems[:0] = tree.problems
    if task == "segment" and dataset.task != "segment":
        return with_maps(dataset)
    dataset.task = task or dataset.task
    if task == "instances":
        return with_outlines(dataset)
    return with_largest(dataset) if task == "localize" else dataset


def _serves(reader: type[Reader], task: str | None) -> bool:
    return reader.name not in BARE if task is None else task in reader.tasks


def _nearest(fitting: list[type[Reader]], task: str | None) -> list[type[Reader]]:
    """Of several readers the one whose first task it is; without a task, those that know objects.

    A folder a person is a folder a class too: without a task it is read as classes.
    """
    if task is None:
        return [r for r in fitting if r.tasks[0] not in ("segment", "match")] or fitting
    first = [reader for reader in fitting if reader.tasks[0] == task]
    return first if len(first) == 1 else fitting


def _refuse_nothing(tree: Tree, task: str | None) -> None:
    if not tree.files:
        what = "archive" if tree.kind == "archive" else "folder"
        within = f" (but for {len(tree.folders)} empty folders)" if tree.folders else ""
        raise DataError(f"the {what} is empty{within}", file=tree.root, fix=_layouts(task))
    if tree.kind == "file":
        (entry,) = tree.files.values()
        if not (head := entry.head(512)):
            raise DataError("the file is empty (0 bytes)", file=tree.root, fix="Get it again.")
        if PurePosixPath(tree.root.name).suffix.lower() in IMAGE_SUFFIXES:
            what = "one folder of pictures for each class"
            what = what if task in (None, "classify") else "the pictures and what is known of them"
            raise DataError(
                f"is a single file ({_kind(head)}), not a set of labelled pictures",
                file=tree.root,
                fix=f"Name the folder that holds {what}.",
            )


def _kind(head: bytes) -> str:
    what = looks_like(head)
    return "one picture" if what == "no format that is known" else f"it looks like {what}"


def _what_is_there(tree: Tree, task: str | None) -> str:
    """What lies in a tree that no reader recognized, in one clause."""
    if tree.kind == "file":
        (entry,) = tree.files.values()
        head = entry.head(512)
        first = head.decode("utf-8", "replace").split("\n")[0].strip()
        what = looks_like(head)
        shown = f", beginning with '{first[:80]}'" if what == "text" else ""
        return f"no layout of labelled data is recognized: this is one file ({what}{shown})"
    kinds = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in tree.files)
    counted = ", ".join(f"{count:,} {suffix}" for suffix, count in kinds.most_common(4))
    folders, files = tree.children()
    tops = ", ".join([f"{name}/" for name in folders] + files)
    pictures = any(kind in IMAGE_SUFFIXES for kind in kinds)
    hint = "" if pictures else "; there are no pictures"
    if pictures and task in (None, "classify"):
        hint = "; the pictures are not in class folders"
    begin = tops if len(tops) <= 120 else f"{tops[:120]}…"
    return f"no layout of labelled data is recognized; there is: {begin} ({counted}){hint}"


def _layouts(task: str | None) -> str:
    """The layouts that are understood, one line each."""
    readers = [READERS[name] for name in READERS.names()]
    told = [reader for reader in readers if task is None or task in reader.tasks]
    width = max(len(reader.name) for reader in told)
    lines = ["Understood:"]
    for reader in told:
        example = reader.layout.strip().split("\n")[0].strip()
        lines.append(f"  {reader.name:<{width}} {reader.description}, as {example}")
    return "\n".join(lines)


for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")
