"""Tables of what was seen: aligned text for the terminal, HTML for notebooks."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boda.look.summary import Summary

SUMMARY = (
    "layer",
    "kind",
    "output",
    "activations",
    "parameters",
    "multiply-adds",
    "field",
    "stride",
)


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, foot: bool = False
) -> str:
    """Columns parted by two spaces, the first ``left`` ones aligned to the left; a rule below the header.

    Args:
        header: one name a column.
        rows: as many words each.
        left: how many columns are words, not numbers.
        foot: whether the last row is a total, with a rule above it.
    """
    widths = [max(_width(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        words = []
        for i, (word, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _width(word))
            words.append(word + space if i < left else space + word)
        return "  ".join(words).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [line(header), rule, *map(line, rows)]
    if foot:
        lines.insert(-1, rule)
    return "\n".join(lines)


def html_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, foot: bool = False
) -> str:
    """The same as an HTML table."""

    def cells(row: Sequence[str], tag: str) -> str:
        side = ["left" if i < left else "right" for i in range(len(row))]
        made = (
            f'<{tag} style="text-align:{s}">{html.escape(w)}</{tag}>'
            for s, w in zip(side, row, strict=True)
        )
        return f"<tr>{''.join(made)}</tr>"

    body, last = (rows[:-1], cells(rows[-1], "th")) if foot else (rows, "")
    inside = "".join(cells(row, "td") for row in body)
    return (
        f"<table><thead>{cells(header, 'th')}</thead><tbody>{inside}</tbody>"
        f"<tfoot>{last}</tfoot></table>"
    )


def _width(text: str) -> int:
    """Columns in a terminal: Korean letters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def summary_text(found: Summary) -> str:
    """A title, the rows with their totals, the notes."""
    table = text_table(SUMMARY, _summary_rows(found), left=3, foot=True)
    return "\n".join([_title(found), "", table, *found.notes])


def summary_html(found: Summary) -> str:
    """The same for a notebook."""
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in found.notes)
    table = html_table(SUMMARY, _summary_rows(found), left=3, foot=True)
    return f"<p><b>{html.escape(_title(found))}</b></p>{table}{notes}"


def _title(found: Summary) -> str:
    return f"{found.model}, input {shape_text(found.input)}"


def _summary_rows(found: Summary) -> list[list[str]]:
    rows = []
    if is_flat(found.input):  # one picture: its size belongs to the table, as in the notes
        values = f"{math.prod(found.input):,}"
        rows.append(["input", "", shape_text(found.input), values, "", "", "", ""])
    for row in found.layers:
        size = f"{row.activation_size:,}" if row.output_shape is not None else "–"
        numbers = [size, f"{row.parameters:,}", f"{row.multiply_adds:,}"]
        places = [shape_text(row.receptive_field), shape_text(row.stride)]
        rows.append([row.name, row.kind, shape_text(row.output_shape), *numbers, *places])
    total = ["total", "", "", "", f"{found.parameters:,}", f"{found.multiply_adds:,}", "", ""]
    return [*rows, total]


def is_flat(shape: Any) -> bool:
    """Whether it is one shape, not several."""
    return isinstance(shape, list) and all(isinstance(size, int) for size in shape)


def shape_text(shape: Any) -> str:
    """``6×28×28``; several parted by commas; a dash for what is not known."""
    if shape is None:
        return "–"
    if isinstance(shape, dict):
        return ", ".join(f"{name} {shape_text(part)}" for name, part in shape.items())
    if isinstance(shape, list | tuple):
        if any(isinstance(part, list | tuple | dict) for part in shape):
            return ", ".join(shape_text(part) for part in shape)
        return "×".join(shape_text(part) for part in shape) if shape else "one number"
    return f"{shape:g}" if isinstance(shape, float) else str(shape)
