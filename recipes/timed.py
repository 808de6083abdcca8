"""What the recipes of a number of minutes have in common: a fit from the shell, and its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BODA = [sys.executable, "-m", "boda"]


def fit_and_measure(
    task: str, data: str | Path, settings: list[str], split: str, run: Path
) -> dict[str, Any]:
    """``boda fit`` and then, once, ``boda evaluate`` of a split of that data."""
    return fit_and_evaluate(task, data, settings, ["--split", split], run)


def fit_and_evaluate(
    task: str, data: str | Path, settings: list[str], asked: list[str], run: Path
) -> dict[str, Any]:
    """``boda fit`` and then, once, ``boda evaluate``.

    Args:
        task: and
        data: of the fit.
        settings: the rest of its arguments; its minutes count from the command's start.
        asked: the arguments of ``boda evaluate`` behind the run.
        run: the folder, which must not be there.

    Returns:
        ``{"figures", "per_class", "a_picture", "epochs", "pictures_per_second", "seconds"}``: the
        metrics, those of each class, and what a picture costs as they are told, the median over the
        epochs, and the seconds of the fit.
    """
    subprocess.run([*BODA, "fit", task, str(data), *settings, "--out", str(run)], check=True)
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    speeds = sorted(row["images_per_second"] for row in rows)
    evaluation = evaluated(run, asked)
    return {
        "figures": evaluation["metrics"],
        "per_class": evaluation.get("per_class", {}),
        "a_picture": evaluation["a_picture"],
        "epochs": len(rows),
        "pictures_per_second": speeds[len(speeds) // 2],
        "seconds": rows[-1]["seconds"],
    }


def evaluated(run: Path, asked: list[str]) -> dict[str, Any]:
    """What ``boda evaluate`` tells of a run, with these arguments behind it."""
    done = subprocess.run(
        [*BODA, "evaluate", str(run), *asked, "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def print_classes(rows: dict[str, dict[str, Any]], columns: tuple[str, ...]) -> None:
    """A line a class with the figures named; "-" where there is none.

    Args:
        rows: class → its figures, as ``boda evaluate`` tells them.
        columns: names of the figures.
    """
    width = max(map(len, rows), default=0)
    print(" " * width + "".join(f"  {name:>11}" for name in columns))
    for name, row in rows.items():
        values = (row.get(column) for column in columns)
        told = ("-" if value is None else f"{value:.3f}" for value in values)
        print(f"{name:<{width}}" + "".join(f"  {text:>11}" for text in told))


def append(folder: Path, row: dict[str, Any]) -> None:
    """Add a row to the results in a folder, ``results.jsonl``."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "results.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def told(row: dict[str, Any], names: tuple[str, ...]) -> str:
    """Some figures of a row and what they took, as one line."""
    figures = row["figures"]
    shown = ", ".join(f"{name} {figures[name]:.4f}" for name in names if name in figures)
    return f"{shown}; {row['epochs']} epochs in {row['seconds']:.0f} s"
