"""Writes docs/ledger.md from docs/ledger.json: published numbers beside ours.

Command:  python docs/ledger.py

The tests read the same file: what has a "check" is counted by them, and ledger.md must be what this writes.
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
COUNTED_BY = "tests/test_ledger.py"


def text(ledger: dict) -> str:
    """The page for the ledger's rows."""
    lines = [
        "# The ledger",
        "",
        "Published numbers, and ours beside them. Generated from `docs/ledger.json` by",
        "`python docs/ledger.py`; the tests read the same file.",
        "",
        f"Measured on {ledger['machine']}.",
        "",
        "| what | published | source | ours | behind it |",
        "|---|---|---|---|---|",
    ]
    for row in ledger["rows"]:
        ours, behind = row.get("ours"), row.get("behind", COUNTED_BY)
        if "check" in row:
            ours = "the same, counted in the tests"
        lines.append(
            f"| {row['what']} | {row['published']} | {row['source']} | {ours} | `{behind}` |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    ledger = json.loads((HERE / "ledger.json").read_text("utf-8"))
    (HERE / "ledger.md").write_text(text(ledger), "utf-8")
