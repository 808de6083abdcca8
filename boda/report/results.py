"""The report's sections about the results: curves, classes, calibration, mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from boda.draw_maps import colours
from boda.report.charts import Line, line_chart, reliability
from boda.report.confusion import matrix_of
from boda.report.parts import THUMB, bar, count, esc, finite, heading, percent, sort_key, thumbnail
from boda.report.words import CLASS_LEADS, COLUMNS, MISTAKES, PLAIN, SMALLER, THINGS, WORDS
from boda.types import is_ground

GALLERY, ROWS, CLASSES = 40, 300, 1000
LARGER = 288  # pixels of a picture with boxes or points on it
PAIR = 480  # of two side by side
COLOURS = 60  # classes of which the colour is told
COUNTED = (
    "upscale",
    "translate",
    "detect",
    "instances",
    "segment",
    "match",
)  # a mistake is told by what is wrong, no score
NAMED = ("classify", "match")  # one name was taken for another


def class_names(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[str]:
    """The classes' names: the record's, else those of the per-class table, else numbers."""
    names = record.get("classes") or list(evaluation.get("per_class") or {})
    return [str(n) for n in names] or [str(i) for i in range(len(matrix_of(evaluation)))]


def learning(record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> str:
    """Loss, validation metric and learning rate over the epochs; every number in a table below."""
    if not history:
        return ""
    metric = f"val_{record.get('headline') or 'accuracy'}"
    best = _best_epoch(history, metric)
    name = metric.removeprefix("val_")
    word = WORDS.get(name, name.replace("_", " "))
    shown = [v for _, v in _points(history, metric)]
    share = name not in PLAIN and all(0 <= v <= 1 for v in shown)
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
        esc(word.capitalize() if word.islower() else word),
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


def classes(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """The figures of each class, whichever the task has; a click on a heading sorts."""
    per_class = evaluation.get("per_class") or {}
    if not per_class:
        return ""
    keys = list(dict.fromkeys(key for row in per_class.values() for key in row))
    figures = [key for key in keys if key != "support"]
    rows = ""
    for name, row in list(per_class.items())[:CLASSES]:
        cells = "".join(
            f'<td data-v="{sort_key(row.get(k))}">{_share(k, row)}</td>' for k in figures
        )
        support = row.get("support")
        rows += (
            f'<tr><th scope="row" data-v="{esc(name)}">{esc(name)}</th>{cells}'
            f'<td data-v="{sort_key(support)}">{count(support)}</td></tr>'
        )
    things = THINGS.get(str(record.get("task")), "samples")
    heads = "".join(
        f'<th scope="col"><button type="button">{esc(name)}</button></th>'
        for name in ("class", *(COLUMNS.get(k, k.replace("_", " ")) for k in figures), things)
    )
    lead = next((told for key, told in CLASS_LEADS.items() if key in figures), "")
    if len(per_class) > CLASSES:
        lead += f" The first {count(CLASSES)} of {count(len(per_class))} classes."
    tall = " tall" if len(per_class) > 40 else ""
    return heading("Classes", lead) + (
        f'<div class="scroll{tall}" tabindex="0" role="region" aria-label="Figures of each class">'
        f'<table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )


def _share(key: str, row: Mapping[str, Any]) -> str:
    """A figure with its bar, where it is a share that should be large."""
    value = finite(row.get(key))
    if key in PLAIN:
        return "–" if value is None else f"{value:.3f}"
    return f"{bar(value or 0.0)}{percent(value)}"


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


def mistakes(
    record: Mapping[str, Any], evaluation: Mapping[str, Any], gallery: Sequence[Mapping[str, Any]]
) -> str:
    """The pictures that were wrong, the worst first: bad labels are often among them."""
    task = str(record.get("task") or "classify")
    wrong = [entry for entry in gallery if entry.get("truth") != entry.get("predicted")]
    if task == "classify":
        wrong.sort(key=lambda entry: -(finite(entry.get("score")) or 0.0))
    if not wrong:
        accuracy = finite((evaluation.get("metrics") or {}).get("accuracy"))
        return heading("Mistakes", "There are none.") if accuracy == 1 else ""
    cards = "".join(_card(task, entry) for entry in wrong[:GALLERY])
    lead, kind = MISTAKES.get(task, "The worst first."), "" if task == "classify" else " large"
    if task == "segment":
        lead += _colours(class_names(record, evaluation))
    return heading("Mistakes", lead) + f'<div class="gallery{kind}">{cards}</div>'


def _colours(names: Sequence[str]) -> str:
    """What the colours of the classes are; what is left over has none."""
    told = [
        f'<span style="color:#{bytes(colour).hex()}">■</span> {esc(name)}'
        for name, colour in zip(names[:COLOURS], colours().tolist(), strict=False)
        if not is_ground(name)
    ]
    more = f", and {count(len(names) - COLOURS)} more" if len(names) > COLOURS else ""
    return f" Colours: {', '.join(told)}{more}."


def _card(task: str, entry: Mapping[str, Any]) -> str:
    """One picture, and below it what was said and what is true."""
    said, truth, source = (esc(entry.get(k, "")) for k in ("predicted", "truth", "source"))
    sure = f" {percent(entry.get('score'), 0)}"
    told = f"<b>{said}</b>{'' if task in COUNTED else sure}<br>"
    told += f'is <b class="truth">{truth}</b>' if task in NAMED else truth
    picture, image = entry.get("image"), ""
    if picture is not None:
        alt = f"a picture of {truth} taken for {said}" if task in NAMED else f"{truth}: {said}"
        side = {"classify": THUMB, "segment": PAIR, "match": PAIR, "upscale": PAIR}.get(
            task, LARGER
        )
        image = thumbnail(picture, alt, side)
    name = esc(Path(str(entry.get("source", ""))).name)
    return f'<figure>{image}<figcaption>{told}<small title="{source}">{name}</small></figcaption></figure>'


def _best_epoch(history: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    if points := _points(history, metric):
        sign = -1 if metric.removeprefix("val_") in SMALLER else 1
        return max(points, key=lambda p: (sign * p[1], p[0]))[0]  # of equals the last, as the run
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
        if value is not None and metric.removeprefix("val_") in PLAIN:
            shown = f", {value:.3f} {esc(word)}"
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
