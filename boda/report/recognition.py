"""The report's section about knowing somebody again: what was asked, and the ROC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boda.report.charts import Curve, curve_chart
from boda.report.parts import count, esc, finite, heading

KINDS = {
    "across": "Of all identities",
    "within": "Of one group, such as an alphabet",
    "fixed": "As the data lists it",
}


def recognition(evaluation: Mapping[str, Any]) -> str:
    """How pictures were asked about, and what is accepted as the threshold falls."""
    asked, roc = evaluation.get("episodes") or {}, evaluation.get("roc") or {}
    if not asked and not roc:
        return ""
    told = "".join(
        f"<li>{KINDS.get(kind, esc(kind))}: {_asked(row)}</li>" for kind, row in asked.items()
    )
    lead = "One picture of each is known; another one is asked about. All of them are new to it."
    chart, words = "", ""
    if roc:
        points = list(zip(roc["false_accept"], roc["true_accept"], strict=True))
        area = finite((evaluation.get("metrics") or {}).get("auc"))
        name = "ROC" if area is None else f"ROC, area {area:.3f}"
        chart = curve_chart("Do two pictures show the same?", [Curve(name, points, "c0")])
        words = (
            "<p>Across: of the pairs of two, the share that is taken for the same. Up: of the pairs of "
            "the same, the share that is. A good network's line goes up at once.</p>"
        )
    return heading("Recognition", lead) + (
        f'<div class="side wide">{chart}<div><ul>{told}</ul>{words}</div></div>'
    )


def _asked(row: Mapping[str, Any]) -> str:
    out = f"{count(row.get('count'))} times, {row.get('ways')}-way {row.get('shots')}-shot"
    left = [str(name) for name in row.get("left_out") or ()]
    more = f" and {count(len(left) - 5)} more" if len(left) > 5 else ""
    return out + (f"; left out, being too few: {esc(', '.join(left[:5]))}{more}" if left else "")
