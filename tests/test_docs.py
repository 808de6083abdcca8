"""What the documents name must exist: paths, tests, commands, options, names, links; and run."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image

from boda import models, tasks
from boda.cli.app import app
from boda.data.readers import READERS
from boda.ops import kernels

ROOT = Path(__file__).parents[1]
ENGLISH, KOREAN = "README.md", "README.ko.md"
CONTRIBUTING, MAP = "CONTRIBUTING.md", "docs/map.md"
DOCUMENTS = (ENGLISH, KOREAN, CONTRIBUTING, MAP)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
PLACE = re.compile(r"(?<![\w./-])(?:boda|tests|recipes|benchmarks|docs)/[\w./-]*[\w/]")
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
DOTTED = re.compile(r"(?<![\w./-])boda(?:\.[A-Za-z_]\w*)+")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
EXAMPLE = re.compile(r"^# (boda/\S+\.py)\n")


@cache
def text_of(document: str) -> str:
    return (ROOT / document).read_text("utf-8")


def fences(document: str) -> list[tuple[str, str]]:
    """(language, code) of every block."""
    return FENCE.findall(text_of(document))


def prose(document: str) -> str:
    """The document without its blocks of code."""
    return FENCE.sub("", text_of(document))


def examples() -> dict[str, str]:
    """The files that CONTRIBUTING.md writes, by their path."""
    found = [(EXAMPLE.match(code), code) for _, code in fences(CONTRIBUTING)]
    return {match[1]: code for match, code in found if match}


def known_model(name: str) -> None:
    """Registered, or registered by an example; else a ``UsageError``."""
    if not any(f'@register("{name}"' in code for code in examples().values()):
        models.entry(name)


def commands(document: str) -> list[str]:
    """Every line of a block, and every span, that begins with the word boda."""
    lines = [line for kind, code in fences(document) if kind == "sh" for line in code.splitlines()]
    return [c for c in [*lines, *SPAN.findall(prose(document))] if c.startswith("boda ")]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_exists(document: str) -> None:
    named = set(PLACE.findall(text_of(document))) - examples().keys()
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_exists(document: str) -> None:
    missing = []
    for file, name in TEST.findall(text_of(document)):
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{file}::{name}")
    assert missing == []


def verbs() -> dict[str, Any]:
    return typer.main.get_command(app).commands  # type: ignore[attr-defined]


def options_of(verb: str, inner: str) -> set[str]:
    """Of a verb; of one that has verbs of its own, of the inner one."""
    command = verbs()[verb]
    parameters = getattr(command, "commands", {}).get(inner, command).params
    return {option for each in parameters for option in [*each.opts, *each.secondary_opts]}


def wrong_in(line: str) -> str | None:
    """What a command line names that is not there."""
    verb, *words = shlex.split(line, comments=True)[1:]
    if verb not in verbs():
        return f"no command {verb}"
    inner = getattr(verbs()[verb], "commands", None)
    if inner is not None and (not words or words[0] not in inner):
        return f"{verb} has no command {' '.join(words[:1])}"
    known = options_of(verb, words[0] if words else "")
    for word, value in pairwise([*words, ""]):
        if word.startswith("-") and word not in {*known, "--help", "-h", "--debug"}:
            return f"{verb} has no {word}"
        if word == "--model":
            known_model(value)
        if word == "--kernel":
            named = f"{value}-x" if "--magnitude" in words else value
            kernels.parse(value) if ";" in value else kernels.kernel(named)
        if word == "--set":
            assert "=" in value
    if verb == "fit" and words and not words[0].startswith("-"):
        tasks.task(words[0])
    if verb in ("summary", "look") and "/" not in words[0]:
        known_model(words[0])
        layers = {name for name, _ in models.create(words[0]).named_modules()}
        if "--layer" in words and words[words.index("--layer") + 1] not in layers:
            return f"{words[0]} has no such layer"
    return None


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_and_option_exists(document: str) -> None:
    found = commands(document)
    assert found
    assert [(line, wrong) for line in found if (wrong := wrong_in(line))] == []


def test_a_wrong_command_is_noticed() -> None:
    assert wrong_in("boda fitt classify x") == "no command fitt"
    assert wrong_in("boda fit classify x --epoch 3  # --nothing") == "fit has no --epoch"
    assert wrong_in("boda fit classify x --epochs 3  # --nothing") is None


@pytest.mark.parametrize("document", DOCUMENTS)
def test_spans_that_are_options_alone_are_options_of_fit(document: str) -> None:
    """`--balance` in a sentence: some command has it."""
    known = {"--help"}.union(*(options_of(verb, "") for verb in verbs()))
    spans = [span.split()[0] for span in SPAN.findall(prose(document)) if span.startswith("--")]
    assert [span for span in spans if span not in known] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_python_name_exists(document: str) -> None:
    for dotted in sorted(set(DOTTED.findall(text_of(document)))):
        if f"{dotted.replace('.', '/')}.py" in examples():
            continue
        parts = dotted.split(".")
        thing = importlib.import_module("boda")
        for depth, part in enumerate(parts[1:], start=2):
            try:
                thing = getattr(thing, part)
            except AttributeError:
                thing = importlib.import_module(".".join(parts[:depth]))


def anchors(document: Path) -> set[str]:
    """GitHub's names of a document's headings."""
    titles = [title for _, title in HEADING.findall(FENCE.sub("", document.read_text("utf-8")))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    missing = []
    for target in LINK.findall(prose(document)):
        path, _, anchor = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        if "://" not in target and not (file.exists() and (not anchor or anchor in anchors(file))):
            missing.append(target)
    assert missing == []


def without_comments(code: str) -> list[str]:
    return [re.sub(r"\s+#\s.*$", "", line).rstrip() for line in code.splitlines()]


def test_the_two_readmes_say_the_same() -> None:
    """As many headings of each level, the same code (but for comments), the same rows and pictures."""
    english, korean = prose(ENGLISH), prose(KOREAN)
    levels = [[marks for marks, _ in HEADING.findall(each)] for each in (english, korean)]
    assert levels[0] == levels[1]
    blocks = [
        [(kind, without_comments(code)) for kind, code in fences(each)]
        for each in (ENGLISH, KOREAN)
    ]
    assert blocks[0] == blocks[1]
    assert english.count("\n|") == korean.count("\n|")
    other = {ENGLISH: KOREAN, KOREAN: ENGLISH}
    links = [[other.get(t, t) for t in LINK.findall(each)] for each in (english, korean)]
    assert sorted(links[0]) == sorted(other.get(target, target) for target in links[1])
    for each in (english, korean):
        assert other[KOREAN] in LINK.findall(each) or other[ENGLISH] in LINK.findall(each)


def test_the_table_of_formats_is_the_registry() -> None:
    for name in READERS.names():
        assert f"| `{name}` | {READERS[name].description} |" in text_of(ENGLISH)
        assert f"| `{name}` |" in text_of(KOREAN)


def test_every_row_of_the_map_is_complete() -> None:
    """A row of the notes has a file, something to try and a proof, or the part that will bring them."""
    rows = [line for line in text_of(MAP).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    headings = [row for row in cells if len(row) == 6 and not row[0].startswith(("---", "노트의"))]
    assert len(headings) > 80
    for row in headings:
        assert all(row), row
        coming = [bool(re.fullmatch(r"part [3-8]", cell)) for cell in row[3:]]
        assert all(coming) or not any(coming), row
        if not any(coming):
            assert PLACE.search(row[3]), row
            assert TEST.search(row[5]) or "recipes/" in row[5], row


def test_the_examples_of_the_readme_run() -> None:
    """The block that only computes, as it stands, gives what its comments say."""
    (code,) = (code for kind, code in fences(ENGLISH) if kind == "python" and "boda.ops" in code)
    lines = [line.partition("  # ") for line in code.splitlines()]
    printed: list[torch.Tensor] = []
    exec(code, {"print": printed.append})
    said = [ast.literal_eval(comment.partition(": ")[2]) for _, _, comment in lines if comment]
    assert [tensor.tolist() for tensor in printed] == said


SCRIPT = """
import json, sys
import boda
from boda import models
from boda.data import readers

