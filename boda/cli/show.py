"""Results for people, on standard output; a programme asks for ``--json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boda.progress import duration

if TYPE_CHECKING:
    from boda.data.check import CheckReport
    from boda.runs import Run
    from boda.types import Prediction

LARGEST = 6  # classes of a map that a line names


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Rows under their columns' names; numbers to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        numbers = rows and all(isinstance(row.get(name), int | float) for row in rows)
        drawn.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(row.get(name)) for name in columns))
    Console(markup=False, highlight=False).print(drawn)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def check(report: CheckReport) -> None:
    """What is there, then every problem, then the verdict."""
    data = report.to_dict()
    splits = ", ".join(f"{count:,} {name}" for name, count in data["splits"].items())
    print(f"{report.dataset.root}: {data['format']}, for {data['task']}")
    things = {"landmarks": "points", "match": "identities"}.get(data["task"], "classes")
    print(
        f"{data['samples']:,} pictures ({splits}), {len(data['classes'])} {things}: {_few(data['classes'])}"
    )
    if "objects" in data:
        outlined = f", {data['outlines']:,} of them with an outline" if data["outlines"] else ""
        print(f"{data['objects']:,} objects{outlined}")
    if "identities" in data:
        print(_identities(data["identities"]))
    if report.sizes:
        (low_h, low_w), (mid_h, mid_w), (high_h, high_w) = (
            report.sizes[name] for name in ("min", "median", "max")
        )
        print(
            f"height × width from {low_h}×{low_w} to {high_h}×{high_w}, median {mid_h}×{mid_w}; "
            f"{100 * report.sizes['gray']:.0f} % gray"
        )
    if text := report.text():
        print(text)
    errors, warnings = len(report.errors), len(report.warnings)
    print(f"{errors} errors, {warnings} warnings" if errors or warnings else "nothing is wrong")


def _identities(counts: dict[str, Any]) -> str:
    """How many pictures the identities have, how these are parted, and what is listed of them."""
    pictures = counts["pictures"]
    low, middle, high = (pictures[name] for name in ("min", "median", "max"))
    text = f"{low:,} to {high:,} pictures an identity, median {middle:g}"
    if len(counts["splits"]) > 1:
        parted = (f"{count:,} {name}" for name, count in counts["splits"].items())
        text += f"; identities: {', '.join(parted)}"
    listed = (f"; {counts[name]:,} {name}" for name in ("pairs", "episodes") if name in counts)
    return text + "".join(listed)


def fitted(run: Run) -> None:
    """The result of a fit, and what to do next."""
    result = run.to_dict()
    print(f"\n{result['model']}: {result['epochs']} epochs in {duration(result['seconds'] or 0)}")
    figures(result["metrics"])
    print(f"run     {run.path}\nreport  {run.report}\n")
    next_ones = [f"boda evaluate {run.path}"]
    if result["task"] == "match":
        next_ones.append(f"boda gallery create DB --run {run.path}")
    elif result["task"] == "generate":
        next_ones.append(f"boda generate {run.path} --out made/")
    else:
        next_ones.append(f"boda predict {run.path} PICTURE --out seen/")
    if run.record.get("exports", True):
        next_ones.append(f"boda export {run.path}")
    following(*next_ones)


def evaluated(result: dict[str, Any]) -> None:
    """Figures, then the classes: what is told of each depends on the task."""
    print(
        f"{result['model']} on {result['samples']:,} pictures ({result['split']}) of {result['data']}"
    )
    figures(result["metrics"])
    for kind, row in result.get("episodes", {}).items():
        left = f"; left out, being too few: {_few(row['left_out'])}" if row["left_out"] else ""
        print(f"  {kind}: {row['count']:,} × {row['ways']}-way {row['shots']}-shot{left}")
    cost = result["a_picture"]
    print(f"  a picture: {cost['milliseconds']:.1f} ms, {cost['megabytes']:,.0f} MB at most")
    classes = result.get("per_class", {})
    there = [{"class": n, **row} for n, row in classes.items() if row["support"]]
    if there:
        table(there, tuple(there[0]))
    if len(there) < len(classes):
        print(f"of {len(classes) - len(there):,} classes there is no picture")


def models(rows: Sequence[dict[str, Any]]) -> None:
    """One line a network under its paper; where there are official weights, how good they are."""
    wide = max((len(row["name"]) for row in rows), default=0) + 2
    print(f"  {'name':<{wide}}{'task':<12}{'input':<12}{'parameters':>12}  official weights")
    papers: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        papers.setdefault(row["paper"], []).append(row)
    for paper, group in papers.items():
        print(f"\n{paper}")
        for row in group:
            right = f"imagenet {row['imagenet']['top1']:.1f} %" if row["imagenet"] else ""
            if row["coco"]:
                right = f"coco mAP {row['coco']['box_map']:.1f}"
            line = f"  {row['name']:<{wide}}{row['task']:<12}{row['input']:<12}{row['parameters']:>12,}"
            print(f"{line}  {right}".rstrip())


def figures(metrics: dict[str, float]) -> None:
    """Metrics, one a line, with half the width of its 95 % interval where there is one."""
    wide = max(20, 1 + max(map(len, metrics), default=0))
    for name, value in metrics.items():
        if not name.endswith("_interval"):
            half = metrics.get(f"{name}_interval")
            told = "" if half is None else f" ± {half:.4f}"
            print(f"  {name.replace('_', ' '):<{wide}}{value:.4f}{told}")


def predictions(
    found: Sequence[Prediction], videos: Sequence[dict[str, Any]], out: Path | None
) -> None:
    """What is seen in one picture as a table, in several one line each."""
    if len(found) == 1 and (rows := _rows(found[0])):
        print(found[0].source)
        table(rows, tuple(rows[0]))
        found = []
    for prediction in found:
        print(f"{prediction.source}: {_told(prediction)}")
    for video in videos:
        print(
            f"{video['source']}: {video['frames']:,} frames, drawn in {video['video']}, "
            f"told in {video['predictions']}"
        )
    if out is not None and not videos:
        print(f"drawn in {out}")


def _rows(prediction: Prediction) -> list[dict[str, Any]]:
    """Class, score and, where there are boxes, the corners in whole pixels; or points; or areas."""
    names = prediction.names or []
    if prediction.areas is not None and prediction.shares is not None:
        found = zip(names, prediction.areas.tolist(), prediction.shares.tolist(), strict=True)
        return [{"class": n, "pixels": area, "share": share} for n, area, share in found]
    if prediction.points is not None:
        places = (place[:2].tolist() for place in prediction.points)
        return [{"point": n, "x": x, "y": y} for n, (x, y) in zip(names, places, strict=True)]
    scores = [] if prediction.scores is None else prediction.scores.tolist()
    rows: list[dict[str, Any]] = [
        {"class": name, "score": score} for name, score in zip(names, scores, strict=True)
    ]
    if prediction.boxes is not None:
        for row, box in zip(rows, prediction.boxes, strict=True):
            row |= {k: round(float(v)) for k, v in zip(("x1", "y1", "x2", "y2"), box, strict=True)}
    return rows


def _told(prediction: Prediction) -> str:
    """A line: the three best classes, how many boxes of each class, points, or the largest areas."""
    names = prediction.names or []
    if prediction.made is not None:
        return f"made, {prediction.made[1]}×{prediction.made[0]}"
    if prediction.shares is not None:
        largest = zip(names[:LARGEST], prediction.shares.tolist(), strict=False)
        told = ", ".join(f"{name} {100 * share:.1f} %" for name, share in largest)
        return told + (f", and {len(names) - LARGEST} more" if len(names) > LARGEST else "")
    if prediction.points is not None:
        return f"{len(prediction.points)} points"
    if prediction.embedding is not None:
        return f"a vector of {len(prediction.embedding)} numbers; --json tells it"
    if prediction.boxes is not None:
        counts = Counter(names)
        return ", ".join(f"{n} {name}" for name, n in counts.most_common()) or "nothing found"
    scores = [] if prediction.scores is None else prediction.scores.tolist()
    best = zip(names[:3], scores[:3], strict=True)
    return ", ".join(f"{name} {100 * score:.1f} %" for name, score in best)


def exported(result: dict[str, Any]) -> None:
    """Where the file is, and that it was verified."""
    print(
        f"{result['file']}: {result['bytes'] / 1e6:.1f} MB, verified with ONNX Runtime "
        f"(largest difference {result['difference']:.1e})\n"
    )
    following(f"boda predict {result['file']} PICTURE")


def compared(result: dict[str, Any]) -> None:
    """One column a run."""
    runs = result["runs"]
    lines: list[tuple[str, Sequence[Any]]] = [
        *result["metrics"].items(),
        ("epochs", result["epochs"]),
        ("minutes", result["minutes"]),
        *result["settings"].items(),
    ]
    table(
        [{"": name, **dict(zip(runs, values, strict=True))} for name, values in lines], ("", *runs)
    )


def demo(result: dict[str, Any]) -> None:
    """The demo's story."""
    print(
        f"\naccuracy on the {result['samples']} digits it never saw: {100 * result['accuracy']:.2f} %"
    )
    print(f"pictures  {result['sheet']}\nreport    {result['report']}\n")
    following(*result["next"])


def following(*commands: str) -> None:
    """What a person may type next."""
    print("next:")
    for command in commands:
        print(f"  {command}")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f", … ({len(names)})" if len(names) > 12 else "")
