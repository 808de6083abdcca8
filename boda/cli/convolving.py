"""``boda convolve``, ``boda channels`` and ``boda kernels``: pixels, kernels, and what they give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boda.cli.common import Json, emit
from boda.cli.pictures import Picture, read_picture, target, write_picture
from boda.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor

    from boda.look.filtering import Sliding

FORMULA = "floor((n + 2p − f)/s) + 1"
# (height, width) of the names that the notes use, and their neighbours
RESOLUTIONS = {(720, 1280): "HD", (1080, 1920): "FHD", (1440, 2560): "QHD", (2160, 3840): "UHD"}


def register(app: typer.Typer) -> None:
    """Add the three verbs to the command line."""
    app.command()(convolve)
    app.command()(channels)
    app.command()(kernels)


def convolve(  # noqa: PLR0913, PLR0917 one for each option
    image: Picture,
    kernel: Annotated[
        str, typer.Option(help='a name of `boda kernels`, or numbers: "1,0,-1;1,0,-1;1,0,-1"')
    ],
    stride: Annotated[int, typer.Option(help="pixels from one place to the next")] = 1,
    padding: Annotated[
        str, typer.Option(help="valid (none), same, full, or pixels on every side")
    ] = "valid",
    mode: Annotated[
        str, typer.Option(help="what is padded with: zeros, replicate, reflect, circular")
    ] = "zeros",
    flip: Annotated[
        bool, typer.Option("--flip", help="true convolution: the kernel turned by 180° first")
    ] = False,
    magnitude: Annotated[
        bool, typer.Option("--magnitude", help="length of the gradient: sobel, scharr, prewitt")
    ] = False,
    gray: Annotated[
        bool | None,
        typer.Option(
            "--gray/--color",
            help="in gray, or every channel by itself; by default gray for edges, colour for the rest",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="the picture to write; IMAGE-KERNEL.png if left away")
    ] = None,
    as_json: Json = False,
) -> None:
    """Slide a kernel over a picture: blur it, sharpen it, find its edges.

    Example: boda convolve photo.jpg --kernel sobel-x --out edges.png

    Example: boda convolve photo.jpg --kernel box-10 --padding same --mode replicate

    Example: boda convolve photo.jpg --kernel "1,0,-1;1,0,-1;1,0,-1" --stride 2

    Example: boda convolve photo.jpg --kernel sobel --magnitude
    """
    import numpy as np

    from boda.look import filtering

    how = filtering.Sliding(stride, _padding(padding), mode, flip)
    if magnitude:
        name, pair = filtering.gradient_of(kernel)
    else:
        name, single = filtering.kernel_of(kernel)
        pair = [single]
    file = target(out, f"{image.stem}-{name}{'-magnitude' * magnitude}.png", image)
    picture = read_picture(image)
    in_gray = gray if gray is not None else filtering.is_difference(pair[0])
    planes = filtering.planes(picture, in_gray)
    values = filtering.slide(planes, pair, how)
    drawn, words = filtering.shown(values, None if magnitude else pair[0])
    sizes, window = (picture.shape[0], picture.shape[1]), (pair[0].shape[0], pair[0].shape[1])
    write_picture(file, drawn)
    weights = [filtering.plain(one.numpy()) for one in pair]
    result = {
        "image": str(image),
        "kernel": {"name": name, "weights": weights if magnitude else weights[0]},
        "operation": ("convolution" if flip else "cross-correlation") + ", magnitude" * magnitude,
        "channels": "gray" if in_gray else "rgb",
        "input": list(planes.shape),
        "output": list(values.shape),
        "formula": {"text": FORMULA, **filtering.formulas(sizes, window, how)},
        "range": filtering.plain(np.array([values.min(), values.max()])),
        "shown": words,
        "file": str(file),
    }  # fmt: skip
    emit(result) if as_json else print("\n".join(_told(result, pair, how, gray is None)))


def channels(
    image: Picture,
    out: Annotated[
        Path | None, typer.Option(help="the picture to write; IMAGE-channels.png if left away")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take a picture apart into red, green and blue, and draw the three beside each other.

    Example: boda channels photo.jpg --out channels.png
    """
    from boda.look import sheets

    file = target(out, f"{image.stem}-channels.png", image)
    picture = read_picture(image)
    write_picture(file, sheets.channel_panels(picture, image.name))
    height, width = picture.shape[:2]
    resolution = RESOLUTIONS.get((min(height, width), max(height, width)))
    planes = {name: picture[..., i] for i, name in enumerate(sheets.CHANNELS)}
    ranges = {name: [int(plane.min()), int(plane.max())] for name, plane in planes.items()}
    means = {name: float(plane.mean()) for name, plane in planes.items()}
    gray = all((plane == planes["red"]).all() for plane in planes.values())
    if as_json:
        shapes = {"hwc": [height, width, 3], "chw": [3, height, width]}
        about = {"resolution": resolution, "gray": gray, "range": ranges, "mean": means}
        emit({"image": str(image), **shapes, **about, "file": str(file)})
        return
    named = f", {resolution}" * (resolution is not None)
    print(f"{image}: {height}×{width}×3 (height × width × channels){named}")
    print(f"as PyTorch wants it: (3, {height}, {width}), channels first")
    print(f"{3 * height * width:,} numbers of 0..255, one byte each")
    for name in planes:
        low, high = ranges[name]
        print(f"  {name:<7}{low:>3} to {high:>3}, mean {means[name]:.1f}")
    if gray:
        print("the three are the same everywhere: a gray picture")
    print(f"drawn   {file}")


