"""A network fitted to one style by the losses of style transfer, and applied to pictures of any size.

Johnson, Alahi, Fei-Fei 2016, arXiv 1603.08155; see ``boda.models.style_network``.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from boda import machine, map_tiling
from boda.errors import DataError, TrainingError, UsageError
from boda.files import atomic_write
from boda.models.state_files import read_state
from boda.models.style_network import StyleNetwork
from boda.predicting import find_pictures, read_picture
from boda.progress import Progress
from boda.stylizing.features import load
from boda.stylizing.objective import Objective
from boda.stylizing.options import StylizeOptions
from boda.stylizing.transfer import Stylized
from boda.stylizing.work import Request, Work

CROP, BATCH, RATE = 256, 2, 1e-3  # pixels, pictures a step, of Adam (the paper: 256, 4, 1e-3)
SUFFIX = ".safetensors"
TILE = 1024  # side of the tiles of large pictures
COPY = 512  # pixels of the longer side of the copy by which tiles are normed
SMALLEST = 16  # pixels that the network can take
KIND = "style-network"


@dataclass
class Fitted:
    """A network for a style.

    Attributes:
        file: where it is.
        loss: mean of the last tenth of the steps, as ``Losses.total``.
        content_loss, style_loss: its parts.
        steps, pictures, seconds: what it took.
    """

    file: str
    loss: float
    content_loss: float
    style_loss: float
    steps: int
    pictures: int
    seconds: float
    stopped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {k: v for k, v in asdict(self).items() if k not in ("file", "stopped")}


def fit(
    style: np.ndarray,
    data: str | Path,
    minutes: float,
    file: Path,
    options: StylizeOptions,
    progress: Progress,
) -> Fitted:
    """Fit a network to a style; see ``boda.fit_style``."""
    if not minutes > 0:
        raise UsageError(f"--minutes is {minutes:g}; it must be more than 0.")
    if file.suffix.lower() != SUFFIX:
        raise UsageError(f"--out {file}: a network for a style is a {SUFFIX} file.")
    if options.colors != "style":
        raise UsageError("--colors is for pictures that are fitted themselves: leave it away.")
    _check_free(file)
    pictures = find_pictures([data])
    first = read_picture(pictures[0], 0)[0]
    source = load(options.network, options.weights, progress)
    work = Work(Request(first, [style]), options, source, machine.choose_device(options.device))
    torch.manual_seed(work.options.seed)
    generator = np.random.default_rng(work.options.seed)
    dtype = torch.bfloat16 if work.rough else torch.float32
    features = work.source.features(work.names, dtype, work.device)
    wanted = work.style(0, CROP, work.content((CROP, CROP)))
    targets = Objective(features, wanted.picture, [wanted], work.weights)
    net = StyleNetwork().to(work.device).train()
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    history: list[tuple[float, float]] = []
    start = time.perf_counter()
    with machine.stopping() as stop, progress.working("fitting the network"):
        while not stop.asked and (spent := (time.perf_counter() - start) / 60) < minutes:
            optimizer.zero_grad(set_to_none=True)
            told = np.zeros(2)
            for _ in range(BATCH):
                crop = _crop(pictures[generator.integers(len(pictures))], generator, work)
                with torch.autocast(work.device, torch.bfloat16, work.rough):
                    out = net(crop)
                losses, grad = targets.of_content(crop).gradient(out.detach().float())
                out.backward(grad.to(out) / BATCH)
                told += (losses.content / BATCH, losses.style / BATCH)
            if not np.isfinite(told).all():
                raise TrainingError("the loss is no finite number any more. Try another --seed.")
            share = spent / minutes
            optimizer.param_groups[0]["lr"] = RATE * (1 if share < 0.75 else 4 * (1 - share))
            optimizer.step()
            history.append((told[0], told[1]))
            progress.advance(round(60 * spent), round(60 * minutes))
    if not history:
        raise TrainingError("there was no time for a single step: give more --minutes.")
    about = {"kind": KIND, "steps": len(history), "layers": work.weights.style}
    write(net, file, about)
    content, of_style = np.mean(history[-max(1, len(history) // 10) :], 0).tolist()
    return Fitted(
        str(file),
        content + of_style,
        content,
        of_style,
        len(history),
        len(pictures),
        round(time.perf_counter() - start, 3),
        stop.asked,
    )


def write(net: StyleNetwork, file: Path, about: dict[str, Any]) -> None:
    """Write a network with one line of JSON about it, atomically."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in net.state_dict().items()}
    text = json.dumps(about, sort_keys=True, ensure_ascii=False)
    atomic_write(file, save(tensors, {"boda": text}))


