"""How super-resolution is measured, proved first: what bicubic enlargement scores on Set5 and Set14.

Command:  python recipes/superres_protocol.py SUPERRES
Result:   Set5 ×2, ×3, ×4 and Set14 ×4; see docs/ledger.md. Seconds on one core.

SUPERRES holds Set5/image_SRF_2, _3, _4 and Set14/image_SRF_4 of Huang, Singh, Ahuja 2015 (CVPR,
"Single image super-resolution from transformed self-exemplars"), pairs of which the authors made
the small pictures. These are enlarged by `boda.ops.resampling`, rounded to whole levels, and
compared with the large ones as the literature does since Dong et al. 2014 (arXiv 1501.00092): PSNR
of the Y of YCbCr (BT.601, 16 to 235), without a border of as many pixels as the scale.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from boda.data.low_resolution import scale_of
from boda.data.readers import read
from boda.metrics.pictures import Likeness
from boda.ops.color import to_chw
from boda.ops.resampling import enlarge

# The published figures of bicubic interpolation, in dB.
PUBLISHED = {
    "Set5/image_SRF_2": 33.66,
    "Set5/image_SRF_3": 30.39,
    "Set5/image_SRF_4": 28.42,
    "Set14/image_SRF_4": 26.00,
}


def bicubic(folder: Path) -> dict[str, float]:
    """The figures of one folder of pairs."""
    samples = read(folder, task="upscale").splits["all"]
    metrics = Likeness(y=True, border=scale_of(samples[0]) or 0)
    for sample in samples:
        low, high = (
            to_chw(torch.from_numpy(picture))[None]
            for picture in (sample.image, sample.target_image)
        )
        metrics.update(enlarge(low, metrics.border), high)
    return metrics.compute()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="the folder that holds Set5 and Set14")
    asked = parser.parse_args()
    print("set                 PSNR    published   SSIM")
    for name, published in PUBLISHED.items():
        found = bicubic(asked.data / name)
        print(f"{name:<18}{found['psnr']:>6.2f} {published:>11.2f} {found['ssim']:>9.4f}")


if __name__ == "__main__":
    main()
