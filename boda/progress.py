"""Telling a person how far the work is: a live line on a terminal, plain lines elsewhere.

Standard output is for results, so that programs can read it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

PLAIN_EVERY = 10.0  # seconds between two plain lines
EPOCH_EVERY = 2.0  # seconds between two lines about epochs


def duration(seconds: float) -> str:
    """Seconds for people: 8 s, 3:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Says things, draws a bar; with ``quiet`` does neither."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.quiet = quiet
        self.stream = stream or sys.stderr
        self.live = not quiet and self.stream.isatty()
        self.said = time.monotonic()
        self.told = 0.0
        self.headline = ""
        self._bar: Bar | None = None

    def say(self, text: str) -> None:
        """One line."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self.stream, flush=True)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """A bar for the work inside, which calls ``advance`` or ``fitting``."""
        if not self.live:
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
        )
        with Bar(*columns, console=Console(file=self.stream), transient=True) as bar:
            self._bar, self._task = bar, bar.add_task(what, total=1.0, text="")
            try:
                yield
            finally:
                self._bar = None

    def advance(self, done: int, total: int) -> None:
        """``done`` of ``total`` things are done."""
        self._show(done / max(1, total), f"{done:,}/{total:,}", plain=False)

    def fetching(self, done: int, total: int, rate: float) -> None:
        """``done`` of ``total`` bytes are here, at ``rate`` bytes a second; a total of 0 is not known."""
        of = f" of {total / 1e6:.1f}" if total else ""
        left = f"  {duration((total - done) / max(rate, 1.0))} left" if total else ""
        text = f"{done / 1e6:.1f}{of} MB  {rate / 1e6:.1f} MB/s{left}"
        self._show(done / total if total else 0.0, text, plain=True)

    def fitting(
        self,
        *,
        done: float,
        epoch: int,
        epochs: int | None,
        loss: float,
        speed: float,
        remaining: float,
    ) -> None:
        """How a fit stands: share done, loss of this epoch, pictures a second, seconds remaining."""
        of = f"/{epochs}" if epochs else ""
        text = f"epoch {epoch}{of}  loss {loss:.4f}  {speed:,.0f} pictures/s  {duration(remaining)} left"
        self._show(done, text + self.headline, plain=True)

    def epoch(self, row: dict[str, Any], headline: str, last: bool = False) -> None:
        """One epoch is over; short ones are not all told."""
        value = row.get(f"val_{headline}")
        figure = f"  {headline} {value:.4f}" if value is not None else ""
        self.headline = figure
        now = time.monotonic()
        if now - self.told < EPOCH_EVERY and not last:
            return
        self.told = self.said = now
        self.say(
            f"epoch {row['epoch']:>3}  loss {row['train_loss']:.4f}{figure}  "
            f"{row['images_per_second']:,.0f} pictures/s  {duration(row['seconds'])}"
        )

    def _show(self, done: float, text: str, plain: bool) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done, text=text)
        elif plain and not self.quiet and time.monotonic() - self.said > PLAIN_EVERY:
            self.said = time.monotonic()
            print(f"{100 * done:3.0f} %  {text}", file=self.stream, flush=True)
