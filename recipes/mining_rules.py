"""Random triplets soon teach nothing: the share that is active, and what is known, by mining rule.

Command:  python recipes/mining_rules.py DATA --out runs/mining [--minutes 1] [--seed 0]
          [--rules random hard semi-hard all distance-weighted] [--settings …]
Result:   see docs/map.md and docs/ledger.md (there with `--settings --size 32`).
          OUT gets mining.svg, mining.md and a run for each rule.

DATA is for `match`, such as ``images_background_small1.zip`` of Omniglot. The same network is fitted
for the same minutes with the notes' triplet loss, and nothing differs but how a batch's triplets are
chosen. A triplet is active where d(a,p) − d(a,n) + margin is above 0: all others have no gradient.
Each rule's share is of the triplets it chose itself: of hard ones nearly all, of all the fewest. What
counts is on the right, the accuracy on identities that are held back, epoch by epoch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from timed import BODA

RULES = ("random", "hard", "semi-hard", "all", "distance-weighted")
PANELS = (("train_active", "active triplets"), ("val_accuracy", "one-shot accuracy, held back"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rules", nargs="+", default=list(RULES), choices=RULES)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    curves = {}
    for rule in asked.rules:
        run = asked.out / rule
        how = ["--minutes", str(asked.minutes), "--seed", str(asked.seed)]
        how += ["--set", "loss=triplet", "--set", f"mining={rule}", *asked.settings]
        subprocess.run([*BODA, "fit", "match", asked.data, *how, "--out", str(run)], check=True)
        lines = (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
        curves[rule] = [json.loads(line) for line in lines]
    table = told(curves)
    (asked.out / "mining.md").write_text(table, encoding="utf-8")
    print(table)
    draw(curves, asked.out / "mining.svg")


def told(curves: dict[str, list[dict[str, Any]]]) -> str:
    """A row a rule: the active share in the first, the middle and the last epoch, and the accuracies."""
    out = "| mining | active: first | middle | last | accuracy: last | best | epochs |\n"
    out += "|---|---|---|---|---|---|---|\n"
    for rule, rows in curves.items():
        active = [row["train_active"] for row in rows]
        known = [row["val_accuracy"] for row in rows]
        shares = (active[0], active[len(active) // 2], active[-1], known[-1], max(known))
        out += f"| {rule} | {' | '.join(f'{share:.3f}' for share in shares)} | {len(rows)} |\n"
    return out


def draw(curves: dict[str, list[dict[str, Any]]], file: Path) -> None:
    """Both shares over the minutes."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for panel, (name, title) in zip(panels, PANELS, strict=True):
        for rule, rows in curves.items():
            minutes = [row["seconds"] / 60 for row in rows]
            panel.plot(minutes, [row[name] for row in rows], marker=".", label=rule)
        panel.set(title=title, xlabel="minutes", ylim=(0, 1))
        panel.grid(alpha=0.3)
    panels[1].legend(frameon=False)
    figure.savefig(file)


if __name__ == "__main__":
    main()
