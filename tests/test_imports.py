"""What is imported when: the answers must come at once, and some rooms never need torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "matplotlib", "sklearn", "lightning_fabric", "PIL", "typer", "rich")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_boda_loads_nothing_heavy() -> None:
    assert not loaded_after("import boda") & set(HEAVY)


@pytest.mark.parametrize(
    "module",
    [
        "boda.types",
        "boda.draw",
        "boda.runtime",
        "boda.data.image",
        "boda.data.check",
        "boda.data.readers",
        "boda.data.prepare",
        "boda.predicting",
        "boda.report",
        "boda.gallery",
        "boda.metrics.recognition",
        "boda.options",
        "boda.cli.app",
        "boda.api",
    ],
)
def test_never_imports_torch(module: str) -> None:
    assert "torch" not in loaded_after(f"import {module}")


def test_help_imports_neither_torch_nor_numpy() -> None:
    code = "import sys; sys.argv=['boda','fit','--help']\nfrom boda.cli import main\n"
    found = loaded_after(code + "try:\n    main()\nexcept SystemExit:\n    pass")
    assert not found & {"torch", "numpy", "lightning_fabric", "sklearn", "matplotlib"}


def test_nothing_imports_torchvision() -> None:
    assert "torchvision" not in loaded_after("import boda.fitting, boda.measuring")


def test_the_public_names_are_there() -> None:
    import boda

    for name in boda.__all__:
        assert getattr(boda, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        boda.fitt  # noqa: B018
