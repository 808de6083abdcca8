"""The machine a fit runs on: its device, its precision, its repeatability, and its signals."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch

from boda.errors import UsageError, unknown

PRECISIONS = ("auto", "32", "bf16", "16")


@cache
def processor_has_bfloat16() -> bool:
    """Whether bfloat16 is arithmetic of this processor (AVX512-BF16 or AMX) and not an emulation."""
    try:
        with open("/proc/cpuinfo") as info:
            flags = next((line for line in info if line.startswith("flags")), "").split()
    except OSError:
        return False  # not Linux: not known, so not chosen
    return "avx512_bf16" in flags or "amx_bf16" in flags


def choose_device(name: str) -> str:
    """The best device there is for "auto"; one that is not there is a ``UsageError``."""
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there.get(name, False):
        raise UsageError(f"device '{name}' is not here. Use --device auto.")
    return name


def choose_precision(name: str, device: str) -> str:
    """For "auto" bf16 where the hardware computes in it, else 32."""
    if name not in PRECISIONS:
        raise unknown("precision", name, PRECISIONS)
    if name == "16" and device == "cpu":
        raise UsageError("precision 16 is arithmetic of GPUs. Use bf16 or 32 on a CPU.")
    if name != "auto":
        return name
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    return "bf16" if device == "cpu" and processor_has_bfloat16() else "32"


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On a CPU, algorithms that give the same bits every time; what was set before is set again."""
    if device.type != "cpu":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


class Stop:
    """Whether the person, or the machine, has asked the fit to end."""

    asked = False


@contextlib.contextmanager
def stopping() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM ask once, so that a step is never half done; a second one interrupts at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(signum: int, frame: Any) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
