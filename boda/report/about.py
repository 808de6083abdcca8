"""The report's sections about the run: its headline, its choices, its data, what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from boda.report.parts import (
    bar,
    code,
    count,
    esc,
    finite,
    heading,
    minutes,
    percent,
    value_text,
    width,
    wilson,
)
from boda.report.words import PLAIN, SMALLER, THINGS, WORDS

BALANCE_BARS = 40  # more classes than that are told by the largest and the smallest
PROBLEMS, PLACES = 30, 5


def title(record: Mapping[str, Any]) -> str:
    """What the page is called: the model and the data."""
    name, root = record.get("model"), _data(record).get("root")
    parts = [str(name) if name else "", Path(str(root)).name if root else ""]
    return " on ".join(part for part in parts if part) or "A run of boda"


def headline(
    record: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    evaluation: Mapping[str, Any],
    classes: int,
) -> str:
    """The page's head: the one number, the others, the facts, and the command that repeats it."""
    key = str(record.get("headline") or "accuracy")
    eyebrow = " · ".join(esc(v) for v in ("boda", record.get("task"), record.get("method")) if v)
    out = f'<header><p class="eyebrow">{eyebrow}</p><h1>{esc(title(record))}</h1>'
    metrics = dict(evaluation.get("metrics") or {})
    if finite(metrics.get(key)) is not None:
        split, samples = esc(evaluation.get("split") or "held-back"), evaluation.get("samples")
        told = f"<b>{esc(WORDS.get(key, key))}</b> on "
        told += f"{count(samples)} {split} pictures" if samples else f"the {split} split"
        out += _hero(_figure(key, metrics[key]), told, _interval(key, metrics, samples))
    else:
        values = [v for row in history if (v := finite(row.get(f"val_{key}"))) is not None]
        if values:
            best = min(values) if key in SMALLER else max(values)
            told = f"best validation <b>{esc(WORDS.get(key, key))}</b>"
            note = "Chosen as the best epoch, so a little too kind: evaluate on unseen pictures."
            out += _hero(_figure(key, best), told, note)
    tiles = "".join(
        f"<li><b>{_figure(name, value)}{_either_way(name, metrics)}</b>{esc(WORDS.get(name, name))}</li>"
        for name, value in metrics.items()
        if name != key and not name.endswith("_interval")
    )
    out += f'<ul class="tiles">{tiles}</ul>' if tiles else ""
    out += _facts(record, history, evaluation, classes)
    if record.get("command"):
        out += f'<p class="label">Repeat it</p>{code(_command(record["command"]))}'
    return out + "</header>"


