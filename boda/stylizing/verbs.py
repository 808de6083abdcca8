"""``boda.stylize`` and the fit of a network for one style; light to import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boda.errors import UsageError
from boda.progress import Progress

if TYPE_CHECKING:
    import numpy as np

    from boda.predicting import Picture
    from boda.stylizing.network import Fitted
    from boda.stylizing.transfer import Stylized


def stylize(
    content: Picture,
    styles: Sequence[Picture] = (),
    *,
    masks: Sequence[Picture] = (),
    seen: Callable[[int, Callable[[], np.ndarray]], None] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Stylized:
    """The content of a picture in the style of others.

    Args:
        content: a path, or (H, W) or (H, W, 3) uint8.
        styles: likewise, one or more; none where ``network`` is a file that ``fit_style`` wrote.
        masks: for each style where in the content it goes, white; everywhere if left away.
        seen: called after each step with its number and what makes the picture so far.
        progress: told whose weights are used, and the steps.
        **options: the fields of ``boda.stylizing.options.StylizeOptions``: network, weights, size,
            steps, style_weight, …

    Returns:
        The picture, its loss, and how it was made; what was reached where the person stopped it.

    Raises:
        UsageError: a layer, a number or a size does not fit. DataError: a picture or the weights.
        TrainingError: the loss stopped being finite.
    """
    from boda.predicting import read_picture
    from boda.stylizing import network, transfer, work
    from boda.stylizing.options import StylizeOptions

    chosen = StylizeOptions.of(options)
    picture = read_picture(content, 0)[0]
    if network.is_file(chosen.network):
        if styles or masks:
            raise UsageError(f"{chosen.network} has its style already: give the content alone.")
        return network.applied(Path(chosen.network), picture, chosen.device)
    if not styles:
        raise UsageError("a style is missing: boda stylize CONTENT STYLE --out FILE")
    pictures = [read_picture(style, i + 1)[0] for i, style in enumerate(styles)]
    regions = [work.as_mask(read_picture(mask, i)[0]) for i, mask in enumerate(masks)]
    request = work.Request(picture, pictures, regions)
    return transfer.stylize(request, chosen, progress or Progress(quiet=True), seen)


def fit_style(
    style: Picture,
    data: str | Path,
    out: str | Path,
    minutes: float = 30.0,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Fitted:
    """Fit a network that gives any picture one style in a single pass, for ``stylize``.

    Args:
        style: a path, or (H, W) or (H, W, 3) uint8.
        data: a folder of pictures of what it is to be used on.
        out: the file to write, ``.safetensors``.
        minutes: measured time.
        progress: told whose weights are used, and how far it is.
        **options: as those of ``stylize``: network, weights, layers, style_weight, seed, …

    Raises:
        UsageError: a layer or a number does not fit. DataError: a picture or the weights.
        TrainingError: the loss stopped being finite.
    """
    from boda.predicting import read_picture
    from boda.stylizing import network
    from boda.stylizing.options import StylizeOptions

    chosen = StylizeOptions.of(options)
    picture = read_picture(style, 0)[0]
    return network.fit(picture, data, minutes, Path(out), chosen, progress or Progress(quiet=True))