def kernels(
    out: Annotated[Path | None, typer.Option(help="a picture: all of them drawn")] = None,
    as_json: Json = False,
) -> None:
    """The kernels there are: their numbers, and what each one does.

    Example: boda kernels --out kernels.png
    """
    from boda import ops
    from boda.look import sheets
    from boda.look.filtering import plain

    named = [(name, ops.kernel(name)) for name in sheets.in_order(ops.kernels.names())]
    if out is not None:
        write_picture(target(out, "kernels.png"), sheets.kernel_sheet(named))
    if as_json:
        rows = [
            {"name": name, "what": sheets.ABOUT.get(name, ""), "weights": plain(kernel.numpy())}
            for name, kernel in named
        ]
        emit({"kernels": rows, "file": None if out is None else str(out)})
        return
    for name, kernel in named:
        print(f"{name:<17}{sheets.ABOUT.get(name, '')}", *sheets.printed(kernel), "", sep="\n")
    print("box-10 and gaussian-2.5 choose the size and the sigma of those two.")
    print('By hand: boda convolve photo.jpg --kernel "1,0,-1;1,0,-1;1,0,-1"')
    if out is not None:
        print(f"drawn   {out}")


def _told(result: dict[str, Any], pair: list[Tensor], how: Sliding, by_itself: bool) -> list[str]:
    """The result for people."""
    from boda.look.arithmetic_page import number
    from boda.look.sheets import printed

    name, (low, high) = result["kernel"]["name"], result["range"]
    why = ""
    if by_itself and result["channels"] == "gray":
        why = " (weights that add up to 0 look for differences; --color: every channel by itself)"
    depth, height, width = result["input"]
    colored = "×3 in colour" if depth == 3 else " in gray"
    lines = [f"{result['image']}: {height}×{width}{colored}{why}", ""]
    for kernel, axis in zip(pair, ("-x", "-y") if len(pair) > 1 else ("",), strict=True):
        total = round(float(kernel.double().sum()), 4) + 0.0
        size = "×".join(map(str, kernel.shape))
        title = "typed by hand" if name == "typed" else f"{name}{axis}"
        lines += [f"{title}: {size}, the weights add up to {number(total)}", *printed(kernel)]
        if how.flip and (kernel != kernel.flip(0, 1)).any():
            lines += ["turned by 180°", *printed(kernel.flip(0, 1))]
        lines.append("")
    same = all((kernel == kernel.flip(0, 1)).all() for kernel in pair)
    operation = (
        "convolution: the kernel is turned by 180° first"
        if how.flip
        else "cross-correlation: the kernel as it stands (--flip: convolution)"
    )
    if same:
        operation += "; this kernel looks the same both ways"
    pads = f"padding {how.padding}"
    if how.padding not in ("valid", 0):
        pads += f" ({how.mode})"
    elif how.mode != "zeros":
        pads += f" (none, so --mode {how.mode} changes nothing)"
    lines.append(f"does     {operation}")
    if len(pair) > 1:
        lines.append("then     √(x² + y²), the length of the gradient")
    lines += [
        f"size     {FORMULA}, {pads}, stride {how.stride}",
        f"height   {result['formula']['height']}",
        f"width    {result['formula']['width']}",
        f"values   {number(low)} to {number(high)}",
        f"shown    {result['shown']}",
        f"written  {result['file']} ({'×'.join(map(str, result['output'][1:]))})",
    ]
    return lines


def _padding(text: str) -> str | int:
    words = ("valid", "same", "full")
    if text.lower() in words:
        return text.lower()
    try:
        return int(text)
    except ValueError:
        raise unknown("--padding", text, [*words, "1"]) from None
