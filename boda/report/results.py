"""The report's sections about the results: curves, classes, confusion, calibration, mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from boda.report.charts import Line, line_chart, reliability
from boda.report.parts import bar, count, esc, finite, heading, percent, thumbnail, width

MATRIX = 40  # classes; of more only the most confused pairs are told
PAIRS, GALLERY, ROWS, CLASSES = 30, 40, 300, 1000


def class_names(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[str]:
    """The classes' names: the record's, else those of the per-class table, else numbers."""
    names = record.get("classes") or list(evaluation.get("per_class") or {})
    return [str(n) for n in names] or [str(i) for i in range(len(_matrix(evaluation)))]


def learning(record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> str:
    """Loss, validation metric and learning rate over the epochs; every number in a table below."""
    if not history:
        return ""
    metric = f"val_{record.get('headline') or 'accuracy'}"
    best = _best_epoch(history, metric)
    word = metric.removeprefix("val_").replace("_", " ")
    shown = [v for _, v in _points(history, metric)]
    share = all(0 <= v <= 1 for v in shown)
    digits = 1 if shown and max(shown) - min(shown) < 0.05 else 0
    charts = line_chart(
        "Loss",
        [
            Line("training", _points(history, "train_loss"), "faint"),
            Line("validation", _val_loss(history)),
        ],
        lambda v: f"{v:.3g}",
        best,
    )
    charts += line_chart(
        esc(word.capitalize()),
        [Line("validation", _points(history, metric))],
        lambda v: f"{100 * v:.{digits}f} %" if share else f"{v:.3g}",
        best,
    )
    rate = [Line("rate", _points(history, "rate"), "faint")]
    charts += line_chart(
        "Learning rate", rate, lambda v: f"{v:.1e}" if 0 < v < 1e-3 else f"{v:.3g}"
    )
    lead = _told(history, metric, word, best)
    return heading("Learning", lead) + f'<div class="charts">{charts}</div>' + _numbers(history)


def classes(evaluation: Mapping[str, Any]) -> str:
    """Precision, recall and F1 of each class; a click on a heading sorts."""
    per_class = evaluation.get("per_class") or {}
    if not per_class:
        return ""
    rows = ""
    for name, row in list(per_class.items())[:CLASSES]:
        cells = "".join(
            f'<td data-v="{_sort_key(row.get(k))}">{bar(finite(row.get(k)) or 0.0)}'
            f"{percent(row.get(k))}</td>"
            for k in ("precision", "recall", "f1")
        )
        support = row.get("support")
        rows += (
            f'<tr><th scope="row" data-v="{esc(name)}">{esc(name)}</th>{cells}'
            f'<td data-v="{_sort_key(support)}">{count(support)}</td></tr>'
        )
    heads = "".join(
        f'<th scope="col"><button type="button">{name}</button></th>'
        for name in ("class", "precision", "recall", "F1", "samples")
    )
    lead = (
        "Precision: of those it called so, how many were. Recall: of those that were, how many it "
        "found. F1 is the harmonic mean of both."
    )
    if len(per_class) > CLASSES:
        lead += f" The first {count(CLASSES)} of {count(len(per_class))} classes."
    tall = " tall" if len(per_class) > 40 else ""
    return heading("Classes", lead) + (
        f'<div class="scroll{tall}" tabindex="0" role="region" aria-label="Figures of each class">'
        f'<table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )


def confusion(evaluation: Mapping[str, Any], names: Sequence[str]) -> str:
    """What was taken for what: the matrix up to 40 classes, and the most frequent mistakes."""
    matrix = _matrix(evaluation)
    if not matrix.size or not matrix.sum():
        return ""
    names = [*names[: len(matrix)], *(str(i) for i in range(len(names), len(matrix)))]
    wrong = matrix - np.diag(np.diag(matrix))
    if not wrong.any():
        return heading("Confusion", "No class was taken for another.") + _table(matrix, names)
    share = wrong / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    order = np.lexsort((-share.ravel(), -wrong.ravel()))[:PAIRS]  # of equal counts the larger share
    pairs = [divmod(int(i), len(matrix)) for i in order if wrong.flat[i]]
    if len(matrix) <= MATRIX:
        told = "; ".join(
            f"<b>{esc(names[t])}</b> for <b>{esc(names[p])}</b> {_times(matrix[t, p])}"
            for t, p in pairs[:3]
        )
        lead = (
            "A row is what the pictures show, a column what the network said; the diagonal is "
            f"right. Most often taken: {told}."
        )
        return heading("Confusion", lead) + _table(matrix, names)
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


def calibration(evaluation: Mapping[str, Any]) -> str:
    """Whether the network is right as often as it is sure."""
    bins = [row for row in evaluation.get("calibration") or [] if row.get("count")]
    if not bins:
        return ""
    total = sum(int(row["count"]) for row in bins)
    sure = sum(row["count"] * row["confidence"] for row in bins) / total
    right = sum(row["count"] * row["accuracy"] for row in bins) / total
    gaps = (row["count"] * abs(row["confidence"] - row["accuracy"]) for row in bins)
    error = sum(gaps) / total  # Guo et al. 2017, as in boda.metrics.classification
    told = "Its scores can be taken at their word"
    if error >= 0.02:
        told = "It is too sure of itself" if sure > right else "It is too modest"
    if error >= 0.02 and abs(sure - right) < error / 2:
        told = "It is too sure in some places and too modest in others"
    return heading("Calibration") + (
        f'<div class="side"><figure class="chart">{reliability(bins)}</figure><div>'
        f'<p class="lead"><b>{percent(error)}</b> calibration error. {told}: on average '
        f"{percent(sure)} sure and {percent(right)} right.</p>"
        "<p>Across: how sure the network was. Up: how often it was "
        "right. A bar that ends on the dashed line is an honest score. Red is what the scores "
        "promised and did not keep, pale blue what they kept beyond their promise. Below: how many "
        "pictures each bar speaks for; a bar of few says little.</p></div></div>"
    )


def mistakes(evaluation: Mapping[str, Any], gallery: Sequence[Mapping[str, Any]]) -> str:
    """The pictures that were wrong, the surest first: bad labels are often among them."""
    wrong = [entry for entry in gallery if entry.get("truth") != entry.get("predicted")]
    wrong.sort(key=lambda entry: -(finite(entry.get("score")) or 0.0))
    if not wrong:
        accuracy = finite((evaluation.get("metrics") or {}).get("accuracy"))
        return heading("Mistakes", "There are none.") if accuracy == 1 else ""
    cards = ""
    for entry in wrong[:GALLERY]:
        said, truth, source = (esc(entry.get(k, "")) for k in ("predicted", "truth", "source"))
        picture = entry.get("image")
        alt = f"a picture of {truth} taken for {said}"
        image = thumbnail(picture, alt) if picture is not None else ""
        name = esc(Path(str(entry.get("source", ""))).name)
        cards += (
            f"<figure>{image}<figcaption><b>{said}</b> {percent(entry.get('score'), 0)}<br>"
            f'is <b class="truth">{truth}</b><small title="{source}">{name}</small>'
            "</figcaption></figure>"
        )
    lead = (
        "The surest first: what it said and how sure it was, then what the label says. Look here "
        "for wrong labels and for what the training pictures lack."
    )
    return heading("Mistakes", lead) + f'<div class="gallery">{cards}</div>'


def _best_epoch(history: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    if points := _points(history, metric):
        return max(points, key=lambda p: (p[1], p[0]))[0]  # of equals the last, as the run keeps it
    points = _val_loss(history)
    return min(points, key=lambda p: p[1])[0] if points else None


def _val_loss(history: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """The loss on val; a classifier's metric for it is the negative log-likelihood."""
    return _points(history, "val_loss") or _points(history, "val_nll")


