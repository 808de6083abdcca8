"""The ledger's numbers are counted here, and its page is what its data file gives."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from boda import models
from boda.look import summary

ROOT = Path(__file__).parents[1]
LEDGER = json.loads((ROOT / "docs" / "ledger.json").read_text("utf-8"))
CHECKED = [row for row in LEDGER["rows"] if "check" in row]


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row["what"])
def test_what_can_be_counted_is_as_published(row: dict) -> None:
    check = row["check"]
    entry = models.entry(check["model"])
    with torch.device("meta"):  # shapes only: EfficientNet-B7 would need seconds and gigabytes
        net = models.create(entry.name)
    found = summary(net, (entry.channels, *entry.size))
    for name in ("parameters", "multiply_adds"):
        if name in check:
            assert getattr(found, name) == check[name]
    if "layers" in check:
        assert [layer.parameters for layer in found.layers if layer.parameters] == check["layers"]


def test_every_row_is_counted_or_measured_by_something_that_is_there() -> None:
    for row in LEDGER["rows"]:
        assert row["published"] and row["source"]
        if "check" not in row:
            assert row["ours"]
            file, _, test = row["behind"].partition("::")
            assert (ROOT / file).exists(), file
            assert test in (ROOT / file).read_text("utf-8")


def test_the_page_is_what_the_data_gives() -> None:
    spec = importlib.util.spec_from_file_location("ledger", ROOT / "docs" / "ledger.py")
    assert spec is not None and spec.loader is not None
    ledger = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ledger)
    page = (ROOT / "docs" / "ledger.md").read_text("utf-8")
    assert page == ledger.text(LEDGER), "run: python docs/ledger.py"
