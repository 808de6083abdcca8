"""``Arithmetic`` as a page of text: per channel patch, kernel and products side by side, then the sum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from boda.look.worked import Part

if TYPE_CHECKING:
    from boda.look.arithmetic import Arithmetic

CHANNELS = 4  # that are shown in full; of more, those that weigh most
SIDE = 12  # rows or columns of a grid that are shown in full
TERMS = 8  # products of a dense layer that are shown


def page(found: Arithmetic) -> str:
    """The whole page."""
    place = ", ".join(map(str, found.at))
    shape = "×".join(map(str, found.output_shape))
    lines = [f"{found.layer} ({found.kind}), value ({place}) of {shape}", ""]
    shown = weightiest(found.parts)
    for part in shown:
        lines += [*_part(part), ""]
    rest = [part for part in found.parts if not any(part is other for other in shown)]
    if rest:
        total = sum(part.products.sum() for part in rest)
        lines += [f"and {len(rest)} more channels, whose products sum to {number(total)}", ""]
    return "\n".join([*lines, *equation(found)])


def weightiest(parts: list[Part]) -> list[Part]:
    """All parts, or of many those with the largest sums, in order of their channels."""
    if len(parts) <= CHANNELS:
        return parts
    chosen = sorted(parts, key=lambda part: -abs(part.products.sum()))[:CHANNELS]
    return sorted(chosen, key=lambda part: part.channel or 0)


def equation(found: Arithmetic) -> list[str]:
    """The last lines: what is added up, and what comes out."""
    worked, rows = found.worked, list[tuple[str, str]]()
    if worked.how == "sum":
        count = sum(part.patch.size for part in found.parts)
        rows.append((f"sum of {count:,} product{'s' * (count != 1)}", number(worked.total)))
        rows.append(("bias", "none" if worked.bias is None else number(worked.bias)))
    elif worked.how == "mean":
        rows.append((f"sum of the {found.parts[0].patch.size:,} values", number(worked.total)))
        rows.append(("divided by", f"{worked.divisor:g}"))
    elif worked.how == "largest":
        rows.append(
            (f"largest of {int(found.parts[0].inside.sum()):,} values", number(found.value))
        )
    else:
        rows.append(("formula", worked.formula or ""))
    rows.append(("value", number(found.value)))
    rows.append(("the network's own", number(found.network)))
    if found.activated is not None:
        rows.append((f"then {found.activation}", number(found.activated)))
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}   {value:>10}" for name, value in rows]


def where(part: Part) -> str:
    """In words: which channel, rows and columns the part looks at."""
    if part.channel is None:
        return f"{part.patch.size:,} features"
    return f"channel {part.channel}, {_span('row', part.rows)}, {_span('column', part.columns)}"


def _span(word: str, lines: list[int]) -> str:
    if not lines:
        return f"no {word}"
    if len(lines) == 1:
        return f"{word} {number(lines[0])}"
    step = lines[1] - lines[0]
    reach = f"{word}s {number(lines[0])} to {number(lines[-1])}"
    return reach + (f" in steps of {step}" if step != 1 else "")


def _part(part: Part) -> list[str]:
    if part.channel is None and part.kernel is not None:
        return _terms(part)
    title = where(part)
    if not part.patch.size:
        return [f"{title}: no input value reaches this place"]
    if max(part.patch.shape) > SIDE:
        low, high, mean = part.patch.min(), part.patch.max(), part.patch.mean()
        size = "×".join(map(str, part.patch.shape))
        return [title, f"{size} values from {number(low)} to {number(high)}, mean {number(mean)}"]
    grids = {"patch": _grid(part.patch, part.inside)}
    if part.kernel is not None:
        grids |= {"kernel": _grid(part.kernel), "products": _grid(part.products)}
    note = [] if part.inside.all() else ["(in brackets: padding)"]
    if part.patch.shape[1] > 6:  # side by side they would be too wide for a terminal
        body = [line for name, grid in grids.items() for line in (name, *grid)]
    else:
        body = _beside(grids)
    ends = [f"sum {number(part.products.sum())}"] if part.kernel is not None else []
    return [title, *body, *ends, *note]


def _beside(grids: dict[str, list[str]]) -> list[str]:
    widths = {name: max(len(line) for line in [name, *grid]) for name, grid in grids.items()}
    heads = "     ".join(f"{name:<{widths[name]}}" for name in grids)
    signs = ["  ×  ", "  =  "]
    height = len(next(iter(grids.values())))
    lines = [heads.rstrip()]
    for row in range(height):
        middle = row == height // 2
        line = ""
        for i, (name, grid) in enumerate(grids.items()):
            line += (signs[i - 1] if middle else "     ") * (i > 0) + f"{grid[row]:<{widths[name]}}"
        lines.append(line.rstrip())
    return lines


def _grid(values: np.ndarray, inside: np.ndarray | None = None) -> list[str]:
    words = alike(values)
    if inside is not None:
        for i, j in np.argwhere(~inside):
            words[i][j] = f"({words[i][j]})"
    width = max(len(word) for row in words for word in row)
    return [" ".join(f"{word:>{width}}" for word in row) for row in words]


def _terms(part: Part) -> list[str]:
    """A dense layer: its heaviest products, one a line."""
    values, weights, products = (array[0] for array in (part.patch, part.kernel, part.products))  # type: ignore[index]
    order = np.argsort(-abs(products), kind="stable")[:TERMS]
    chosen = sorted(order)
    columns = [alike(array[None, chosen])[0] for array in (values, weights, products)]
    rows = list(zip([f"input[{i}]" for i in chosen], *columns, strict=True))
    name = max(len(row[0]) for row in rows)
    width = max(len(word) for row in rows for word in row[1:])
    lines = [f"{n:<{name}}  {v:>{width}} × {w:>{width}} = {p:>{width}}" for n, v, w, p in rows]
    rest = len(products) - len(order)
    title = f"{len(products):,} features" + (
        f", the {len(order)} heaviest products:" if rest else ":"
    )
    others = products.sum() - products[order].sum()
    return [title, *lines, *([f"and {rest:,} more, which sum to {number(others)}"] if rest else [])]


def number(value: float | None) -> str:
    """Five significant figures, with a true minus."""
    if value is None:
        return "–"
    if not np.isfinite(value):
        return "−∞" if value < 0 else "∞"
    return f"{value:.5g}".replace("-", "−")


def alike(values: np.ndarray, figures: int = 3) -> list[list[str]]:
    """A grid's numbers, all with as many decimals as give its largest so many significant figures."""
    finite = abs(values[np.isfinite(values)])
    largest = float(finite.max()) if finite.size else 0.0
    decimals = figures - 1 - math.floor(math.log10(largest)) if largest > 0 else 0
    decimals = min(max(decimals, 0), 6)
    return [[_fixed(float(v), decimals) for v in row] for row in values]


def _fixed(value: float, decimals: int) -> str:
    if not np.isfinite(value):
        return "−∞"
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")
