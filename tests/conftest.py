"""Fixtures that every room's tests may use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # several workers run the tests; before torch is imported

import hypothesis
import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from boda.data.dataset import Batch
    from boda.engine import Engine
    from boda.runs import Run

# People search anew in every run; a gate must say the same twice of the same commit.
hypothesis.settings.register_profile("gate", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("gate")

SHAPES = ("가로", "box", "세로")  # horizontal bars, boxes, vertical bars


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development data beside the repository; where it is not there, the test is skipped."""
    path = Path(__file__).parents[1].parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"needs the development data in {path}")
    return path


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the person's cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def boda(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process: (exit status, stdout, stderr)."""
    from boda.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["boda", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Run, Run]]:
    """Fit into a folder twice, the second time with a crash in the middle of the second epoch."""

    def run(fit: Callable[[Path], Run], folder: Path, batch: int = 2) -> tuple[Run, Run]:
        """The run that was never stopped, and the one that was stopped after ``batch`` and resumed."""
        import boda
        from boda.engine import Engine
        from boda.progress import Progress

        whole, step = fit(folder / "whole"), Engine._step

        def crash(self: Engine, some: Batch) -> None:
            if self.state.epoch == 1 and self.state.batch == batch:
                raise ZeroDivisionError
            step(self, some)

        with monkeypatch.context() as patched:
            patched.setattr(Engine, "_step", crash)
            with pytest.raises(ZeroDivisionError):
                fit(folder / "cut")
        resumed = boda.fit(resume=folder / "cut", progress=Progress(quiet=True))
        one, two = ((each.path / "model.safetensors").read_bytes() for each in (whole, resumed))
        assert one == two
        return whole, resumed

    return run


def draw_shape(kind: int, generator: np.random.Generator) -> np.ndarray:
    """A bar, a box or a bar on a noisy ground, (16, 16) uint8."""
    picture = generator.integers(0, 60, (16, 16))
    y, x = generator.integers(3, 9, 2)
    height, width = ((2, 8), (6, 6), (8, 2))[kind]
    picture[y : y + height, x : x + width] += 150
    return picture.astype(np.uint8)


def write_shapes(folder: Path, count: int, seed: int, color: bool = False) -> None:
    """``count`` pictures of every shape under ``folder/<shape>/``."""
    generator = np.random.default_rng(seed)
    for kind, name in enumerate(SHAPES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture = Image.fromarray(draw_shape(kind, generator))
            if color:
                tint = Image.fromarray(generator.integers(0, 60, (16, 16, 3), dtype=np.uint8))
                picture = Image.blend(picture.convert("RGB"), tint, 0.2)
            picture.save(folder / name / f"{number:03}.png")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gray pictures of three shapes in class folders, train and test; to be read only."""
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder / "train", 40, seed=1)
    write_shapes(folder / "test", 20, seed=2)
    return folder


@pytest.fixture(scope="session")
def shapes_run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run fitted to ``shapes``; to be read only."""
    import boda
    from boda.progress import Progress

    out = tmp_path_factory.mktemp("runs") / "shapes"
    boda.fit("classify", shapes, epochs=6, batch=16, out=out, progress=Progress(quiet=True))
    return out