def choices(record: Mapping[str, Any]) -> str:
    """What boda chose because the person left it open, each with its reason."""
    defaults = record.get("defaults") or {}
    rows = ""
    for name, entry in defaults.items():
        given = entry if isinstance(entry, Mapping) else {"value": entry}
        rows += (
            f'<tr><th scope="row">{esc(name)}</th><td class="value">'
            f"{esc(value_text(given.get('value')))}</td>"
            f"<td>{esc(given.get('reason') or '')}</td></tr>"
        )
    if not rows:
        return ""
    lead = "What was not asked for was chosen by looking at the data, and why."
    return heading("Choices", lead) + (
        '<div class="scroll"><table class="plain"><thead><tr><th scope="col">setting</th>'
        '<th scope="col">chosen</th><th scope="col">because</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def data(record: Mapping[str, Any], names: Sequence[str]) -> str:
    """The splits, how many samples each class has, and what the check found."""
    about = _data(record)
    out = ""
    splits = {k: n for k, v in _splits(record).items() if (n := finite(v)) is not None}
    total = sum(splits.values())
    for name, n in splits.items():
        share = n / total if total else 0.0
        out += (
            f"<li><span>{esc(name)}</span>{bar(share)}<span>{count(n)}"
            f" <small>{percent(share, 0)}</small></span></li>"
        )
    out = f'<ul class="bars splits" {_label_width(splits)}>{out}</ul>' if out else ""
    things = THINGS.get(str(record.get("task")), "samples")
    out += _balance(_class_counts(about, names), things) + _problems(record.get("check"))
    if not out:
        return ""
    where = [esc(about[k]) for k in ("root", "format") if about.get(k)]
    return heading("Data", " · ".join(where)) + out


def next_commands(record: Mapping[str, Any]) -> str:
    """What a person would type next, ready to be copied; ``record["next"]`` if it is there."""
    if given := record.get("next"):
        steps = [(str(told), str(command)) for told, command in given]
        return heading("Next") + _steps(steps)
    run = str(record.get("run") or "")
    if not run:
        return ""
    quoted = shlex.quote(run)
    steps = [
        ("See what it says about a picture of yours", f"boda predict {quoted} picture.jpg"),
    ]
    if record.get("task") == "generate":
        steps = [("Let it make pictures", f"boda generate {quoted} --out made")]
    if record.get("exports", True):
        told = "Take it elsewhere: one ONNX file, no torch needed"
        steps.append((told, f"boda export {quoted}"))
    epochs = finite(record.get("epochs"))
    if epochs:
        more = f"boda fit --resume {quoted} --epochs {int(epochs) * 2}"
        steps.insert(1, ("Let it learn longer, from where it stopped", more))
    return heading("Next") + _steps(steps)


def _steps(steps: Sequence[tuple[str, str]]) -> str:
    return "".join(f'<p class="label">{esc(told)}</p>{code(command)}' for told, command in steps)


def _hero(number: str, told: str, note: str) -> str:
    return f'<div class="hero"><p class="big">{number}</p><p>{told}<small>{note}</small></p></div>'


def _figure(key: str, value: object) -> str:
    number = finite(value)
    if number is None:
        return "–"
    return f"{number:.3f}" if key in PLAIN or not 0 <= number <= 1 else percent(number)


def _either_way(key: str, metrics: Mapping[str, Any]) -> str:
    """Half the width of a figure's 95 % interval, where the figures have it."""
    half = finite(metrics.get(f"{key}_interval"))
    return "" if half is None else f" ± {percent(half)}"


def _interval(key: str, metrics: Mapping[str, Any], samples: object) -> str:
    """How far chance alone could move the number; of independent samples, unless the figures say it."""
    if told := _either_way(key, metrics):
        return f"{told} (95 % interval): so far other episodes of the same pictures would lead"
    share, n = finite(metrics.get(key)), finite(samples)
    if key != "accuracy" or share is None or not n:
        return ""
    low, high = wilson(share, int(n))
    return f"With this many pictures: {percent(low)} to {percent(high)} (95 % interval)"


def _facts(
    record: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    evaluation: Mapping[str, Any],
    classes: int,
) -> str:
    seconds = record.get("seconds")
    if seconds is None and finite(record.get("minutes")) is not None:
        seconds = 60 * float(record["minutes"])
    if seconds is None and history:
        seconds = sum(finite(row.get("seconds")) or 0.0 for row in history) or None
    splits = [n for v in _splits(record).values() if (n := finite(v)) is not None]
    versions = record.get("versions") or {}
    cost = evaluation.get("a_picture") or {}
    facts = {
        ("identities" if record.get("task") == "match" else "classes"): count(classes)
        if classes
        else "",
        "pictures": count(sum(splits)) if splits else "",
        "parameters": count(record["parameters"]) if record.get("parameters") else "",
        "epochs": count(record.get("epochs") or len(history) or None),
        "time": minutes(seconds),
        "a picture": f"{cost['milliseconds']:.1f} ms" if cost else "",
        "memory for it": f"{cost['megabytes']:,.0f} MB" if cost else "",
        "device": esc(record.get("device") or ""),
        "threads": esc(record.get("threads") or ""),
        "precision": esc(record.get("precision") or ""),
        "seed": esc(record["seed"]) if record.get("seed") is not None else "",
        "torch": esc(versions.get("torch") or record.get("torch") or ""),
    }
    rows = "".join(
        f"<div><dt>{name}</dt><dd>{text}</dd></div>"
        for name, text in facts.items()
        if text not in ("", "–")
    )
    return f'<dl class="facts">{rows}</dl>' if rows else ""


def _command(command: object) -> str:
    return shlex.join(map(str, command)) if isinstance(command, list | tuple) else str(command)


def _data(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found = record.get("data")
    return found if isinstance(found, Mapping) else {"root": found} if found else {}


def _splits(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found = _data(record).get("splits") or record.get("splits")
    return found if isinstance(found, Mapping) else {}


def _class_counts(about: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """Class → samples, of the training split where the record counts each split."""
    found: Any = about.get("class_counts") or {}
    if isinstance(found, Mapping) and any(isinstance(v, Mapping | list) for v in found.values()):
        found = found.get("train") or next(iter(found.values()))
    if not isinstance(found, Mapping):
        found = dict(zip(names, list(found), strict=False))
    return {str(name): n for name, v in found.items() if (n := finite(v)) is not None}


def _balance(counts: Mapping[str, float], things: str) -> str:
    if not counts:
        return ""
    most, least = max(counts, key=lambda k: counts[k]), min(counts, key=lambda k: counts[k])
    told = f"Each class has {count(counts[most])} {things}."
    if len(counts) == 1:
        told = f"The one class, {esc(most)}, has {count(counts[most])} {things}."
    if counts[most] != counts[least]:
        told = (
            f"The largest class, {esc(most)}, has {count(counts[most])} {things}, "
            f"the smallest, {esc(least)}, {count(counts[least])}."
        )
    shown = list(counts)
    if len(counts) > BALANCE_BARS:  # the ends of the ranking are what one would look for
        ranked = sorted(counts, key=lambda k: -counts[k])
        shown = [*ranked[:10], *ranked[-10:]]
        told += f" Shown are the ten largest and the ten smallest of {count(len(counts))}."
    top = counts[most] or 1
    rows = "".join(
        f"<li><span>{esc(k)}</span>{bar(counts[k] / top)}<span>{count(counts[k])}</span></li>"
        for k in shown
    )
    listed = f'<ul class="bars two" {_label_width(shown)}>{rows}</ul>'
    return f'<h3>Class balance</h3><p class="lead">{told}</p>{listed}'


def _label_width(labels: Iterable[str]) -> str:
    """The column that the longest of the labels needs, up to a limit."""
    widest = max((width(label) for label in labels), default=1)
    return f'style="--w:{min(max(0.55 * widest, 1.2), 9):.1f}rem"'


def _problems(check: object) -> str:
    """What the check found, the same complaint told once with the places where it applies."""
    found: Any = check
    if isinstance(check, Mapping):
        found = check.get("problems") or check.get("warnings") or []
    elif not isinstance(check, list | tuple):
        return ""
    if not found:
        return '<p class="calm">The check found nothing to complain about.</p>'
    groups: dict[tuple[str, str, str], list[str]] = {}
    for problem in found:
        given = problem if isinstance(problem, Mapping) else {"why": problem}
        words = [str(given.get(k) or "") for k in ("severity", "why", "fix")]
        file, line = given.get("file") or "", given.get("line")
        groups.setdefault((words[0], words[1], words[2]), []).append(
            f"{file}:{line}" if line is not None else str(file)
        )
    out = ""
    for (severity, why, fix), places in list(groups.items())[:PROBLEMS]:
        where = [f"<code>{esc(place)}</code>" for place in places if place]
        rest = f" and {count(len(where) - PLACES)} more" if len(where) > PLACES else ""
        mark = "error" if severity == "error" else "warning"
        out += f'<li><span class="mark {mark}">{mark}</span><div><b>{esc(why)}</b> {esc(fix)}'
        out += f"<small>{', '.join(where[:PLACES])}{rest}</small></div></li>"
    if len(groups) > PROBLEMS:
        out += f"<li>… and {count(len(groups) - PROBLEMS)} other kinds; see boda check</li>"
    return f'<h3>What the check found</h3><ul class="problems">{out}</ul>'
