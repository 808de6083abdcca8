"""Time of all windows of a picture in one pass, beside the same windows in batches of 64.

Command:  python benchmarks/sliding_windows.py [--side 512] [--pairs 5] [--fit 40] [--device cpu]

The notes' network and LeNet-5, on a picture of side × side at the network's stride. The windows are
views of the picture, so that a batch is copied once, and the network is called on it as it is; both
sides run in the memory format that is faster for them. The logits are compared first. The two sides
take turns; a speed-up is the windows' time through the one pass's: the median over the pairs, with
the lowest and the highest. Beside it stand the multiply-adds, and the speed-up over windows shown
one at a time (on a part of them).

What one pass shares are convolutions and poolings. Dense layers compute for every window by itself
on both sides: in the notes' network they are 321,600 of a window's 441,600 multiply-adds, so that its
one pass cannot have much less to do.

Then the networks that pad, whose windows have other borders by themselves than in a picture: with
random weights, and one fitted to scikit-learn's digits for ``--fit`` seconds, on a page of digits.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from pairs import in_turn
from sklearn.datasets import load_digits
from torch import Tensor, nn

from boda import models
from boda.look import summary
from boda.models.convolutional import Convolutional, convolutionalize

BATCH = 64
ALONE = 500  # windows that are shown one at a time
PADDING = {  # the window's side
    "nin": 32,
    "resnet20": 32,
    "plain20": 32,
    "vgg11": 32,
    "vgg16": 64,
    "alexnet": 224,
    "squeezenet-1.1": 128,
    "resnet18": 224,
    "mobilenet-v2": 128,
    "googlenet": 128,
}
CHANNELS_LAST, CONTIGUOUS = torch.channels_last, torch.contiguous_format


def in_batches(slid: Convolutional, x: Tensor, batch: int, most: int = -1) -> Tensor:
    """The baseline: (windows, classes) logits, line by line; of the first ``most`` windows only."""
    (h, w), (down, across) = slid.window, slid.stride
    views = x[0].unfold(1, h, down).unfold(2, w, across).permute(1, 2, 0, 3, 4)
    places = torch.arange(views.shape[0] * views.shape[1])[: most if most > 0 else None]
    parts = [
        slid.net(views[some // views.shape[1], some % views.shape[1]])
        for some in places.split(batch)
    ]
    return torch.cat(parts)


def timed(work: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    out = work()
    if out.device.type == "cuda":
        torch.cuda.synchronize(out.device)
    return time.perf_counter() - start


def faster(works: list[Callable[[], Tensor]]) -> Callable[[], Tensor]:
    """The one that takes less time; each runs twice, the second time counts."""
    return min(works, key=lambda work: (timed(work), timed(work))[1])


def compare(name: str, side: int, pairs: int, device: torch.device) -> None:
    entry = models.entry(name)
    net = models.create(name).eval().to(device)
    slid = convolutionalize(net, entry.size)
    picture = torch.randn(1, entry.channels, side, side, device=device)
    rows, columns = slid.windows((side, side))
    pictures = [picture.contiguous(memory_format=form) for form in (CONTIGUOUS, CHANNELS_LAST)]
    one_pass = faster([partial(slid, x) for x in pictures])
    windows = faster([partial(in_batches, slid, x, BATCH) for x in pictures])
    apart = (one_pass()[0].flatten(1).T - windows()).abs().max().item()
    found = in_turn(partial(timed, one_pass), partial(timed, windows), pairs)
    ups = sorted(1 / ratio for ratio in found.ratios)
    first = summary(net, (entry.channels, *entry.size)).multiply_adds
    shared = summary(slid, (entry.channels, side, side)).multiply_adds
    alone = min(timed(partial(in_batches, slid, picture, 1, ALONE)) for _ in range(2))
    slow = alone / ALONE * rows * columns
    print(
        f"{name:16}{rows}×{columns} windows; apart by {apart:.1e}; one pass "
        f"{1000 * found.medians[0]:7.1f} ms, windows {1000 * found.medians[1]:7.1f} ms: "
        f"{1 / found.ratio:5.2f}× ({ups[0]:.2f} to {ups[-1]:.2f})\n{'':16}multiply-adds "
        f"{shared / 1e9:.2f} and {first * rows * columns / 1e9:.2f} ·10⁹: "
        f"{first * rows * columns / shared:.2f}×; one at a time {slow:.1f} s: "
        f"{slow / found.medians[0]:.1f}×",
        flush=True,
    )


def borders(name: str, window: int) -> None:
    """How far one pass is from the windows where the network pads, with random weights."""
    slid = convolutionalize(models.create(name, classes=10), window)
    print(
        f"{name:16}windows of {window}, {slid.stride[0]} apart: {slid.difference:.2f}", flush=True
    )


def fitted(name: str, seconds: float) -> None:
    """The same with weights that were fitted to 1,500 digits, on a page of 64 others."""
    data = load_digits()
    x = torch.from_numpy(data.images).float()[:, None] / 8 - 1
    x = F.interpolate(x, size=(32, 32), mode="bilinear").expand(-1, 3, -1, -1)
    y = torch.from_numpy(data.target)
    net = models.create(name).train()
    fit(net, x[:1500], y[:1500], seconds)
    slid = convolutionalize(net.eval(), 32)
    page = x[1500:1564].unflatten(0, (8, 8)).permute(2, 0, 3, 1, 4).reshape(1, 3, 256, 256)
    with torch.inference_mode():
        rows, columns = slid.windows((256, 256))
        alone = in_batches(slid, page, BATCH).softmax(1)
        together = slid(page)[0].flatten(1).T.softmax(1)
    on_digits = (torch.arange(8) * 8 * columns)[:, None] + torch.arange(8) * 8
    right = [(p.argmax(1)[on_digits.flatten()] == y[1500:1564]).sum() for p in (alone, together)]
    apart = (alone - together).abs().max(1).values
    other = (alone.argmax(1) != together.argmax(1)).float().mean()
    print(
        f"{name:16}{rows}×{columns} windows of a page of digits: probabilities apart by "
        f"{apart.mean():.3f} in the mean and {apart.max():.3f} at most; another best class in "
        f"{100 * other:.1f} % of them; {right[0]} of 64 digits right by windows, {right[1]} in one "
        "pass",
        flush=True,
    )


def fit(net: nn.Module, x: Tensor, y: Tensor, seconds: float) -> None:
    """Adam on batches of 50, shifted by up to two pixels."""
    adam = torch.optim.Adam(net.parameters(), 2e-3)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        some = torch.randint(len(x), (50,))
        shift = torch.randint(-2, 3, (2,)).tolist()
        adam.zero_grad()
        F.cross_entropy(net(x[some].roll(shift, (2, 3))), y[some]).backward()
        adam.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--fit", type=float, default=40, help="seconds; 0 leaves it out")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False  # it would round the two sides differently
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.side}×"
        f"{options.side}, {options.pairs} pairs, {options.device}"
    )
    with torch.inference_mode():
        for name in ("windows-course", "lenet5"):
            compare(name, options.side, options.pairs, options.device)
    print(
        "networks that pad: largest difference, as a share of what a picture changes (random weights)"
    )
    for name, window in PADDING.items():
        borders(name, window)
    if options.fit > 0:
        fitted("resnet20", options.fit)


if __name__ == "__main__":
    main()
