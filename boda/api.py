"""The verbs: all that the command line and the web page import; ``boda.fit`` and its kin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boda.errors import UsageError
from boda.generating import generate
from boda.progress import Progress
from boda.stylizing.verbs import fit_style, stylize

if TYPE_CHECKING:
    from boda.data.check import CheckReport
    from boda.portrait import Portrait
    from boda.predicting import Picture, Predictor
    from boda.runs import Run
    from boda.trained import Trained
    from boda.types import Prediction

__all__ = [
    "check",
    "compare",
    "evaluate",
    "export",
    "fit",
    "fit_style",
    "generate",
    "load",
    "models",
    "portrait",
    "predict",
    "predictor",
    "stylize",
    "synth",
    "tasks",
]

ONNX = ".onnx"


def check(
    data: str | Path,
    task: str | None = None,
    format: str | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Look at every record of the data; nothing is changed.

    Raises:
        DataError: there is nothing that a reader knows.
    """
    from boda.data import readers
    from boda.data.check import check as look

    progress = progress or Progress(quiet=True)
    dataset = readers.read(data, format, task)
    with progress.working("checking the pictures"):
        return look(dataset, progress=progress.advance)


def fit(
    task: str | None = None,
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    settings: dict[str, str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Run:
    """Fit a network to a person's pictures.

    Args:
        task: for example "classify".
        data: a folder, an archive or a file; its format is recognized.
        out: the run folder; by default ``runs/<task>-<n>``. One that is not empty is refused.
        resume: a run to go on with, instead of a task; ``epochs`` or ``minutes`` extend it.
        settings: fields of the plan or of the method's configuration, as ``--set`` takes them.
        progress: where to tell how far it is; standard error by default.
        **options: the fields of ``boda.options.FitOptions``: model, epochs, minutes, val, …

    Returns:
        The run, with its weights, record, history and report.

    Raises:
        UsageError: the request is wrong. DataError: the data is. Nothing was written then.
        TrainingError: the loss was not finite, or memory was not there.
        KeyboardInterrupt: Ctrl-C, once everything is saved.
    """
    from boda import fitting
    from boda.options import FitOptions

    chosen = FitOptions.of(options)
    progress = progress or Progress()
    if resume is not None:
        if (
            task is not None and data is None
        ):  # the one word beside --resume is where the data is now
            task, data = None, task
        if task is not None or out is not None:
            raise UsageError(
                "--resume goes on in its own folder with its own task: leave them away."
            )
        surplus = [
            n
            for n, v in options.items()
            if n not in ("epochs", "minutes") and v != getattr(FitOptions(), n)
        ]
        if surplus or settings:
            names = ", ".join([*surplus, *(settings or {})])
            raise UsageError(
                f"a resumed run keeps its settings; only epochs or minutes can grow, not {names}."
            )
        return fitting.resume(resume, data, chosen.epochs, chosen.minutes, progress)
    if task is None or data is None:
        raise UsageError("a fit needs a task and data, for example: boda fit classify pictures/")
    return fitting.fit(task, data, chosen, settings or {}, out, progress)


def load(path: str | Path) -> Run:
    """Open a run folder.

    Raises:
        DataError: it is no run folder, or damaged.
    """
    from boda.runs import Run

    return Run.open(path)


def predictor(  # noqa: PLR0913 one for each option
    name: str | Path,
    weights: str | Path | None = None,
    progress: Progress | None = None,
    *,
    conf: float | None = None,
    iou: float | None = None,
    tile: int | None = None,
    tta: bool = False,
    slide: dict[str, Any] | None = None,
    settings: dict[str, str] | None = None,
) -> Predictor:
    """What predicts: an exported ``.onnx`` file (without torch), a run, or a model with ``weights``.

    Args:
        name: a file, a run folder, or the name of a model.
        weights: for a model: a file, a run, an address, or "imagenet" or "coco" for its official file.
        progress: told what is fetched, and what was assumed of the weights.
        conf: of boxes: the score from which they are told, 0..1; 0.25 if left away.
        iou: of boxes: those that overlap a better one of their class by more are dropped.
        tile: larger pictures are looked at in tiles of so many pixels: for boxes as well as whole;
            the classes of pixels are blended where tiles overlap.
        tta: look at the mirrored picture too (test-time augmentation), in twice the time.
        slide: of a classifier: find its classes in windows that slide over the picture; the fields
            of ``boda.sliding.Windows``, all with defaults.
        settings: of the method, those that may be chosen anew, such as ``{"direction": "b2a"}``.

    Raises:
        UsageError: a number is out of range, or the task or the file knows no such thing.
    """
    path = Path(name)
    if path.suffix.lower() == ONNX:
        from boda import runtime

        if slide is not None:
            raise UsageError("--slide needs the run itself: an exported file takes whole pictures.")

        if iou is not None:
            raise UsageError(
                "--iou: the non-max suppression of an exported file is inside it, as it was set when "
                "it was exported. Predict with the run to change it, or leave --iou away."
            )
        if settings:
            raise UsageError("--set needs the run itself: an exported file stays as it is.")
        found: Predictor = runtime.load(path)
    else:
        from boda.trained import Trained

        trained = (
            _run(name).trained()
            if weights is None
            else Trained.of_model(str(name), weights, progress)
        )
        trained.adjust(settings or {})
        if slide is not None:
            from boda.sliding import Sliding, Windows

            windows = Windows(**(slide if iou is None else {**slide, "overlap": iou}))
            found = Sliding(trained, windows)
        else:
            if iou is not None:
                _suppress_from(trained, iou)
            found = trained.predictor()
    found.adjust(conf, tile, tta)
    return found


def predict(
    name: str | Path,
    pictures: Iterable[Picture],
    weights: str | Path | None = None,
    batch: int = 32,
    *,
    conf: float | None = None,
    iou: float | None = None,
    tile: int | None = None,
    tta: bool = False,
) -> list[Prediction]:
    """Predictions for pictures: paths, folders or arrays; ``predictor`` tells about the rest.

    Raises:
        DataError: a picture cannot be read; use ``predictor`` to go on without it.
        UsageError: see ``predictor``.
    """
    from boda.errors import DataError
    from boda.predicting import find_pictures

    found = predictor(name, weights, conf=conf, iou=iou, tile=tile, tta=tta)
    expanded: list[Picture] = []
    for picture in pictures:
        expanded += find_pictures([picture]) if isinstance(picture, str | Path) else [picture]
    predictions = list(found.predict_all(expanded, batch))
    if found.problems:
        raise DataError(problems=found.problems)
    return predictions


def portrait(
    picture: Picture,
    name: str | Path,
    weights: str | Path | None = None,
    *,
    blur: float | None = None,
    background: str | None = None,
    keep: str | None = None,
    progress: Progress | None = None,
) -> Portrait:
    """A picture with its person sharp and the rest blurred, or replaced.

    Args:
        picture: a path, or (H, W) or (H, W, 3) uint8.
        name: a run for segment or instances, its ``.onnx`` file, or with ``weights`` a model.
        weights: as those of ``predictor``.
        blur: radius in pixels of the disc that blurs; by default 1/60 of the longer side.
        background: instead of the picture's own: a picture's path, a colour ("#rrggbb" or a name), or
            "transparent".
        keep: the class that stays sharp; a person by default.
        progress: told what is fetched, and what was assumed of the weights.

    Raises:
        UsageError: the run is for another task or knows no such class; a number or a colour is wrong.
        DataError: a picture cannot be read, or nobody is seen in it.
    """
    from boda import portrait as work
    from boda.predicting import read_picture

    behind = None if background is None else work.backdrop(background)
    image, source = read_picture(picture, 0)
    return work.portrait(predictor(name, weights, progress), image, blur, behind, keep, source)


def evaluate(
    name: str | Path,
    data: str | Path | None = None,
    *,
    split: str | None = None,
    weights: str | Path | None = None,
    format: str | None = None,
    drop: bool = False,
    settings: dict[str, str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a run, or a model with weights, on labelled pictures.

    Args:
        name: a run folder; with ``weights``, the name of a model.
        data: by default that of the run.
        split: test where there is one, else val, unless said otherwise.
        weights: for a model: a file, a run, an address, or "imagenet" or "coco" for its official file.
        format: how to read the data.
        drop: leave out pictures with errors, and for ``match`` of identities that a run was fitted with;
            what a run left out of its own data stays out.
        settings: of a run's method, those that may be chosen anew, such as ``{"direction": "b2a"}``.
        progress: where to tell how far it is.

    Returns:
        ``{"task", "model", "data", "split", "samples", "metrics", "per_class", …}``.
    """
    from boda import measuring

    progress = progress or Progress(quiet=True)
    if weights is not None:
        if settings:
            raise UsageError("--set is for a run: leave it away.")
        return measuring.of_file(str(name), weights, data, format, split, drop, progress)
    return measuring.of_run(_run(name), data, format, split, drop, progress, settings)


def export(
    name: str | Path, out: str | Path | None = None, settings: dict[str, str] | None = None
) -> tuple[Path, float]:
    """Write a run as one ONNX file, verified against ONNX Runtime before it is kept.

    Args:
        name: the run's folder.
        out: the file; ``model.onnx`` beside the weights if left away.
        settings: of its method, those that may be chosen anew, such as ``{"direction": "b2a"}``.

    Returns:
        The file, and the largest difference found between ONNX Runtime and torch.
    """
    from boda import measuring

    return measuring.export(_run(name), out, settings)


def compare(names: Sequence[str | Path]) -> dict[str, Any]:
    """Runs side by side: ``{"runs", "metrics": {name: [...]}, "minutes", "settings": those that differ}``."""
    from boda import measuring

    if len(names) < 2:
        raise UsageError("comparing needs two runs or more.")
    return measuring.compare([_run(name) for name in names])


def synth(
    out: str | Path,
    count: int = 200,
    size: int = 128,
    seed: int = 0,
    progress: Progress | None = None,
    kinds: Sequence[str] = (),
) -> dict[str, Any]:
    """Draw pictures with exact labels of every kind into a new folder; README.txt there tells more.

    Args:
        out: a folder that is not there, or empty; it appears whole or not at all.
        count: pictures of each kind, 3 to 100,000.
        size: pixels of their sides, 32 to 4096.
        seed: another seed, other pictures.
        progress: where to tell how far it is.
        kinds: "scenes", "objects", "faces", "domains", those that are drawn; all where none is named.

    Returns:
        ``{"out", "count", "size", "seed", "kinds", "splits", "classes", "points", "boxes", "empty"}``.

    Raises:
        UsageError: a number is out of range, or the folder cannot be written.
    """
    from boda.data.synthetic_folder import KINDS, write

    progress = progress or Progress(quiet=True)
    with progress.working("drawing the pictures"):
        return {
            "out": str(out),
            **write(out, count, size, seed, progress.advance, kinds or tuple(KINDS)),
        }


def tasks() -> list[dict[str, Any]]:
    """The registered tasks: name, headline metric, description."""
    from boda import tasks as registry

    found = [registry.task(name) for name in registry.names()]
    return [{"name": t.name, "headline": t.headline, "description": t.description} for t in found]


def models(task: str | None = None) -> list[dict[str, Any]]:
    """The registered networks: name, task, input (C×H×W), parameters, paper, summary, imagenet, coco.

    The last two are official files of weights, or None: ``{"file", "url", "top1", "top5"}`` with
    accuracies in percent, and ``{"file", "url", "box_map", …}`` with COCO's figures.
    """
    from boda import models as registry
    from boda import tasks as task_registry
    from boda.models.published import WORDS, official

    if task is not None:
        task_registry.task(task)
    rows = []
    for name in registry.names(task):
        entry = registry.entry(name)
        rows.append(
            {
                "name": name,
                "task": entry.task,
                "input": f"{entry.channels}×{entry.size[0]}×{entry.size[1]}",
                "parameters": entry.parameters,
                "paper": entry.paper,
                "summary": entry.summary,
                **{
                    word: row.to_dict() if (row := official(name, word)) else None for word in WORDS
                },
            }
        )
    return rows


def _suppress_from(trained: Trained, iou: float) -> None:
    """Let a detector drop boxes that overlap better ones by more than ``iou``."""
    from boda.tasks.detect.detector import Detector

    if not isinstance(trained.method, Detector):
        raise UsageError(f"--iou is for detect, not for {trained.task}: leave it away.")
    if not 0 < iou <= 1:
        raise UsageError(f"--iou is {iou:g}; it is above 0 and at most 1.")
    trained.method.overlap = iou


def _run(name: str | Path) -> Run:
    from boda import models
    from boda.models.published import WORDS, official
    from boda.runs import Run

    if not Path(name).exists() and str(name) in models.names():
        raise UsageError(
            f"{name} is a network without weights. Name a run, or give --weights FILE"
            + "".join(f" or --weights {word}" for word in WORDS if official(str(name), word))
            + "."
        )
    return Run.open(name)
