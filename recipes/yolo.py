"""``yolo`` from scratch in minutes on two cores: drawn scenes, 160 raccoons, and 128 pictures of COCO.

Command:  python recipes/yolo.py scenes|raccoon|coco128 [DATA] --out runs/yolo [--seeds 0 1]
Result:   see docs/ledger.md. The lines of a run are appended to OUT/results.jsonl.

Each is the command `boda fit detect`, its minutes counted from the command's start, then `boda
evaluate`, once:

- scenes: 1,500 scenes drawn by `boda synth`, 128 px, 5 minutes, with twice the rate and twice the
  weight of the classes that it chooses by itself; measured on the drawn test split. Of every object
  at least half is seen.
- raccoon: the raccoon data (Pascal VOC), its own split of 160 and 40, 256 px, 12 minutes, learning
  from all 160 (`--val none`); measured on the 40. A box around the whole picture scores 0.345 /
  0.118 there, so figures near that say nothing. `benchmarks/raccoon_peer.py` does the same with
  ultralytics' yolo11n.
- coco128: 128 pictures with 80 classes, 320 px, 12 minutes without augmentation, learned from and
  measured on: a test of overfitting, which says that many classes can be learned and nothing about
  other pictures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from timed import BODA, fit_and_measure

SETTINGS = {
    "scenes": (
        ["--size", "128", "--minutes", "5", "--lr", "4e-3", "--set", "classes=2"],
        "test",
    ),
    "raccoon": (["--size", "256", "--minutes", "12", "--val", "none"], "test"),
    "coco128": (
        ["--size", "320", "--minutes", "12", "--val", "none", "--augment", "none"],
        "train",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=SETTINGS)
    parser.add_argument("data", nargs="?", help="not for scenes, which are drawn")
    parser.add_argument("--format", help="coco128 can be read as coco or as yolo")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    if (asked.what == "scenes") != (asked.data is None):
        parser.error("name the data, but for scenes, which are drawn")
    with tempfile.TemporaryDirectory() as folder:
        data = asked.data
        if data is None:
            drawn = Path(folder) / "drawn"
            command = ["synth", str(drawn), "--count", "1500", "--kind", "scenes"]
            subprocess.run([*BODA, *command], check=True)
            data = str(drawn / "scenes")
        for seed in asked.seeds:
            row = one(asked.what, data, asked.format, asked.out, seed)
            print(json.dumps(row))
            with open(asked.out / "results.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def one(what: str, data: str, format: str | None, out: Path, seed: int) -> dict:
    """Fit with one seed, and measure."""
    settings, split = SETTINGS[what]
    how = ["--format", format, "--drop"] if format else []
    told = fit_and_measure(
        "detect", data, [*settings, *how, "--seed", str(seed)], split, out / f"{what}-{seed}"
    )
    figures = told.pop("figures")
    del told["per_class"]
    return {
        "what": what,
        "seed": seed,
        "map50": round(figures["map50"], 4),
        "map": round(figures["map"], 4),
        "milliseconds": round(told.pop("a_picture")["milliseconds"], 1),
        **told,
    }


if __name__ == "__main__":
    main()
