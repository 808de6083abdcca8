"""``boda gallery``: take people, parts or products in by a picture, know them again, let them go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boda.cli.common import Json, emit
from boda.errors import Problem
from boda.progress import Progress

if TYPE_CHECKING:
    from boda.gallery import Gallery
    from boda.gallery.records import Entry

gallery = typer.Typer(
    help="Know somebody or something again from one picture. DB is a file, or a postgresql:// address.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Where = Annotated[str, typer.Argument(metavar="DB", help="a file, or postgresql://…")]
Run = Annotated[str | None, typer.Option(help="where the gallery's run is now, if it has moved")]
Detector = Annotated[
    str | None, typer.Option(metavar="RUN", help="a run for detect, which finds whom to look at")
]
Confidence = Annotated[
    float | None, typer.Option(help="of --detector: the score from which a box counts; 0.25")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(gallery, name="gallery")


@gallery.command()
def create(
    db: Where,
    run: Annotated[str, typer.Option(help="a run for match, whose network makes the vectors")],
    far: Annotated[
        float, typer.Option(help="the share of unknown people who may be taken for somebody")
    ] = 0.01,
    as_json: Json = False,
) -> None:
    """Make a new, empty gallery for the vectors of a run's network.

    Example: boda gallery create people.db --run runs/match-1
    """
    from boda.gallery import Gallery

    with Gallery.create(db, run, far) as made:
        told = made.to_dict()
    if as_json:
        emit(told)
        return
    print(f"made     {told['gallery']}: vectors of {told['dimension']} numbers by {told['run']}")
    print(f"next     boda gallery add {told['gallery']} --name NAME PICTURE")


@gallery.command()
def add(
    db: Where,
    pictures: Annotated[list[str], typer.Argument(help="pictures, or folders of pictures")],
    name: Annotated[str, typer.Option(help="who or what they show")],
    detector: Detector = None,
    conf: Confidence = None,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Take in pictures of one name; one is enough, some more make it surer.

    With --detector each picture is to show one box, and what is in it is taken in. A gallery that is
    to be asked with --detector is to be filled with it too.

    Example: boda gallery add people.db --name 민수 minsu.jpg
    """
    from boda.gallery import Gallery
    from boda.gallery.records import clean_name
    from boda.predicting import find_pictures

    named = [(clean_name(name), path) for path in find_pictures(pictures)]
    with Gallery.open(db, run) as opened:
        finder = _detector(detector, conf)
        entries = opened.add(named, finder)
        _take_in(opened, entries, len(named), [], as_json)


