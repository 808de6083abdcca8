"""U-Net from random weights on drawn scenes: how far three minutes on two cores lead.

Command:  python recipes/unet_scenes.py --out runs/unet-scenes [--minutes 3] [--seed 0] [--settings …]
Result:   see docs/ledger.md; the rows are appended to OUT/results.jsonl.

4,000 scenes of 128 px are drawn by `boda synth`, 2,800 to learn from and 600 to test: six shapes that
hide parts of each other. `boda fit segment --model unet`, its minutes counted from the command's
start, then `boda evaluate`, once, on the test pictures. Everything but the size is left to it: a light
U-Net of 32 channels at first, Muon at 2e-2 in batches of 16. What was tried on val stands in the ledger.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from timed import BODA, fit_and_measure, print_classes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    how = ["--model", "unet", "--size", "128"]
    how += ["--minutes", str(asked.minutes), "--seed", str(asked.seed), *asked.settings]
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn"
        subprocess.run([*BODA, "synth", drawn, "--count", "4000", "--kind", "scenes"], check=True)
        told = fit_and_measure("segment", drawn / "scenes", how, "test", asked.out / "unet")
    print_classes(told.pop("per_class"), ("iou", "dice", "boundary_f1"))
    print(f"miou {told['figures']['miou']:.3f} after {told['epochs']} epochs")
    with open(asked.out / "results.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"seed": asked.seed, "settings": asked.settings, **told}) + "\n")


if __name__ == "__main__":
    main()
