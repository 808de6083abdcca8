"""``boda summary`` and ``boda look``: what a network is made of, and what it makes of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boda.cli.common import Json, emit
from boda.errors import DataError, UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from boda.look import Summary
    from boda.trained import Trained


def register(app: typer.Typer) -> None:
    """Add the two verbs to the command line."""
    app.command()(summary)
    app.command()(look)


def summary(
    name: Annotated[
        str, typer.Argument(metavar="MODEL|RUN", help="a network's name, or a run folder")
    ],
    input: Annotated[
        str | None,
        typer.Option(help="C,H,W of one picture; the paper's, or the run's, if left away"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Every layer: output shape, activation size, parameters, multiply-adds, receptive field, stride.

    Example: boda summary lenet5
    """
    found = summary_of(name, input)
    emit(found.to_dict()) if as_json else print(found)


def look(
    name: Annotated[
        str, typer.Argument(metavar="RUN|MODEL", help="a run folder, or a network's name")
    ],
    image: Annotated[Path, typer.Argument(help="a picture")],
    layer: Annotated[
        str | None, typer.Option(help="which layer; the first convolution if left away")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="C,Y,X: spell out this value of the layer's output")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="a file of weights; a MODEL's are random without")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder for the picture that is drawn")] = Path("look"),
    as_json: Json = False,
) -> None:
    """What a layer makes of a picture: its feature maps, or with --at the arithmetic of one value.

    Example: boda look runs/classify-1 digit.png --layer c1

    Example: boda look runs/classify-1 digit.png --layer c1 --at 0,5,5
    """
    result, text = _look(name, image, layer, at, out, weights)
    emit(result) if as_json else print(text)


def summary_of(name: str, input: str | None = None) -> Summary:
    """The summary of a registered network, with the paper's classes, or of a run's.

    Args:
        name: of the network, or the run folder.
        input: "C,H,W" of one picture; by default the paper's, or the run's.

    Raises:
        UsageError: an unknown name, or an input that the network cannot take.
    """
    import torch

    from boda import models
    from boda.look import summary as summarize
    from boda.runs import Run
    from boda.trained import network

    given = None if input is None else _numbers("--input", input, "3,32,32", least=1)
    if given is not None and len(given) != 3:
        raise UsageError(f"--input is C,H,W, for example 3,32,32, not '{input}'.")
    with torch.device("meta"):  # nothing but shapes is needed, whatever its size
        if _is_run(name):
            run = Run.open(name)
            net, net_name, size = network(run.record), run.record["model"], run.preparation
            shape = (size.channels, size.height, size.width)
        else:
            entry = models.entry(name)
            # A network for other pictures than the paper's has another first layer.
            net_name, shape = name, (given[0] if given else entry.channels, *entry.size)
            net = models.create(name, channels=shape[0])
    return summarize(net, tuple(given) if given else shape, net_name)


def look_at(
    name: str,
    image: str | Path,
    layer: str | None = None,
    at: str | None = None,
    out: str | Path = "look",
    weights: str | Path | None = None,
) -> dict[str, Any]:
    """Draw what a layer makes of a picture.

    Args:
        name: a run folder, or a registered network.
        image: a picture; it is prepared as the run does it, or to the size of the network's paper.
        layer: a leaf layer's name (with or without "net." before it), by default the first convolution.
        at: "C,Y,X" of a value whose arithmetic is spelled out; without it, the feature maps are drawn.
        out: folder for the picture; it is made where it is not there.
        weights: a file of weights for a registered network, whose weights are random without (the same
            ones every time).

    Returns:
        ``{"model", "weights", "image", "layer", "picture", …}`` with either the feature maps' "output_shape",
        "minimum" and "maximum", or what ``Arithmetic.to_dict`` tells.

    Raises:
        UsageError: an unknown network or layer, a place outside of the layer's output.
        DataError: the picture cannot be read.
    """
    return _look(name, Path(image), layer, at, Path(out), weights)[0]


def _look(
    name: str, image: Path, layer: str | None, at: str | None, out: Path, weights: str | Path | None
) -> tuple[dict[str, Any], str]:
    """The JSON, and the same for people."""
    from boda.draw import png
    from boda.files import atomic_write
    from boda.look import arithmetic, feature_maps, grid

    place = None if at is None else _numbers("--at", at, "0,5,5", least=None)
    trained, about = _trained(name, weights)
    net, model = trained.method.net, trained.model
    picture = _prepared(trained, image)
    layer = _first_convolution(net) if layer is None else _without_prefix(layer, net)
    result: dict[str, Any] = {"model": model, "weights": about, "image": str(image), "layer": layer}
    if place is not None:
        worked = arithmetic(net, picture, layer, place)
        result |= worked.to_dict()
        text, drawn, ending = str(worked), worked.picture(), "-at-" + "-".join(map(str, worked.at))
    else:
        maps = feature_maps(net, picture, layer)
        low, high = float(maps.min()), float(maps.max())
        result |= {"output_shape": list(maps.shape), "minimum": low, "maximum": high}
        size = "×".join(map(str, maps.shape))
        text, ending = f"{layer} of {model}: {size}, values from {low:.4g} to {high:.4g}", ""
        drawn = grid(maps, f"{model} · {layer} · {size} · {image.name}")
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{layer.strip('()')}{ending}.png"
    atomic_write(file, png(drawn))
    result["picture"] = str(file)
    return result, f"{text}\n\nweights {about}\ndrawn   {file}"


def _trained(name: str, weights: str | Path | None) -> tuple[Trained, str]:
    """The network with all that is needed to use it, and where its weights come from."""
    from boda.runs import Run
    from boda.trained import Trained

    if not _is_run(name):
        return Trained.of_model(name, weights), str(weights or "random (seed 0)")
    if weights is not None:
        raise UsageError("a run has its own weights: leave --weights away, or name a model.")
    return Run.open(name).trained(), name


def _prepared(trained: Trained, image: Path) -> Tensor:
    """(C, H, W) float as the network gets it."""
    import torch

    from boda.data.image import decode

    try:
        data = image.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise DataError(
            f"the picture cannot be read ({why})", file=image, fix="Check the path."
        ) from None
    working = trained.preparation(decode(data, str(image)))
    pixels = torch.from_numpy(working.copy()).permute(2, 0, 1)
    return trained.method.normalize(pixels[None])[0]


def _first_convolution(net: nn.Module) -> str:
    from torch.nn import Conv2d

    from boda.look.copying import layers

    found = layers(net)
    return next(
        (name for name, layer in found.items() if isinstance(layer, Conv2d)), next(iter(found))
    )


def _without_prefix(layer: str, net: nn.Module) -> str:
    """A run's network is its method's ``net``: ``net.c1`` and ``c1`` are the same layer."""
    short = layer.removeprefix("net.")
    return short if short in dict(net.named_modules()) else layer


def _is_run(name: str) -> bool:
    """A run folder, or what can only be meant as one; else the name of a network."""
    from boda import models

    if (Path(name) / "run.json").is_file():
        return True
    return name not in models.names() and (Path(name).exists() or "/" in name or "\\" in name)


def _numbers(option: str, text: str, example: str, least: int | None) -> list[int]:
    """Whole numbers parted by commas."""
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(
            f"{option} takes numbers parted by commas, such as {example}, not '{text}'."
        ) from None
    if least is not None and min(numbers) < least:
        raise UsageError(f"{option} {text}: every number must be {least} or more.")
    return numbers