@gallery.command("import")
def import_(
    db: Where,
    source: Annotated[
        str,
        typer.Argument(help="a folder or archive with a folder for each name, or another gallery"),
    ],
    detector: Detector = None,
    conf: Confidence = None,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Take in a folder for each name, or all of another gallery.

    Each picture that is told is on the disk. An import that was cut short is begun again with the same
    command: what is there already is passed over.

    Example: boda gallery import people.db photos/

    Example: boda gallery import postgresql://host/people people.db
    """
    from boda.gallery import Gallery
    from boda.gallery.exporting import is_gallery_name
    from boda.gallery.given import by_folder

    problems: list[Problem] = []
    with Gallery.open(db, run) as opened:
        if is_gallery_name(source):
            with Gallery.open(source) as other:
                count = other.store.extent()[0]
                _take_in(opened, opened.merge(other), count, problems, as_json)
            return
        named = by_folder(source, problems)
        finder = _detector(detector, conf)
        _take_in(opened, opened.add(named, finder), len(named), problems, as_json)


@gallery.command()
def identify(
    db: Where,
    pictures: Annotated[list[str], typer.Argument(help="pictures, or folders of pictures")],
    detector: Detector = None,
    conf: Confidence = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="similarity from which one is known, instead of the calibrated one"),
    ] = None,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Say who is on pictures; whom the gallery does not know is unknown.

    Example: boda gallery identify people.db door.jpg

    Example: boda gallery identify people.db party.jpg --detector runs/detect-1
    """
    from boda.gallery import Gallery
    from boda.predicting import find_pictures

    progress = Progress()
    told: list[dict[str, Any]] = []
    paths = find_pictures(pictures)
    with Gallery.open(db, run) as opened:
        finder = _detector(detector, conf)
        with progress.working("looking"):
            for seen in opened.identify(paths, finder, threshold):
                told.append(seen.to_dict())
                progress.advance(len(told), len(paths))
        problems = opened.problems
        if threshold is None and opened.settle() is None:
            progress.say(
                f"{opened.store.where} has fewer than two names, so that nothing says from which "
                "similarity one is known: all are unknown. Add others, or give --threshold."
            )
    if as_json:
        emit({"pictures": told, **_listed(problems)})
    else:
        _show_found(told)
    _finish(problems)


@gallery.command("list")
def list_(db: Where, as_json: Json = False) -> None:
    """Say whom a gallery knows, whose network made its vectors, and how sure a match must be.

    Example: boda gallery list people.db
    """
    from boda.cli import show
    from boda.gallery import Gallery

    with Gallery.open(db) as opened:
        about, people = opened.to_dict(), opened.people()
    names = [{"name": p.name, "pictures": p.pictures, "added": p.added} for p in people]
    if as_json:
        emit({**about, "names": names})
        return
    print(f"{about['gallery']}: {_pictures(about)} of {len(names):,} names")
    print(f"vectors  {about['dimension']} numbers by {about['run']} ({about['model'][:12]}…)")
    print(f"known    {_known(about)}")
    if names:
        show.table(names, ("name", "pictures", "added"))


@gallery.command()
def remove(
    db: Where,
    name: Annotated[str, typer.Option(help="who is to go")],
    as_json: Json = False,
) -> None:
    """Take out a name: its vectors and thumbnails leave the gallery's files too.

    Example: boda gallery remove people.db --name 민수
    """
    from boda.gallery import Gallery

    with Gallery.open(db) as opened:
        removed, gone = opened.remove(name)
        where = opened.store.where
    if as_json:
        emit({"gallery": where, "name": name, "removed": removed, "gone": gone})
    else:
        print(f"removed  {name}, {removed:,} pictures, from {where}")
    if not gone:
        Progress().say(
            "Somebody is reading the gallery just now: some of the bytes stay in its files until "
            "they are done and another name is removed."
        )


@gallery.command()
def calibrate(
    db: Where,
    far: Annotated[
        float, typer.Option(help="the share of unknown people who may be taken for somebody")
    ],
    as_json: Json = False,
) -> None:
    """Choose another rate of false accepts; the threshold follows from the gallery's own pictures.

    Example: boda gallery calibrate people.db --far 0.001
    """
    from boda.gallery import Gallery

    with Gallery.open(db) as opened:
        opened.settle(far)
        told = opened.to_dict()
    if as_json:
        emit(told)
    else:
        print(f"known    {_known(told)}")


@gallery.command("export")
def export_(
    db: Where,
    out: Annotated[
        str,
        typer.Argument(
            help="a folder for thumbnails; FILE.npz for vectors; FILE.db or an address for a gallery"
        ),
    ],
    as_json: Json = False,
) -> None:
    """Write a gallery as a folder of thumbnails, as NumPy arrays, or as another gallery.

    Example: boda gallery export people.db postgresql://host/people
    """
    from boda.gallery import Gallery, export

    with Gallery.open(db) as opened:
        told = {"gallery": opened.store.where, **export(opened, out)}
    if as_json:
        emit(told)
    else:
        print(f"written  {told['out']}: {told['kind']}, {told['entries']:,} pictures")


def _detector(run: str | None, conf: float | None) -> Any:
    from boda.errors import UsageError
    from boda.gallery.embedding import detector_of

    if run is None and conf is not None:
        raise UsageError("--conf belongs to --detector: give both or neither.")
    return None if run is None else detector_of(run, conf)


def _take_in(
    opened: Gallery, entries: Iterable[Entry], count: int, before: list[Problem], as_json: bool
) -> None:
    """Tell each picture when it is on the disk; then what is there now, and what went wrong."""
    progress, added = Progress(), []
    with progress.working("taking in"):
        for entry in entries:
            added.append({"name": entry.name, "source": entry.source})
            if not as_json:
                print(f"added    {entry.name}  {entry.source}", flush=True)
            progress.advance(len(added), count)
    problems = [*before, *opened.problems]
    about = opened.to_dict()
    if as_json:
        emit({**about, "added": added, "already": opened.already, **_listed(problems)})
    else:
        if opened.already:
            print(f"already  {len(opened.already):,} pictures were there")
        print(f"holds    {_pictures(about)}; known {_known(about)}")
    _finish(problems)


def _pictures(about: dict[str, Any]) -> str:
    return f"{about['entries']:,} picture{'' if about['entries'] == 1 else 's'}"


def _known(about: dict[str, Any]) -> str:
    """How sure a match must be, in words."""
    share = f"{100 * about['rate']:g} % of unknown people are taken for somebody"
    if about["threshold"] is None:
        return f"nobody yet: two names at least are needed to say from which similarity ({share})"
    how = "measured" if about["measured"] else "estimated, for that there are too few pictures"
    return f"above a similarity of {about['threshold']:.4f}: {share} ({how})"


def _show_found(pictures: list[dict[str, Any]]) -> None:
    for picture in pictures:
        if not picture["found"]:
            print(f"{picture['source']}: nothing found")
        for one in picture["found"]:
            place = ""
            if "box" in one:
                place = "  at " + " ".join(f"{edge:.0f}" for edge in one["box"])
            similar = "" if one["similarity"] is None else f"  {one['similarity']:.3f}"
            near = f"  (nearest {one['nearest']})" if one["nearest"] and not one["name"] else ""
            print(f"{picture['source']}: {one['name'] or 'unknown'}{similar}{near}{place}")


def _listed(problems: list[Problem]) -> dict[str, Any]:
    return {"problems": [problem.to_dict() for problem in problems]} if problems else {}


def _finish(problems: list[Problem]) -> None:
    """Name what could not be done; exit status 2 where something was wrong."""
    for problem in problems:
        typer.echo(f"boda: {problem}", err=True)
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(2)
