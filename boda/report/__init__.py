"""The report of a run: one HTML file that opens anywhere, offline, on paper and in the dark.

Text is HTML and SVG, so that Hangul needs no font of ours; pictures are inside the file. Nothing is
loaded from elsewhere, and the page's own policy (CSP) forbids it, as it forbids any script but the
few lines that sort tables. No torch. The words of the record are in ``write_report``'s docstring.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from boda.files import atomic_write
from boda.report import about, boxes, confusion, results, samples
from boda.report.parts import esc
from boda.report.recognition import recognition
from boda.report.stages import stages


def write_report(
    path: str | Path,
    record: dict[str, Any],
    history: Sequence[dict[str, Any]],
    evaluation: dict[str, Any] | None = None,
    gallery: Sequence[dict[str, Any]] = (),
) -> None:
    """Write the report, atomically. Whatever is missing is left out of the page.

    Args:
        path: the HTML file, for example ``runs/classify-1/report.html``.
        record: the run's ``run.json``. Read from it, all optional: ``task, model, method, classes,
            run`` (its folder), ``seconds, epochs, parameters, seed, command`` (a string or a list
            of arguments), ``device, threads, precision, versions {"torch": …}``, ``headline`` (a
            metric's name, "accuracy" if not given), ``defaults {name: {"value", "reason"}}``,
            ``data {"root", "format", "splits": {name: count}, "class_counts": {class: count}}``
            (or counts in class order, or per split), ``check``: problems as ``Problem.to_dict()``,
            bare or as ``{"problems": [...]}``, ``stages``: rows of ``{"name", "seconds", "figures":
            {name: number}}``, ``exports``: whether ONNX is possible, and ``next``: pairs of words
            and command.
        history: a row an epoch: ``epoch, train_loss, val_loss, val_<headline>, rate, seconds,
            images_per_second``.
        evaluation: ``split, samples, metrics, per_class, confusion`` (K, K) with rows = truth, and
            ``calibration``, as ``boda.metrics.classification`` gives them; of boxes ``curves``
            ``{class: {"recall", "precision", "scores"}}`` and ``voc`` ``{rule: {class: figure}}``,
            and in ``confusion`` the background as the last row and column; of identities ``episodes``
            ``{kind: {"ways", "shots", "count", "left_out"}}`` and ``roc`` ``{"false_accept",
            "true_accept"}``; of made pictures ``features``, the name of what they were compared by,
            and ``remarks``, sentences. Those in ``samples/`` of the run's folder are shown.
        gallery: pictures the network got wrong: ``{"image": (H, W, 3) uint8, "source", "truth",
            "predicted", "score"}``; 40 are shown, of a classifier the surest, else the first; the
            rest is not even encoded.

    Raises:
        OSError: the file cannot be written; an older report is then as it was.
    """
    # Characters that UTF-8 cannot hold come from paths in a broken encoding: they become "?".
    atomic_write(path, page(record, history, evaluation, gallery).encode("utf-8", "replace"))


def page(
    record: dict[str, Any],
    history: Sequence[dict[str, Any]],
    evaluation: dict[str, Any] | None,
    gallery: Sequence[dict[str, Any]],
) -> str:
    """The whole page as text; the arguments are those of ``write_report``."""
    evaluation = evaluation or {}
    names = results.class_names(record, evaluation)
    sections = {
        "Choices": about.choices(record),
        "Data": about.data(record, names),
        "Learning": results.learning(record, history),
        "Stages": stages(record),
        "Classes": results.classes(record, evaluation) + boxes.voc(evaluation),
        "Curves": boxes.curves(evaluation),
        "Recognition": recognition(evaluation),
        "Samples": samples.samples(record, evaluation),
        "Confusion": confusion.confusion(evaluation, names, str(record.get("task"))),
        "Calibration": results.calibration(evaluation),
        "Mistakes": results.mistakes(record, evaluation, gallery),
        "Next": about.next_commands(record),
    }
    present = {name: body for name, body in sections.items() if body}
    contents = "".join(f'<a href="#{name.lower()}">{name}</a>' for name in present)
    body = about.headline(record, history, evaluation, len(names))
    body += f'<nav aria-label="Contents">{contents}</nav><main>'
    for name, inside in present.items():
        body += f'<section id="{name.lower()}">{inside}</section>'
    body += "</main>"
    template = files("boda.report").joinpath("page.html").read_text("utf-8")
    script = template.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # The body last: a class may be called {{title}}.
    template = template.replace("{{hash}}", digest).replace("{{title}}", esc(about.title(record)))
    return template.replace("{{body}}", body)
