"""Style transfer: a content in several styles, one sheet of pictures, with its losses.

Command:  python recipes/stylize.py CONTENT STYLE… --out DIR [--weights FILE] [--size 512] [--steps 300]
          [--settings …]
Result:   see docs/ledger.md; the pictures are looked at: OUT/sheet.png.

For each style `boda stylize` is run once; then once more with the content's colours kept. The weights
are VGG-19's for ImageNet, or those in FILE, which may be no more than its beginning. Beside the
pictures lies results.jsonl, a line a picture: its losses as `--json` tells them, and the seconds of the
whole command.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

import numpy as np
from PIL import Image
from timed import BODA

from boda.contact_sheet import contact_sheet
from boda.predicting import read_picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("content", type=Path)
    parser.add_argument("styles", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda stylize")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    shown = [read_picture(asked.content, 0)[0]]
    captions: list[str] = [asked.content.stem]
    for style in asked.styles:
        shown.append(read_picture(style, 0)[0])
        captions.append(style.stem)
        for colors in ("style", "luminance"):
            made = asked.out / f"{asked.content.stem}-{style.stem}-{colors}.png"
            told = stylize(asked, style, colors, made)
            with open(asked.out / "results.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(told, ensure_ascii=False) + "\n")
            print(f"{made.name}  loss {told['loss']:.4g}  {told['command_seconds']:.0f} s")
            shown.append(np.asarray(Image.open(made)))
            captions.append(f"{style.stem}\n{colors} {told['loss']:.3g}")
    Image.fromarray(contact_sheet(shown, captions, columns=3)).save(asked.out / "sheet.png")


def stylize(asked: argparse.Namespace, style: Path, colors: str, made: Path) -> dict:
    """What `boda stylize --json` tells of one picture."""
    given = ["--weights", asked.weights, "--size", str(asked.size), "--steps", str(asked.steps)]
    command = ["stylize", str(asked.content), str(style), "--out", str(made), "--colors", colors]
    start = time.perf_counter()
    done = subprocess.run(
        [*BODA, *command, *given, *asked.settings, "--json"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return {**json.loads(done.stdout), "command_seconds": round(time.perf_counter() - start, 1)}


if __name__ == "__main__":
    main()
