"""Faces that nobody has, each beside the training face that is nearest to it.

Command:  python recipes/orl_gan.py FACES --out runs/faces [--minutes 12] [--settings …]
Result:   see docs/ledger.md; OUT/near/grid.png and OUT/way/grid.png.

FACES is the face database of AT&T Laboratories Cambridge (formerly ORL): 40 people with ten pictures
each, a folder a person. `boda fit generate FACES --size 64`, a sheet of made faces in pairs with the
nearest by their pixels, the share of copies, and ways from one face to another.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

from timed import BODA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[])
    asked = parser.parse_args()
    run = str(asked.out / "run")
    fit = [*BODA, "fit", "generate", asked.data, "--size", "64", "--minutes", str(asked.minutes)]
    subprocess.run([*fit, "--out", run, *asked.settings], check=True)
    near = [*BODA, "generate", run, "--count", "40", "--nearest", "--json"]
    told = subprocess.run(
        [*near, "--out", str(asked.out / "near")], check=True, capture_output=True, text=True
    )
    print(json.dumps(json.loads(told.stdout)["copies"], indent=2))
    way = [*BODA, "generate", run, "--count", "8", "--interpolate", "10"]
    subprocess.run([*way, "--out", str(asked.out / "way")], check=True)


if __name__ == "__main__":
    main()