def open_network(file: Path) -> StyleNetwork:
    """The network of a file that ``fit`` wrote.

    Raises:
        DataError: it is none, or damaged.
    """
    tensors = read_state(file)
    net = StyleNetwork()
    own = net.state_dict()
    if own.keys() != tensors.keys() or any(own[k].shape != tensors[k].shape for k in own):
        raise DataError(
            "it holds no network for a style",
            file=file,
            fix="Name a file that `boda stylize STYLE --fit FOLDER` wrote.",
        )
    net.load_state_dict(tensors)
    return net.eval().requires_grad_(False)


def _check_free(file: Path) -> None:
    """Refuse, before the work, to replace what is no network for a style, and make the folder."""
    if file.exists():
        try:
            open_network(file)
        except DataError:
            raise UsageError(
                f"{file} is there already, and is no network for a style: give another --out."
            ) from None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{file} cannot be written ({error.strerror or error}).") from None


def is_file(network: str) -> bool:
    """Whether ``--network`` names a file, and not a registered network."""
    return network.lower().endswith(SUFFIX)


def applied(file: Path, picture: np.ndarray, device: str) -> Stylized:
    """A picture (H, W, 3) uint8 in the style of a file's network."""
    net = open_network(file)
    start = time.perf_counter()
    made = apply(net, picture, machine.choose_device(device))
    return Stylized(made, None, time.perf_counter() - start)


def apply(
    net: StyleNetwork, picture: np.ndarray, device: str = "cpu", tile: int = TILE
) -> np.ndarray:
    """The picture in the network's style.

    Larger pictures are done in tiles that fade into each other, and whose norms are those of a small
    copy of the whole.

    Args:
        net: of ``open_network``.
        picture: (H, W, 3) uint8.
        device: where.
        tile: longest side that is done at once.

    Returns:
        (H, W, 3) uint8.
    """
    net = net.to(device)
    height, width = picture.shape[:2]
    with torch.inference_mode():
        if max(height, width) <= tile:
            made = _quantized(net(_values(_padded(picture), device)))
            return made[:height, :width]
        tops, lefts = map_tiling.starts(height, tile), map_tiling.starts(width, tile)
        down, across = map_tiling.weights(tops, tile), map_tiling.weights(lefts, tile)
        room = ((0, int(tops[-1]) + tile - height), (0, int(lefts[-1]) + tile - width), (0, 0))
        padded = np.pad(picture, room, "symmetric")
        out = np.zeros(padded.shape, np.float32)
        with net.seeing(_small(picture, device)):
            for top, fade in zip(tops.tolist(), down, strict=True):
                for left, fading in zip(lefts.tolist(), across, strict=True):
                    here = slice(top, top + tile), slice(left, left + tile)
                    made = _pixels(net(_values(padded[here], device)))
                    out[here] += made * (fade[:, None, None] * fading[None, :, None])
    return np.rint(255 * out[:height, :width]).clip(0, 255).astype(np.uint8)


def _crop(file: Path, generator: np.random.Generator, work: Work) -> Tensor:
    """(1, 3, N, N): a random window of a picture whose shorter side was scaled to N or a little more."""
    from PIL import Image

    picture = Image.fromarray(read_picture(file, 0)[0])
    scale = generator.uniform(1, 1.5) * CROP / min(picture.size)
    size = [max(CROP, round(side * scale)) for side in picture.size]
    left, top = (int(generator.integers(side - CROP + 1)) for side in size)
    box = (left, top, left + CROP, top + CROP)
    return _values(np.array(picture.resize(size).crop(box)), work.device)


def _small(picture: np.ndarray, device: str) -> Tensor:
    """A copy of which the longer side is no more than the tiles' norms need."""
    from PIL import Image

    drawn = Image.fromarray(picture)
    drawn.thumbnail((COPY, COPY))
    return _values(_padded(np.array(drawn)), device)


def _padded(picture: np.ndarray) -> np.ndarray:
    """At least 16 pixels each way, by repeating its edge."""
    height, width = (max(0, SMALLEST - side) for side in picture.shape[:2])
    return np.pad(picture, ((0, height), (0, width), (0, 0)), "edge")


def _values(picture: np.ndarray, device: str) -> Tensor:
    values = torch.from_numpy(np.ascontiguousarray(picture)).to(device)
    return values.permute(2, 0, 1)[None].float().contiguous() / 255


def _pixels(made: Tensor) -> np.ndarray:
    return made[0].permute(1, 2, 0).float().cpu().numpy()


def _quantized(made: Tensor) -> np.ndarray:
    return np.rint(255 * _pixels(made)).clip(0, 255).astype(np.uint8)
