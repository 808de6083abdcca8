"""Super-resolution in half an hour: pictures of T91, ×2 and ×4, measured on Set5 and Set14.

Command:  OMP_NUM_THREADS=2 python recipes/superres.py SUPERRES --scale 2 --minutes 30 --out runs
          … --scale 4 --model srgan --weights runs/srresnet-x4 --minutes 12 --features MODEL:FILE
Result:   PSNR and SSIM of Y without a border of as many pixels as the scale, beside those of bicubic
          interpolation; see docs/ledger.md.

SUPERRES holds T91 (Yang, Wright, Huang, Ma 2010, IEEE Transactions on Image Processing 19), of which
the small pictures are made, and the authors' pairs of Set5 and Set14, of which nothing is looked at
before the fit is over. All 91 pictures are learned from; the last averaged weights are kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from timed import evaluated, fit_and_evaluate


def measured(asked: argparse.Namespace, run: Path) -> dict[str, Any]:
    """Fit, and measure on each test set that is there for the scale."""
    settings = ["--minutes", str(asked.minutes), "--val", "none", "--model", asked.model]
    settings += ["--set", f"scale={asked.scale}"]
    if asked.weights:
        settings += ["--weights", str(asked.weights)]
    for setting in [*asked.set, *([f"features={asked.features}"] if asked.features else [])]:
        settings += ["--set", setting]
    sets = {
        name: folder
        for name in ("Set5", "Set14")
        if (folder := asked.data / name / f"image_SRF_{asked.scale}").is_dir()
    }
    first, *others = sets
    row = fit_and_evaluate("upscale", asked.data / "T91", settings, [str(sets[first])], run)
    figures = {first: row.pop("figures")}
    figures |= {name: evaluated(run, [str(sets[name])])["metrics"] for name in others}
    return {"model": asked.model, "scale": asked.scale, "figures": figures, **row}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="the folder that holds T91, Set5 and Set14")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--model", default="srresnet")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--weights", type=Path, help="a run to start from")
    parser.add_argument("--features", default="", help="MODEL:FILE, measured in and learned by")
    parser.add_argument("--set", action="append", default=[], help="a setting of the fit")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    asked = parser.parse_args()
    row = measured(asked, asked.out / f"{asked.model}-x{asked.scale}")
    with open(asked.out / "superres.jsonl", "a", encoding="utf-8") as rows:
        rows.write(json.dumps(row) + "\n")
    for name, figures in row["figures"].items():
        told = "  ".join(f"{key} {value:.4f}" for key, value in figures.items())
        print(f"{asked.model} ×{asked.scale} {name}: {told}")


if __name__ == "__main__":
    main()
