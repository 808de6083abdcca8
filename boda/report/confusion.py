"""The report's section about what was taken for what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from boda.outputs import CONFIDENT
from boda.report.boxes import with_background
from boda.report.parts import bar, count, esc, heading, percent, width

MATRIX = 40  # classes; of more only the most confused pairs are told
PAIRS = 30
CLASSES_TOLD = (
    "A row is what the pictures show, a column what the network said; the diagonal is right. Most "
    "often taken:"
)
BOXES_TOLD = (
    f"A row is what is there, a column what was said of it, from a score of {CONFIDENT:g} and an "
    "overlap of 0.5 on; the diagonal is right. The last column is what was missed, the last row what "
    "is not there. Most often:"
)


def confusion(evaluation: Mapping[str, Any], names: Sequence[str], task: str = "") -> str:
    """What was taken for what: the matrix up to 40 classes, and the most frequent mistakes."""
    matrix = matrix_of(evaluation)
    if not matrix.size or not matrix.sum():
        return ""
    known = len(names)
    names = with_background(evaluation, names, len(matrix))
    boxes = len(names) > known
    names = [*names[: len(matrix)], *(str(i) for i in range(len(names), len(matrix)))]
    wrong = matrix - np.diag(np.diag(matrix))
    if not wrong.any():
        lead = "No class was taken for another."
        lead = "Nothing was missed, invented or taken for another." if boxes else lead
        return heading("Confusion", lead) + _table(matrix, names, boxes)
    share = wrong / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    order = np.lexsort((-share.ravel(), -wrong.ravel()))[:PAIRS]  # of equal counts the larger share
    pairs = [divmod(int(i), len(matrix)) for i in order if wrong.flat[i]]
    if len(matrix) <= MATRIX:
        often = _pixels if task == "segment" else _times
        told = "; ".join(
            f"{_mistaken(names, t, p, boxes)} {often(matrix[t, p])}" for t, p in pairs[:3]
        )
        lead = f"{BOXES_TOLD} {told}." if boxes else f"{CLASSES_TOLD} {told}."
        return heading("Confusion", lead) + _table(matrix, names, boxes)
    rows = ""
    for truth, said in pairs:
        rows += (
            f'<tr><th scope="row">{esc(names[truth])}</th><td>{esc(names[said])}</td>'
            f"<td>{count(matrix[truth, said])}</td>"
            f"<td>{bar(share[truth, said], 'bad')}{percent(share[truth, said])}</td></tr>"
        )
    lead = f"The {len(pairs)} most frequent mistakes among {count(len(matrix))} classes."
    heads = "".join(
        f'<th scope="col">{t}</th>' for t in ("shows", "taken for", "times", "of its class")
    )
    return heading("Confusion", lead) + (
        f'<div class="scroll"><table class="pairs"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _mistaken(names: Sequence[str], truth: int, said: int, boxes: bool) -> str:
    """One kind of mistake in words."""
    nothing = len(names) - 1 if boxes else -1
    if said == nothing:
        return f"<b>{esc(names[truth])}</b> missed"
    if truth == nothing:
        return f"<b>{esc(names[said])}</b> where there is none"
    return f"<b>{esc(names[truth])}</b> for <b>{esc(names[said])}</b>"


def _times(n: int) -> str:
    return "once" if n == 1 else "twice" if n == 2 else f"{count(n)} times"


def _pixels(n: int) -> str:
    return "in 1 pixel" if n == 1 else f"in {count(n)} pixels"


def matrix_of(evaluation: Mapping[str, Any]) -> np.ndarray:
    """(K, K) counts, rows are the truth; (0, 0) where there are none."""
    found = evaluation.get("confusion")
    matrix = np.asarray([] if found is None else found, np.int64)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    return matrix if square else np.zeros((0, 0), np.int64)


def _table(matrix: np.ndarray, names: Sequence[str], boxes: bool = False) -> str:
    """The confusion matrix as a table; the colour is the share of the row, that is of the class.

    Of boxes the last place is the background; how often there was nothing and nothing was said,
    nobody can count.
    """
    if len(matrix) > MATRIX:
        return ""
    upright = len(matrix) > 12 or max(width(name) for name in names) > 6
    heads = "".join(
        f'<th scope="col" title="{esc(name)}"><span>{esc(name)}</span></th>' for name in names
    )
    rows = ""
    for i, row in enumerate(matrix):
        cells = "".join(_cell(int(n), int(row.sum()), i, j, names) for j, n in enumerate(row))
        if boxes and i == len(matrix) - 1:
            cells = cells[: cells.rindex("<td")] + '<td class="miss none"></td>'
        name = esc(names[i])
        rows += f'<tr><th scope="row" title="{name}"><span>{name}</span></th>{cells}</tr>'
    kind = ("upright " if upright else "") + ("dense" if len(matrix) > 20 else "")
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">'
        f'<table class="matrix {kind}"><thead><tr><th scope="col">shows ↓ said →</th>{heads}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )


def _cell(n: int, total: int, i: int, j: int, names: Sequence[str]) -> str:
    kind = "hit" if i == j else "miss"
    if not n:
        return f'<td class="{kind} none">{0 if i == j else ""}</td>'
    share = n / total
    # Mistakes are rare: the square root lifts them to where an eye can tell them apart.
    depth = 0.1 + 0.7 * share if i == j else 0.12 + 0.78 * math.sqrt(share)
    deep = " deep" if depth > 0.55 else ""
    tip = f"{esc(names[i])} taken for {esc(names[j])}: {count(n)} of {count(total)}"
    return f'<td class="{kind}{deep}" style="--a:{depth:.2f}" title="{tip}">{n}</td>'
