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
    """``boda fit`` and then, once, ``boda evaluate``.

    Args:
        task: and
        data: of the fit.
        settings: the rest of its arguments; its minutes count from the command's start.
        split: that is measured.
        run: the folder, which must not be there.

    Returns:
        ``{"figures", "a_picture", "epochs", "pictures_per_second", "seconds"}``: the metrics and what
        a picture costs as they are told, the median over the epochs, and the seconds of the fit.
    """
    subprocess.run([*BODA, "fit", task, str(data), *settings, "--out", str(run)], check=True)
    done = subprocess.run(
        [*BODA, "evaluate", str(run), "--split", split, "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    speeds = sorted(row["images_per_second"] for row in rows)
    evaluation = json.loads(done.stdout)
    return {
        "figures": evaluation["metrics"],
        "a_picture": evaluation["a_picture"],
        "epochs": len(rows),
        "pictures_per_second": speeds[len(speeds) // 2],
        "seconds": rows[-1]["seconds"],
    }