def _points(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    rows = (
        (finite(row.get("epoch", i + 1)), finite(row.get(key))) for i, row in enumerate(history)
    )
    return [(x, y) for x, y in rows if x is not None and y is not None]


def _told(history: Sequence[Mapping[str, Any]], metric: str, word: str, best: float | None) -> str:
    out = ""
    if best is not None:
        value = dict(_points(history, metric)).get(best)
        shown = f", {percent(value)} {esc(word)}" if value is not None and 0 <= value <= 1 else ""
        out = f"Epoch <b>{best:g}</b> was the best on validation{shown} (dotted line). "
    speeds = [y for _, y in _points(history, "images_per_second")]
    return out + (f"{count(np.median(speeds))} pictures a second." if speeds else "")


def _numbers(history: Sequence[Mapping[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for row in history for key in row))
    step = math.ceil(len(history) / ROWS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_number(row.get(key))}</td>" for key in keys) + "</tr>"
        for row in history[::step]
    )
    heads = "".join(f'<th scope="col">{esc(key.replace("_", " "))}</th>' for key in keys)
    which = "All numbers" if step == 1 else f"Every {step}th epoch's numbers"
    return (
        f'<details><summary>{which}</summary><div class="scroll tall"><table class="numbers">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _number(value: object) -> str:
    number = finite(value)
    if number is None:
        return "–" if value is None else esc(value)
    return f"{number:,.0f}" if number == int(number) or abs(number) >= 1000 else f"{number:.4g}"


def _sort_key(value: object) -> str:
    number = finite(value)
    return "" if number is None else f"{number:.6g}"


def _times(n: int) -> str:
    return "once" if n == 1 else "twice" if n == 2 else f"{count(n)} times"


def _matrix(evaluation: Mapping[str, Any]) -> np.ndarray:
    found = evaluation.get("confusion")
    matrix = np.asarray([] if found is None else found, np.int64)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    return matrix if square else np.zeros((0, 0), np.int64)


def _table(matrix: np.ndarray, names: Sequence[str]) -> str:
    """The confusion matrix as a table; the colour is the share of the row, that is of the class."""
    if len(matrix) > MATRIX:
        return ""
    upright = len(matrix) > 12 or max(width(name) for name in names) > 6
    heads = "".join(
        f'<th scope="col" title="{esc(name)}"><span>{esc(name)}</span></th>' for name in names
    )
    rows = ""
    for i, row in enumerate(matrix):
        cells = "".join(_cell(int(n), int(row.sum()), i, j, names) for j, n in enumerate(row))
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
