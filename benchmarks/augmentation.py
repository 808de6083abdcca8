"""Throughput of boda's augmentation beside torchvision's v2 transforms and kornia's.

Command:  python benchmarks/augmentation.py [--rounds 9] [--batch 64] [--size 224]

The same operations with the same ranges and probabilities on the same pictures, each picture with
parameters of its own; the three in turn in one process, in an order that rotates; medians and the
ratios of each round. Every side has what it is fastest with: boda a uint8 batch; torchvision one
uint8 picture after another, since on a batch it would draw one set of parameters for all, and the
pictures stacked; kornia a float32 batch that was made beforehand, and it may leave it float.

Three differences: boda's colours are one matrix in a fixed order, clipped once, and its hue turns
in YIQ, not HSV ("colour, HSV" turns it in HSV as the peers do); where several movements
follow one another boda resamples once, the peers each time; kornia's crops are of its default mode.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from kornia import augmentation as kornia
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from boda import ops
from boda.data import transforms as ours
from boda.data.change import Change, pictures
from boda.ops import photometric

LINEAR = InterpolationMode.BILINEAR
AREA, KERNEL, SIGMA = (0.25, 1.0), 17, (0.1, 2.0)
Side = Callable[[Tensor], Tensor]


def crop(numbers: Tensor, size: tuple[int, int]) -> Tensor:
    mirror = ours.mirror(numbers[:, 0], size)
    return ours.geometry.compose(mirror, ours.resized_crop(numbers[:, 1:5], size, AREA[0]))


def affine(numbers: Tensor, size: tuple[int, int]) -> Tensor:
    return ours.affine(numbers, size, degrees=10, zoom=0.1, slant=10, move=0.1)


def hsv(images: Tensor) -> Tensor:
    """Brightness, contrast and saturation in one pass, then the hue of HSV."""
    numbers = torch.rand(len(images), 4)
    factors, turns = 0.6 + 0.8 * numbers[:, :3], 0.2 * numbers[:, 3] - 0.1
    colour = photometric.compose(
        photometric.brightness(factors[:, 0]),
        photometric.contrast(factors[:, 1]),
        photometric.saturation(factors[:, 2]),
    )
    out = torch.empty_like(images)
    for i, image in enumerate(images):
        recolored = photometric.recolor(image[None].float() / 255, colour[i : i + 1])[0]
        turned = ops.rgb_to_hsv(recolored)
        turned[0] += turns[i]
        out[i] = ops.hsv_to_rgb(turned).mul_(255).round_()
    return out


def boda_sides() -> dict[str, Side]:
    def side(draw: Callable[[Tensor, tuple[int, int]], Change]) -> Side:
        size = lambda images: (images.shape[-2], images.shape[-1])  # noqa: E731
        return lambda images: pictures(images, draw(torch.rand(len(images), 16), size(images)))

    def colour(numbers: Tensor) -> Tensor:
        return ours.jitter(numbers, 0.4, degrees=36)

    def chain(n: Tensor, s: tuple[int, int]) -> Change:
        matrix = ours.geometry.compose(crop(n, s), affine(n[:, 5:10], s))
        return Change(matrix, colour=colour(n[:, 10:14]))

    return {
        "mirror, resized crop": side(lambda n, s: Change(crop(n, s))),
        "affine": side(lambda n, s: Change(affine(n[:, :5], s))),
        "colour": side(lambda n, s: Change(colour=colour(n))),
        "colour, HSV": hsv,
        "crop, affine, colour": side(chain),
        "perspective": side(lambda n, s: Change(ours.perspective(n[:, :8], s, amount=0.25))),
        "blur": side(lambda n, s: Change(blur=SIGMA[0] + (SIGMA[1] - SIGMA[0]) * n[:, 0])),
    }


def torchvision_sides(size: int) -> dict[str, Side]:
    def side(*steps: nn.Module) -> Side:
        one = v2.Compose(steps)
        return lambda images: torch.stack([one(image) for image in images])

    crops = (v2.RandomHorizontalFlip(), v2.RandomResizedCrop(size, AREA, antialias=True))
    move = v2.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), 10, interpolation=LINEAR)
    jitter = v2.ColorJitter(0.4, 0.4, 0.4, 0.1)
    return {
        "mirror, resized crop": side(*crops),
        "affine": side(move),
        "colour": side(jitter),
        "colour, HSV": side(jitter),
        "crop, affine, colour": side(*crops, move, jitter),
        "perspective": side(v2.RandomPerspective(0.5, 1.0, interpolation=LINEAR)),
        "blur": side(v2.GaussianBlur(KERNEL, SIGMA)),
    }


def kornia_sides(size: int) -> dict[str, Side]:
    crops = (
        kornia.RandomHorizontalFlip(),
        kornia.RandomResizedCrop((size, size), scale=AREA, p=1.0),
    )
    move = kornia.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), 10, p=1.0)
    jitter = kornia.ColorJitter(0.4, 0.4, 0.4, 0.1, p=1.0)
    return {
        "mirror, resized crop": nn.Sequential(*crops),
        "affine": move,
        "colour": jitter,
        "colour, HSV": jitter,
        "crop, affine, colour": nn.Sequential(*crops, move, jitter),
        "perspective": kornia.RandomPerspective(0.5, p=1.0),
        "blur": kornia.RandomGaussianBlur((KERNEL, KERNEL), SIGMA, p=1.0),
    }


def seconds(side: Side, images: Tensor) -> float:
    began = time.perf_counter()
    side(images)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="names of rows")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    coarse = torch.rand(arguments.batch, 3, 12, 12)  # smooth pictures with edges in them
    floats = nn.functional.interpolate(coarse, arguments.size, mode="bicubic").clamp(0, 1)
    inputs = {"boda": (floats * 255).to(torch.uint8), "kornia": floats}
    inputs["torchvision"] = inputs["boda"]
    sides = {
        "boda": boda_sides(),
        "torchvision": torchvision_sides(arguments.size),
        "kornia": kornia_sides(arguments.size),
    }
    names = list(sides)
    print(f"{arguments.batch} pictures of {arguments.size}×{arguments.size}, torch", end=" ")
    print(f"{torch.__version__}, {torch.get_num_threads()} threads, {arguments.rounds} rounds")
    for row in arguments.only or sides["boda"]:
        taken: dict[str, list[float]] = {name: [] for name in names}
        with torch.no_grad():
            for turn in range(arguments.rounds + 1):  # the first round warms up
                for i in range(len(names)):
                    name = names[(i + turn) % len(names)]
                    time_taken = seconds(sides[name][row], inputs[name])
                    if turn:
                        taken[name].append(time_taken)
        line = (
            f"{row:<22}boda {arguments.batch / statistics.median(taken['boda']):>7,.0f} pictures/s"
        )
        for name in names[1:]:
            ratios = sorted(b / a for a, b in zip(taken["boda"], taken[name], strict=True))
            speed = arguments.batch / statistics.median(taken[name])
            line += f" · {name} {speed:,.0f}, {statistics.median(ratios):.2f}× as fast"
            line += f" ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(line, flush=True)


if __name__ == "__main__":
    main()
