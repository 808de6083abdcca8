"""``boda demo``: the whole loop on scikit-learn's handwritten digits, 1,797 scans of 8×8.

E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI 1998.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from boda import api
from boda.contact_sheet import Caption, contact_sheet
from boda.progress import Progress

SHOWN = 24


def demo(out: Path, progress: Progress) -> dict[str, Any]:
    """Write the digits as folders of pictures, fit LeNet-5, measure it on a third it never saw, show some."""
    out = _free(out)
    folder, run_folder = out / "digits", out / "run"
    tests = write_digits(folder)
    progress.say(f"{folder}: real handwritten digits as pictures, a folder for each")
    run = api.fit("classify", folder, out=run_folder, progress=progress)
    result = api.evaluate(run.path)
    shown = [tests[i] for i in np.linspace(0, len(tests) - 1, SHOWN).astype(int)]
    captions = []
    for path, prediction in zip(shown, api.predict(run.path, shown), strict=True):
        assert prediction.names is not None and prediction.scores is not None
        said = prediction.names[0]
        captions.append(
            Caption(f"{said}  {100 * prediction.scores[0]:.0f} %", said == path.parent.name)
        )
    sheet = out / "predictions.png"
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in shown]
    Image.fromarray(contact_sheet(pictures, captions)).save(sheet)
    return {
        "run": str(run.path),
        "model": run.record["model"],
        "samples": result["samples"],
        "accuracy": result["metrics"]["accuracy"],
        "seconds": run.record["seconds"],
        "sheet": str(sheet),
        "report": str(run.report),
        "next": [
            f"boda predict {run.path} {shown[0]} --out {out / 'seen'}",
            f"boda export {run.path}",
            "boda fit classify FOLDER-OF-YOUR-PICTURES",
        ],
    }


def _free(out: Path) -> Path:
    """``out``, or the first of ``out-2``, ``out-3``, … that is not there: an older demo is left alone."""
    names = itertools.chain([out], (out.with_name(f"{out.name}-{n}") for n in itertools.count(2)))
    return next(path for path in names if not path.exists())


def write_digits(folder: Path) -> list[Path]:
    """The digits as ``train/<digit>/<n>.png`` and ``test/<digit>/<n>.png``: every third is for the test.

    Returns:
        The test pictures.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    scans = (
        (digits.images * (255 / 16)).round().astype(np.uint8)
    )  # (1797, 8, 8), 0..16 in the source
    tests = []
    for number, (scan, label) in enumerate(zip(scans, digits.target, strict=True)):
        split = "test" if number % 3 == 2 else "train"
        path = folder / split / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scan).save(path)
        if split == "test":
            tests.append(path)
    return tests
