# Two commands on a machine with Python 3.11 or later and make: `make demo`, `make test`.
# Where a CPU is all there is: make demo TORCH_FROM="--index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint types peers clean

demo: $(VENV)/installed
	$(BIN)/boda demo

test: $(VENV)/installed-test lint types
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first and by itself: with the build that is installed, everything after it installs nothing of its own.
$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) $(TORCH_FROM) torch
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) --editable ".[test]"
	@touch $@

# The libraries that benchmarks/ measures beside boda, in an environment of their own: .bench/bin/python benchmarks/…
# Ultralytics is under the AGPL: it belongs in this environment, and nowhere else.
peers:
	$(PYTHON) -m venv .bench
	.bench/bin/python -m pip install --quiet --disable-pip-version-check torch torchvision timm kornia pycocotools faster-coco-eval segmentation-models-pytorch ultralytics
	.bench/bin/python -m pip install --quiet --disable-pip-version-check --editable .

clean:
	rm -rf $(VENV) .bench boda-demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
