"""Writes what scikit-image says of a few pairs of pictures: PSNR, SSIM, Y and the error of colours.

Run in an environment that has scikit-image, from the repository (boda is not needed):

    python -m benchmarks.record_pictures

SSIM is asked for as its paper has it: a Gaussian window, and variances divided by N. L1 is NumPy's.
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import numpy as np
from skimage.color import rgb2lab, rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tests.golden.patterns import pairs

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "pictures.json"


def alike(said: np.ndarray, truth: np.ndarray) -> float:
    return structural_similarity(
        said,
        truth,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2 if said.ndim == 3 else None,
    )


def told(said: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    one, other = (rgb2ycbcr(x)[..., 0] for x in (said, truth))
    colours = np.linalg.norm((rgb2lab(said) - rgb2lab(truth))[..., 1:], axis=2)
    return {
        "psnr": peak_signal_noise_ratio(truth, said, data_range=255),
        "ssim": alike(said, truth),
        "l1": float(np.abs(said / 255 - truth / 255).mean()),
        "ab_error": float(colours.mean()),
        "y_psnr": peak_signal_noise_ratio(other, one, data_range=255),
        "y_ssim": alike(one, other),
    }


def main() -> None:
    found = {
        "scikit-image": importlib.metadata.version("scikit-image"),
        "pairs": {name: told(*pair) for name, pair in pairs().items()},
    }
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(f"{GOLDEN}: {GOLDEN.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
