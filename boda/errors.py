"""What boda says when the request or the data is wrong: which file, which line, why, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]
SHOWN = 20  # problems that one message names


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the data.

    Attributes:
        why: what is wrong, in one clause.
        fix: what the person can do about it.
        file: path of the file; inside an archive, the archive's path and the member's: ``a.zip/cat/1.png``.
        line: 1-based line of a text file, row of a table or record of a binary file.
        field: the column, key or tag that is wrong.
        severity: an "error" stops ``fit``; a "warning" stands in the report.
    """

    why: str
    fix: str
    file: str = ""
    line: int | None = None
    field: str | None = None
    severity: Severity = "error"

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        field = f" [{self.field}]" if self.field else ""
        return f"{where}{field}: {self.why}. {self.fix}" if where else f"{self.why}. {self.fix}"

    def to_dict(self) -> dict[str, Any]:
        """The problem as plain JSON values."""
        return asdict(self)


class BodaError(Exception):
    """An error that is told to the person in one message, without a traceback; exit status 2."""

    exit_status = 2


class UsageError(BodaError):
    """The request is wrong: an unknown name, an option out of range, a folder that may not be written."""


class DataError(BodaError):
    """The data is wrong; carries every problem that was found.

    Raise it with the fields of one problem, or with ``problems`` and a ``summary`` behind them.
    """

    def __init__(
        self,
        why: str = "",
        *,
        file: object = "",
        line: int | None = None,
        field: str | None = None,
        fix: str = "",
        problems: Sequence[Problem] = (),
        summary: str = "",
    ) -> None:
        self.problems = tuple(problems) or (Problem(why, fix, str(file), line, field),)
        lines = [str(problem) for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            lines.append(f"… and {len(self.problems) - SHOWN} more; `boda check` names them all")
        super().__init__("\n".join(lines + [summary] * bool(summary)))


class TrainingError(BodaError):
    """The work itself failed (a loss that is not finite, memory that is not there); exit status 1."""

    exit_status = 1


class Stopped(BodaError):  # noqa: N818 it is no error
    """The person stopped the work, and everything is saved; exit status 130."""

    exit_status = 130


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """A ``UsageError`` for a name that is not known, with the nearest names that are."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
    return UsageError(f"unknown {kind} '{name}'. {hint}")
