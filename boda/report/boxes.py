"""The report's sections about boxes: precision against recall, and the figures of Pascal VOC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from boda.outputs import CONFIDENT
from boda.report.charts import Curve, curve_chart
from boda.report.parts import bar, count, esc, finite, heading, percent, sort_key

OVERLAID = 8  # classes with a curve of their own: more cannot be told apart
RECALLS = np.linspace(0, 1, 101)  # COCO's (arXiv 1405.0312)
BACKGROUND = "background"


def curves(evaluation: Mapping[str, Any]) -> str:
    """Precision against recall at IoU 0.5, of each class or, of many, of all together."""
    found = {str(name): row for name, row in (evaluation.get("curves") or {}).items()}
    found = {name: row for name, row in found.items() if row.get("recall")}
    if not found:
        return ""
    per_class = evaluation.get("per_class") or {}
    if len(found) <= OVERLAID:
        lines = []
        for number, (name, row) in enumerate(found.items()):
            average = finite((per_class.get(name) or {}).get("ap50"))
            label = name if average is None else f"{name} {100 * average:.0f} %"
            points = list(zip(row["recall"], row["precision"], strict=True))
            lines.append(Curve(label, points, f"c{number}", _told(row)))
    else:
        falling = [_falling(row) for row in found.values()]
        lines = [Curve("", _pairs(each), "faint") for each in falling]
        lines.append(Curve("mean of the classes", _pairs(np.mean(falling, 0)), "c0"))
    chart = curve_chart("Precision against recall", lines)
    lead = "How the boxes of IoU 0.5 and more would do if only those of a higher score were told."
    dot = (
        ""
        if len(found) > OVERLAID
        else (
            f" The dot is a score of {CONFIDENT:g}, from which <code>boda predict</code> tells a box: "
            "<code>--conf</code> moves it along the line."
        )
    )
    many = (
        ""
        if len(found) <= OVERLAID
        else (
            f" Pale: each of the {count(len(found))} classes, its precision at the best from there on."
        )
    )
    return heading("Curves", lead) + (
        f'<div class="side wide">{chart}<div><p>Across: recall, the share of the objects that is '
        "found. Up: precision, the share of the boxes that is right. A good detector's line stays "
        "at the top until far to the right; the area below it is the average precision."
        f"{dot}{many}</p></div></div>"
    )


def voc(evaluation: Mapping[str, Any]) -> str:
    """Average precision as Pascal VOC counts it, by both of its rules; "" where it was not computed."""
    tables = {str(rule): row for rule, row in (evaluation.get("voc") or {}).items() if row}
    if not tables:
        return ""
    names = list(dict.fromkeys(name for row in tables.values() for name in row))
    rows = ""
    for name in names:
        values = [row.get(name) for row in tables.values()]
        rows += f'<tr><th scope="row" data-v="{esc(name)}">{esc(name)}</th>{_cells(values)}</tr>'
    means = [_mean(list(row.values())) for row in tables.values()]
    foot = f'<tfoot><tr><th scope="row">mean</th>{_cells(means)}</tr></tfoot>' if names[1:] else ""
    heads = "".join(
        f'<th scope="col"><button type="button">{esc(word)}</button></th>'
        for word in ("class", *(f"AP, {rule}" for rule in tables))
    )
    tall = " tall" if len(names) > 40 else ""
    return (
        "<h3>As Pascal VOC counts</h3>"
        '<p class="lead">Average precision at IoU 0.5 (Everingham et al. 2010): "11-point" is the '
        'rule until 2009, "all-point" the one since. Difficult objects count neither way.</p>'
        f'<div class="scroll{tall}" tabindex="0" role="region" aria-label="Pascal VOC">'
        f'<table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>{foot}'
        "</table></div>"
    )


def with_background(evaluation: Mapping[str, Any], names: Sequence[str], size: int) -> list[str]:
    """The names of a confusion matrix's rows: a detector's has one more, what is no object."""
    if "voc" in evaluation and size == len(names) + 1:
        return [*names, BACKGROUND]
    return list(names)


def _cells(values: Sequence[object]) -> str:
    return "".join(
        f'<td data-v="{sort_key(v)}">{bar(finite(v) or 0.0)}{percent(v)}</td>' for v in values
    )


def _mean(values: Sequence[object]) -> float | None:
    known = [v for value in values if (v := finite(value)) is not None]
    return sum(known) / len(known) if known else None


def _told(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """The point of the least score that is told."""
    told = [i for i, score in enumerate(row.get("scores") or []) if score >= CONFIDENT]
    return (row["recall"][told[-1]], row["precision"][told[-1]]) if told else None


def _falling(row: Mapping[str, Any]) -> np.ndarray:
    """(101,) the best precision from each recall on; 0 where it is not reached."""
    recall, precision = np.array(row["recall"]), np.array(row["precision"])
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return np.append(best, 0.0)[np.searchsorted(recall, RECALLS)]


def _pairs(precision: np.ndarray) -> list[tuple[float, float]]:
    return list(zip(RECALLS.tolist(), precision.tolist(), strict=True))
