"""Transfer learning on a few hundred pictures: what is frozen, under the same minutes.

Command:  python recipes/transfer.py FLOWERS --weights WEIGHTS --minutes 1.5 [--seeds 0 1 2]
Result:   from scratch 64.0 % (resnet20-strided, 22 epochs) and 38.0 % (squeezenet-1.1, 8 epochs),
          --freeze all 80.0 % (118 epochs, most of them on kept features), --freeze none 78.0 % (11):
          400 pictures, seed 0, 90 s a fit on one thread of an AMD EPYC (Zen 4), torch 2.13 CPU.

FLOWERS holds train/ and val/, class folders each. Every fit learns from all of train/, keeps its
last weights (there is nothing to choose by), and meets val/ once, after its time is over. WEIGHTS
were fitted to ImageNet; the fit from scratch has the network boda chooses by itself, and the same
network once more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import boda
from boda.progress import Progress
from boda.runs import next_folder

CASES = {  # name: options of the fit
    "from scratch": {},
    "from scratch, the same network": {"model": True},
    "--freeze all": {"model": True, "weights": True, "freeze": "all"},
    "--freeze half": {"model": True, "weights": True, "freeze": "5"},
    "--freeze gradual": {"model": True, "weights": True, "freeze": "gradual"},
    "--freeze none": {"model": True, "weights": True, "freeze": "none"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="squeezenet-1.1")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="*", help="of the cases, those with such a word")
    chosen = parser.parse_args()
    filled = {"model": chosen.model, "weights": chosen.weights}
    for name, case in CASES.items():
        if chosen.only and not any(word in name for word in chosen.only):
            continue
        options = {k: filled[k] if v is True else v for k, v in case.items()}
        for seed in chosen.seeds:
            run = boda.fit(
                "classify",
                chosen.data / "train",
                val="none",
                minutes=chosen.minutes,
                seed=seed,
                out=next_folder("transfer"),
                progress=Progress(quiet=True),
                **options,
            )
            metrics = boda.evaluate(run.path, chosen.data / "val")["metrics"]
            print(
                f"{name:32} seed {seed}  {run.record['model']:16} {run.record['epochs']:>4} epochs  "
                f"{run.record['seconds']:5.0f} s  accuracy {100 * metrics['accuracy']:.1f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
