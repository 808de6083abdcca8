"""The report's section about the stages of a fit that is more than one gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boda.report.parts import bar, esc, finite, heading, minutes, value_text


def stages(record: Mapping[str, Any]) -> str:
    """A row a stage: how long it took, and what came of it."""
    given = [each for each in record.get("stages") or () if isinstance(each, Mapping)]
    longest = max((finite(each.get("seconds")) or 0.0 for each in given), default=0.0)
    rows = ""
    for each in given:
        seconds = finite(each.get("seconds")) or 0.0
        figures = each.get("figures") or {}
        told = ", ".join(f"{name}: {value_text(_whole(value))}" for name, value in figures.items())
        rows += (
            f'<tr><th scope="row">{esc(each.get("name") or "")}</th>'
            f'<td class="value">{minutes(seconds)}</td>'
            f"<td>{bar(seconds / longest if longest else 0.0)}</td><td>{esc(told)}</td></tr>"
        )
    if not rows:
        return ""
    lead = "The fit was one stage after another; how long each took, and what came of it."
    return heading("Stages", lead) + (
        '<div class="scroll"><table class="plain"><thead><tr><th scope="col">stage</th>'
        '<th scope="col">time</th><th scope="col"></th><th scope="col">figures</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _whole(value: Any) -> Any:
    """A float that is a whole number, as one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
