"""The 20 fixed runs in which Omniglot's authors measure one-shot classification: ``all_runs.zip``.

Lake, Salakhutdinov and Tenenbaum 2015 (Science 350). Each run shows one drawing of each of 20
characters, by one drawer, and asks about as many by another; ``class_labels.txt`` says which is
which, a line each: "run01/test/item01.png run01/training/class05.png". All pictures are the split
"test", and each run is an ``Episode``. The identities' names are of their run: "run01/class05".
"""

from __future__ import annotations

import posixpath
from typing import ClassVar

from boda.data.image import is_picture_name
from boda.data.readers import READERS
from boda.data.readers._boxes import REMOVE, Wrong, shown
from boda.data.readers._identities import LABELS, identified, left_over, runs_of
from boda.data.readers._pictures import find, relative
from boda.data.readers._splits import Record
from boda.data.readers._tables import decode_text
from boda.data.tree import Tree, join
from boda.errors import DataError, Problem
from boda.types import Dataset, Episode

SPLIT = "test"
AGAIN = "Get the archive again, or correct the line."


@READERS.register("omniglot-runs")
class OmniglotRuns:
    """``run01/class_labels.txt`` with ``run01/test`` and ``run01/training``, to ``run20``."""

    name: ClassVar[str] = "omniglot-runs"
    tasks: ClassVar[tuple[str, ...]] = ("match",)
    description: ClassVar[str] = "Omniglot's fixed one-shot runs"
    layout: ClassVar[str] = "DATA/run01/class_labels.txt  DATA/run01/training/class01.png"

    def recognizes(self, tree: Tree) -> bool:
        """Whether there are runs, and no sets of alphabets beside them."""
        return bool(runs_of(tree)) and not any("/character" in name for name in tree.folders)

    def read(self, tree: Tree) -> Dataset:
        """All runs by name; a line that is wrong is named, and not asked."""
        if not self.recognizes(tree):
            why = f"there are no runs with {LABELS} and pictures to learn from"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        records: list[Record] = []
        episodes: list[Episode] = []
        for folder in runs_of(tree):
            run = _Run(tree, folder)
            run.read(problems)
            records += run.records
            if run.answers:
                episodes.append(run.episode())
        if not problems:  # else the line that is wrong may have meant them
            used = {record.entry.source for record in records}
            fix = "Add the lines, or take the pictures away."
            problems += left_over(tree, used, f"are in no line of a {LABELS}", fix)
        dataset = identified(tree.root, self.name, records, problems)
        dataset.episodes = episodes
        return dataset


class _Run:
    """One run while it is read.

    Attributes:
        records: the pictures: first those to learn from, then those that are asked about.
        answers: id of a picture that is asked about → id of the one that shows the same.
    """

    def __init__(self, tree: Tree, folder: str) -> None:
        self.tree, self.folder = tree, folder
        self.above, self.name = posixpath.split(folder)
        self.records: list[Record] = []
        self.answers: dict[str, str] = {}

    def read(self, problems: list[Problem]) -> None:
        """The pictures of ``training``, then the lines; an error for each that is wrong."""
        training = join(self.folder, "training")
        for file in self.tree.children(training)[1]:
            if is_picture_name(file):
                identity = f"{self.name}/{posixpath.splitext(file)[0]}"
                self._enter(join(training, file), identity)
        known = {record.id: record.name for record in self.records}
        entry = self.tree.files[join(self.folder, LABELS)]
        for line, text in enumerate(decode_text(entry, entry.read()).splitlines(), start=1):
            try:
                if text.strip():
                    self._line(text.split(), known)
            except Wrong as wrong:
                problems.append(wrong.at(entry.source, line))
        if not self.answers:
            why = "no line says which pictures show the same"
            problems.append(Problem(why, AGAIN, entry.source))

    def _line(self, fields: list[str], known: dict[str, str]) -> None:
        if len(fields) != 2:
            raise Wrong(f"the line has {len(fields)} words, not two", AGAIN)
        asked, answer = (self._place(field) for field in fields)
        if (identity := known.get(answer)) is None:
            raise Wrong(f"{shown(fields[1])} is not in {self.name}/training", AGAIN)
        if asked in known:
            raise Wrong(f"{shown(fields[0])} is a picture to learn from", AGAIN)
        if asked in self.answers:
            raise Wrong(f"{shown(fields[0])} has an answer above", AGAIN)
        self._enter(join(self.above, asked), identity)
        self.answers[asked] = answer

    def _place(self, path: str) -> str:
        """The path of a picture of this run, relative to the folder of all runs."""
        name, _ = find(self.tree, [self.above], relative(path, ""), "")
        own = name[len(self.above) + 1 :] if self.above else name
        if not own.startswith(f"{self.name}/"):
            raise Wrong(f"{shown(path)} is of another run", AGAIN)
        if not is_picture_name(own):
            raise Wrong(f"{shown(path)} is no picture's name", REMOVE)
        return own

    def _enter(self, name: str, identity: str) -> None:
        entry = self.tree.files[name]
        own = name[len(self.above) + 1 :] if self.above else name
        self.records.append(Record(SPLIT, own, entry.source, identity, entry))

    def episode(self) -> Episode:
        """The run; pictures in the order of their names."""
        known = sorted(r.id for r in self.records if r.id not in self.answers)
        asked = sorted(self.answers)
        answers = tuple(known.index(self.answers[query]) for query in asked)
        return Episode(self.name, SPLIT, tuple(known), tuple(asked), answers)
