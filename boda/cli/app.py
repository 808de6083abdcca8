"""The verbs as commands. Thin: an argument in, ``boda.api`` called, the result shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from boda import api, options
from boda.cli import (
    augmenting,
    converting,
    convolving,
    gallery,
    generating,
    looking,
    portraying,
    proposing,
    show,
    stylizing,
    synthesizing,
)
from boda.cli.common import Json, emit, with_options
from boda.errors import Stopped, UsageError
from boda.progress import Progress

app = typer.Typer(
    help="boda (보다, 'to see'): from a folder of pictures to a trained, measured, explained network.\n\n"
    "Start with: boda demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Format = Annotated[str | None, typer.Option(help="how to read the data, where two ways fit")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="field=value of the method that may be chosen anew, as direction=b2a"
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="where NAME is a model: FILE, RUN, https address, or imagenet or coco: the official file"
    ),
]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="where to write the digits and the run")] = Path(
        "boda-demo"
    ),
    as_json: Json = False,
) -> None:
    """The whole loop on real handwritten digits, in well under a minute.

    Example: boda demo
    """
    from boda.cli.demo import demo as run_demo

    result = run_demo(out, Progress())
    emit(result) if as_json else show.demo(result)


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="a folder, an archive or a file")],
    task: Annotated[str | None, typer.Option(help="only formats for this task")] = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """What is there, and what is wrong with it; exit status 2 when there are errors.

    Example: boda check pictures/
    """
    report = api.check(data, task, format, Progress())
    emit(report.to_dict()) if as_json else show.check(report)
    if report.errors:
        raise typer.Exit(2)


def fit(
    task: str | None,
    data: str | None,
    out: str | None,
    resume: str | None,
    settings: list[str] | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Fit a network to labelled pictures: boda looks at them and chooses, you may choose otherwise.

    Examples:
      boda fit classify pictures/

      boda fit classify photos.zip --minutes 10 --out runs/first

      boda fit classify mnist/ --model lenet5 --epochs 10 --set clip=1

      boda fit --resume runs/first
    """
    progress = Progress()
    try:
        run = api.fit(
            task,
            data,
            out=out,
            resume=resume,
            settings=_pairs(settings),
            progress=progress,
            **chosen,
        )
    except KeyboardInterrupt as stop:  # else typer would say "Aborted!"
        raise Stopped(str(stop) or "stopped before anything was written") from None
    if run.leading:
        emit(run.to_dict()) if as_json else show.fitted(run)