dataset = readers.read("data")
names = [name for name in models.names() if name.startswith("tinynet")]
found = {"format": dataset.format, "classes": dataset.classes, "models": names}
found["warnings"] = [problem.why for problem in dataset.problems]
for name in names:
    settings = {"margin": "2"} if "hinge" in name else {}
    run = boda.fit("classify", "data", model=name, epochs=4, out=name, settings=settings)
    accuracy = boda.evaluate(run.path)["metrics"]["accuracy"]
    parameters = sum(p.numel() for p in models.create(name).parameters())
    found[name] = [run.record["method"], run.record["config"].get("margin"), parameters, accuracy]
print(json.dumps(found))
"""


def test_the_examples_of_contributing_work(tmp_path: Path) -> None:
    """In a copy of the package: listed, read, fitted and measured without another line anywhere."""
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "boda", tmp_path / "boda", ignore=skipped)
    assert len(examples()) == 3
    for path, code in examples().items():
        (tmp_path / path).write_text(code, "utf-8")
    generator = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for kind, name in enumerate(("고양이", "dog")):
        for number in range(12):
            pixels = generator.integers(0, 100, (16, 16, 3), dtype=np.uint8) + 100 * kind
            picture = Image.fromarray(pixels.astype(np.uint8))
            picture.save(tmp_path / "data" / f"{name}.{number}.png")
    picture.save(tmp_path / "data" / "stray.png")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["format"] == "prefixed" and found["classes"] == ["dog", "고양이"]
    assert found["warnings"] == ["the name has no class in front"]
    assert found["models"] == ["tinynet", "tinynet-hinge"]
    assert found["tinynet"] == ["classifier", None, 5418, 1.0]
    assert found["tinynet-hinge"] == ["hinge", 2.0, 5418, 1.0]
