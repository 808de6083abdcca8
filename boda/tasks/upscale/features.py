"""The network in whose features pictures are compared, by what a person calls it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from boda.errors import UsageError
from boda.models import state_files
from boda.models.published import locate
from boda.ops.perceptual import LAYERS
from boda.progress import Progress
from boda.stylizing.features import Features, Source


@lru_cache(maxsize=2)  # a fit asks at every step
def features_of(called: str, device: str = "cpu") -> Features:
    """What gives the maps of the layers that ``boda.ops.perceptual`` names for a network.

    Args:
        called: "squeezenet-1.1:FILE", with FILE as ``--weights`` takes it, or a run's folder.
        device: where it computes.

    Raises:
        UsageError: it is no such thing, or no layers are known of such a network.
        DataError: the file cannot be read, or is another network's.
    """
    model, colon, source = called.partition(":")
    if not colon or Path(called).exists():
        file = locate(called, "", Progress(quiet=True))
        said = state_files.about(file) if file.is_file() else None
        if said is None:
            raise UsageError(f"features={called}: give MODEL:FILE, MODEL:imagenet or a run.")
        model, source = said["model"], called
    if model not in LAYERS:
        known = ", ".join(LAYERS)
        raise UsageError(f"features={called}: pictures are compared in the features of {known}.")
    found = Source(model, locate(source, model, Progress(quiet=True)))
    return found.features(LAYERS[model], device=device)