@app.command()
def evaluate(
    name: Annotated[
        str, typer.Argument(metavar="RUN|MODEL", help="a run folder, or a model with --weights")
    ],
    data: Annotated[
        str | None, typer.Argument(help="labelled pictures; the run's own if left away")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val or test; test where there is one")
    ] = None,
    weights: Weights = None,
    format: Format = None,
    drop: Annotated[
        bool,
        typer.Option(
            "--drop", help="leave out pictures with errors; for match, also of whom the run knows"
        ),
    ] = False,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Measure a run on labelled pictures it has not seen.

    Examples:
      boda evaluate runs/classify-1

      boda evaluate squeezenet-1.1 pictures/ --weights imagenet
    """
    result = api.evaluate(
        name,
        data,
        split=split,
        weights=weights,
        format=format,
        drop=drop,
        settings=_pairs(settings),
        progress=Progress(),
    )
    emit(result) if as_json else show.evaluated(result)


@app.command()
def predict(  # noqa: PLR0913, PLR0917 one for each option
    name: Annotated[str, typer.Argument(metavar="RUN|MODEL|FILE.onnx", help="what predicts")],
    inputs: Annotated[list[str], typer.Argument(help="pictures, folders of pictures, videos")],
    out: Annotated[
        Path | None,
        typer.Option(help="folder for pictures and videos with what was seen drawn on them"),
    ] = None,
    conf: Annotated[
        float | None, typer.Option(help="boxes: the score from which they are told; 0.25")
    ] = None,
    iou: Annotated[
        float | None,
        typer.Option(help="boxes: those that overlap a better one by more are dropped; not .onnx"),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            help="look at larger pictures in tiles of so many pixels: as well for boxes, blended for segment"
        ),
    ] = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="look at the mirrored picture as well")
    ] = False,
    slide: Annotated[
        bool,
        typer.Option(
            "--slide", help="a classifier: find its classes in windows of larger pictures"
        ),
    ] = False,
    scales: Annotated[
        str | None, typer.Option(help="of --slide: factors of the picture's sides, as 1,0.7,0.5")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="of --slide: pixels from one window to the next")
    ] = None,
    background: Annotated[
        str | None, typer.Option(help="of --slide: the class that stands for nothing")
    ] = None,
    batch: Annotated[int, typer.Option(help="pictures at a time")] = 32,
    weights: Weights = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Say what is seen in pictures and videos. An exported .onnx file needs no torch.

    Of a video, --out DIR gets the same video with what was seen drawn on it, and a line of JSON for
    each of its frames. A moving GIF is a video where there is --out, else its first picture.

    Examples:
      boda predict runs/classify-1 new-pictures/ --out seen/

      boda predict runs/detect-1 aerial.jpg --tile 640 --conf 0.4

      boda predict runs/detect-1 clip.mp4 --out seen/

      boda predict runs/classify-1 page.png --slide --scales 1,0.7 --out seen/

      boda predict resnet18 picture.jpg --weights imagenet
    """
    from boda.cli import predicting

    if batch < 1:
        raise UsageError(f"--batch is {batch}; it must be at least 1.")
    progress = Progress()
    work = predicting.plan(inputs, out, progress)
    windows = predicting.windows(slide, scales, stride, background)
    predictor = api.predictor(
        name,
        weights,
        progress,
        conf=conf,
        iou=iou,
        tile=tile,
        tta=tta,
        slide=windows,
        settings=_pairs(settings),
    )
    found = predicting.carry_out(work, predictor, batch, progress)
    emit(found.to_dict()) if as_json else show.predictions(found.predictions, found.videos, out)
    for problem in found.problems:
        typer.echo(f"boda: {problem}", err=True)
    if found.problems:
        raise typer.Exit(2)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="a run folder")],
    out: Annotated[Path | None, typer.Option(help="the file; RUN/model.onnx if left away")] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Write a run as one ONNX file, with its preparation and classes inside, verified before it is kept.

    Examples:
      boda export runs/classify-1

      boda export runs/translate-1 --set direction=b2a --out day.onnx
    """
    path, difference = api.export(run, out, _pairs(settings))
    result = {"run": run, "file": str(path), "bytes": path.stat().st_size, "difference": difference}
    emit(result) if as_json else show.exported(result)


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(help="two run folders or more")],
    as_json: Json = False,
) -> None:
    """Runs side by side: metrics, minutes, and the settings that differ.

    Example: boda compare runs/classify-1 runs/classify-2
    """
    result = api.compare(runs)
    emit(result) if as_json else show.compared(result)


@app.command()
def tasks(as_json: Json = False) -> None:
    """The tasks there are."""
    result = api.tasks()
    emit(result) if as_json else show.table(result, ("name", "headline", "description"))


@app.command()
def models(
    task: Annotated[str | None, typer.Option(help="only networks for this task")] = None,
    as_json: Json = False,
) -> None:
    """The networks there are; their official weights, by those right on ImageNet or by COCO's mAP.

    Example: boda models --task classify
    """
    result = api.models(task)
    emit(result) if as_json else show.models(result)


def _pairs(settings: list[str] | None) -> dict[str, str]:
    """``field=value`` words as a dictionary."""
    pairs = {}
    for setting in settings or []:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set takes field=value, not '{setting}'.")
        pairs[name.strip()] = value.strip()
    return pairs


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    """``fit`` with what a person can choose in it."""
    before = {
        "task": (
            Annotated[str | None, typer.Argument(help="what to learn; see `boda tasks`")],
            None,
        ),
        "data": (Annotated[str | None, typer.Argument(help="labelled pictures")], None),
    }
    after = {
        "out": (Annotated[str | None, typer.Option(help="the run folder; runs/<task>-<n>")], None),
        "resume": (Annotated[str | None, typer.Option(help="a run to go on with")], None),
        "settings": (
            Annotated[
                list[str] | None,
                typer.Option("--set", help="field=value of the plan or the method"),
            ],
            None,
        ),
        "as_json": (Json, False),
    }
    return with_options(command, options.FitOptions, before, after)


app.command()(_with_options(fit))
looking.register(app)
convolving.register(app)
augmenting.register(app)
converting.register(app)
synthesizing.register(app)
proposing.register(app)
portraying.register(app)
gallery.register(app)
stylizing.register(app)
generating.register(app)
