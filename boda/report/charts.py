"""The report's charts as SVG in the page: they take its colours, light and dark, and print sharp.

By hand and not with matplotlib: a chart is 2 KB instead of 30, needs no import of half a second,
and its text is the page's, in the page's font. Classes are styled in ``page.html``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from boda.report.parts import count, esc, finite, percent

WIDTH, HEIGHT = 340, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 26  # margins that hold the axes' numbers
POINTS = 600  # more than a screen can show

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: what the legend says.
        points: (x, y), x ascending.
        kind: "strong" or "faint", see the style sheet.
    """

    name: str
    points: list[Point]
    kind: str = "strong"


@dataclass(frozen=True)
class Curve:
    """One line of a chart of shares against shares.

    Attributes:
        name: what the legend says; "" is left out of it.
        points: (x, y), 0..1 each.
        kind: "c0" to "c7" or "faint", see the style sheet.
        dot: a point to mark.
    """

    name: str
    points: list[Point]
    kind: str
    dot: Point | None = None


def line_chart(
    title: str, lines: list[Line], write: Callable[[float], str], best: float | None = None
) -> str:
    """Lines over the epochs, with a legend and the best epoch marked.

    Args:
        title: plain text, the figure's caption.
        lines: those without points are left out.
        write: makes the text of a y value.
        best: the epoch to mark.

    Returns:
        A ``figure``, or "" if there is nothing to draw.
    """
    lines = [Line(line.name, _thin(line.points), line.kind) for line in lines if line.points]
    if not lines:
        return ""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_low, x_high = min(xs), max(xs)
    if x_low == x_high:
        x_low, x_high = x_low - 0.5, x_high + 0.5
    ticks = nice_ticks(min(ys), max(ys))
    y_low, y_high = ticks[0], ticks[-1]

    def place(point: Point) -> str:
        x = LEFT + (point[0] - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        y = TOP + (y_high - point[1]) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    out = ""
    for tick in ticks:
        y = place((x_low, tick)).split(",")[1]
        out += f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
        out += f'<text x="{LEFT - 6}" y="{y}" dy="4" class="end">{write(tick)}</text>'
    out += f'<text x="{LEFT - 6}" y="{HEIGHT - 8}" class="end">epoch</text>'
    for tick in _whole_ticks(min(xs), max(xs)):
        x = place((tick, y_low)).split(",")[0]
        out += f'<text x="{x}" y="{HEIGHT - 8}" class="mid">{tick}</text>'
    if best is not None and min(xs) <= best <= max(xs):
        x = place((best, y_low)).split(",")[0]
        out += f'<path class="best" d="M{x} {TOP}V{HEIGHT - BOTTOM}"/>'
    for line in lines:
        path = " ".join(place(point) for point in line.points)
        out += f'<polyline class="{line.kind}" points="{path}"/>'
        # A dot where one point makes no line, and on the best epoch.
        dots = [p for p in line.points if len(line.points) == 1 or p[0] == best]
        for x, y in (place(point).split(",") for point in dots):
            out += f'<circle class="{line.kind}" cx="{x}" cy="{y}" r="3.5"/>'
    legend = "".join(f'<span class="key {line.kind}">{esc(line.name)}</span>' for line in lines)
    last = ", ".join(f"{line.name} ends at {write(line.points[-1][1])}" for line in lines)
    return (
        f'<figure class="chart"><figcaption><b>{title}</b>{legend}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{title} by epoch: {esc(last)}">'
        f"{out}</svg></figure>"
    )


def curve_chart(title: str, curves: list[Curve]) -> str:
    """Shares against shares, both from 0 to 100 %, with a legend."""
    size, left, top = 250, 46, 12
    base = top + size

    def place(point: Point) -> tuple[float, float]:
        return left + size * point[0], base - size * point[1]

    out = ""
    for tick in (0, 25, 50, 75, 100):
        x, y = place((tick / 100, tick / 100))
        out += f'<path class="grid" d="M{left} {y:.1f}H{left + size}"/>'
        out += f'<text x="{left - 6}" y="{y:.1f}" dy="4" class="end">{tick} %</text>'
        out += f'<text x="{x:.1f}" y="{base + 16}" class="mid">{tick} %</text>'
    for curve in curves:
        line = " ".join("{:.1f},{:.1f}".format(*place(point)) for point in _thin(curve.points))
        out += f"<g><title>{esc(curve.name)}</title>" if curve.name else "<g>"
        out += f'<polyline class="{curve.kind}" points="{line}"/>'
        marks = [curve.dot] if curve.dot else curve.points if len(curve.points) == 1 else []
        for x, y in map(place, marks):
            out += f'<circle class="{curve.kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        out += "</g>"
    named = [curve for curve in curves if curve.name]
    legend = "".join(f'<span class="key {c.kind}">{esc(c.name)}</span>' for c in named)
    told = ", ".join(c.name for c in named)
    return (
        f'<figure class="chart"><figcaption><b>{title}</b>{legend}</figcaption>'
        f'<svg viewBox="0 0 {left + size + 22} {base + 22}" role="img" '
        f'aria-label="{title}: {esc(told)}">{out}</svg></figure>'
    )


def reliability(bins: list[dict[str, Any]]) -> str:
    """How often the network was right against how sure it was, and the samples per bin."""
    size, left, top, gap, low = 250, 46, 12, 34, 50
    total, base = sum(int(row["count"]) for row in bins), top + size
    most = max(int(row["count"]) for row in bins)
    out = ""
    for tick in (0, 25, 50, 75, 100):
        x, y = left + size * tick / 100, base - size * tick / 100
        out += f'<path class="grid" d="M{left} {y:.1f}H{left + size}"/>'
        out += f'<text x="{left - 6}" y="{y:.1f}" dy="4" class="end">{tick} %</text>'
        out += f'<text x="{x:.1f}" y="{base + 16}" class="mid">{tick} %</text>'
    for row in bins:
        n, right, sure = int(row["count"]), finite(row["accuracy"]), finite(row["confidence"])
        if not n or right is None or sure is None:
            continue
        x, width = left + size * row["low"] + 1, size * (row["high"] - row["low"]) - 2
        tip = f"{count(n)} samples, {percent(sure)} sure, {percent(right)} right"
        kind = "above" if right > sure else "below"
        high, far = size * min(right, sure), abs(sure - right) * size
        tall = max(low * n / most, 1.0)
        out += f"<g><title>{tip}</title>"
        out += _rect("right", x, base - high, width, high)
        out += _rect(kind, x, base - max(right, sure) * size, width, far)
        out += _rect("share", x, base + gap + low - tall, width, tall) + "</g>"
    out += f'<path class="ideal" d="M{left} {base}L{left + size} {top}"/>'
    below = base + gap + low
    out += f'<path class="grid" d="M{left} {below}H{left + size}"/>'
    out += f'<text x="{left - 6}" y="{below - low / 2}" dy="4" class="end">count</text>'
    return (
        f'<svg viewBox="0 0 {left + size + 22} {below + 6}" role="img" aria-label="Share that was '
        f'right against how sure the network was, {count(total)} samples">{out}</svg>'
    )


def nice_ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers around ``low``..``high``, at steps of 1, 2 or 5 · 10^n."""
    if 0 < low < 0.4 * high:
        low = 0.0  # near enough that the axis should begin there
    if high - low < 1e-9 * max(abs(high), 1e-9):
        low, high = low - max(abs(low), 1e-3) * 0.1, high + max(abs(high), 1e-3) * 0.1
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def _whole_ticks(low: float, high: float) -> list[int]:
    step = max(1, round(nice_ticks(0, max(high - low, 1))[1]))
    inside = range(math.ceil(low), math.floor(high) + 1)
    ticks = [x for x in inside if x % step == 0]
    return ticks or list(inside)[:1]


def _thin(points: list[Point]) -> list[Point]:
    step = math.ceil(len(points) / POINTS)
    return points[::step] + (points[-1:] if (len(points) - 1) % step else [])


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    )
