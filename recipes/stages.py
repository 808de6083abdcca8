"""One stage against two on the same data: how right, how fast, and how well small objects are found.

Command:  python recipes/stages.py scenes [DATA] --out runs/stages [--minutes 15] [--models …] [--seed 0]
          python recipes/stages.py penn-fudan DATA --out runs/stages
          python recipes/stages.py table --out runs/stages
Result:   see docs/ledger.md; the rows are in OUT/results.jsonl, `table` prints them and draws
          OUT/stages.svg.

Each model is one `boda fit` of so many minutes (R-CNN's include its regions and its SVMs), measured
once on the test split; a picture's time is that of one at a time, from its pixels to the boxes.

- scenes: 4,000 drawn scenes of 128 px (`boda synth`), 600 of them test. Small objects are those of
  up to 32² pixels: nearly all.
- penn-fudan: 170 pictures with 423 pedestrians, the last 50 by name are the test; 256 px.
  `benchmarks/pennfudan_peer.py` does the same with torchvision's detectors. ImageNet's weights by
  `--settings --weights squeezenet1_1.npz --set backbone=squeezenet-1.1 --set width=1`; for R-CNN
  also `--set stride=16 --set proposals=1000 --size 448`, since its proposals need larger pictures.

`mask-rcnn-…` is fitted for masks as well, the others for boxes alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import penn_fudan
from timed import BODA, fit_and_measure

MODELS = ("yolo", "faster-rcnn-resnet18-fpn", "mask-rcnn-resnet18-fpn", "rcnn")
TOLD = ("map50", "map", "map_small", "mask_map50", "mask_map")
SIZES = {"scenes": 128, "penn-fudan": 256}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=(*SIZES, "table"))
    parser.add_argument(
        "data", nargs="?", help="the folder of Penn-Fudan, or scenes that are drawn already"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    if asked.what == "table":
        table(asked.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        if asked.what == "scenes" and asked.data:
            data = Path(asked.data)
        elif asked.what == "scenes":
            subprocess.run(
                [*BODA, "synth", data, "--count", "4000", "--kind", "scenes"], check=True
            )
            data = data / "scenes"
        else:
            penn_fudan.split(Path(asked.data), data)
        for model in asked.models:
            row = one(asked, model, data)
            print(json.dumps(row))
            with open(asked.out / "results.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def one(asked: argparse.Namespace, model: str, data: Path) -> dict:
    """Fit one model, and measure."""
    task = "instances" if model.startswith("mask") else "detect"
    how = ["--model", model, "--size", str(SIZES[asked.what]), "--minutes", str(asked.minutes)]
    how += ["--val", "none", "--seed", str(asked.seed), *asked.settings]
    if asked.what == "scenes":
        how += ["--format", "coco"]
    run = asked.out / f"{asked.what}-{model}-{asked.seed}"
    told = fit_and_measure(task, data, how, "test", run)
    figures, cost = told.pop("figures"), told.pop("a_picture")
    del told["per_class"]
    return {
        "what": asked.what,
        "model": model,
        "seed": asked.seed,
        "settings": " ".join(asked.settings),
        **{name: round(figures[name], 4) for name in TOLD if name in figures},
        "milliseconds": round(cost["milliseconds"], 1),
        "megabytes": round(cost["megabytes"]),
        **told,
    }


def table(out: Path) -> None:
    """All rows as a table, and right against fast as a picture."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot, ticker

    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    columns = ("what", "model", *TOLD, "milliseconds", "megabytes")
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(row.get(name, "")) for name in columns) + " |")
    kinds = list(dict.fromkeys(row["what"] for row in rows))
    figure, axes = pyplot.subplots(1, len(kinds), figsize=(4.4 * len(kinds), 3.4), squeeze=False)
    for axis, what in zip(axes[0], kinds, strict=True):
        for number, row in enumerate(rows):
            if row["what"] == what:
                axis.plot(row["milliseconds"], row["map50"], "o", color="#2563eb")
                axis.plot(row["milliseconds"], row["map_small"], "o", color="#9ca3af")
                place = (row["milliseconds"], row["map50"])
                beside = (4, -10 if number % 2 else 5)  # names of neighbours stand apart
                axis.annotate(row["model"], place, beside, textcoords="offset points", fontsize=7)
        axis.set(title=what, xlabel="ms a picture", ylabel="mAP", xscale="log", ylim=(0, 1.05))
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].plot([], [], "o", color="#2563eb", label="mAP at IoU 0.5")
    axes[0][0].plot([], [], "o", color="#9ca3af", label="mAP of small objects")
    axes[0][0].legend(frameon=False, fontsize=7, loc="lower left")
    figure.tight_layout()
    figure.savefig(out / "stages.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
