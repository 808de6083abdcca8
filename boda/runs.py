"""The run folder: what a fit leaves behind, and what ``--resume`` starts from.

``run.json`` the record, ``model.safetensors`` the best weights, ``history.jsonl`` one line an
epoch, ``state.pt`` where the fit stands, ``evaluation.json`` what was measured last,
``samples/`` pictures that were made after epochs, ``report.html`` for people. Every file is
written whole or not at all; reading never runs code.
"""

from __future__ import annotations

import io
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from boda.data.prepare import Preparation
from boda.draw import png
from boda.errors import DataError, UsageError
from boda.files import atomic_json, atomic_write
from boda.models.state_files import read_state
from boda.predicting import Picture, Predictor
from boda.trained import Trained
from boda.types import Prediction

RECORD, WEIGHTS, HISTORY, STATE = "run.json", "model.safetensors", "history.jsonl", "state.pt"
EVALUATION, REPORT, SAMPLES = "evaluation.json", "report.html", "samples"
ABOUT = (
    "task",
    "method",
    "model",
    "options",
    "classes",
    "preparation",
    "config",
)  # what the weights say of themselves
NEEDED = (*ABOUT, "plan", "data", "seed", "versions")


class Run:
    """A run folder.

    Attributes:
        path: the folder.
        record: what ``run.json`` holds.
        leading: False in the helping processes of a fit on several devices, which write and say nothing.
    """

    leading = True

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path, self.record = path, record

    @classmethod
    def create(cls, path: Path, record: dict[str, Any]) -> Run:
        """A new run folder; one that is there and not empty is refused."""
        refuse_used(path)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, record)
        run.save_record()
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Read a run folder; a missing or damaged record is a ``DataError`` that says what to do."""
        folder = Path(path)
        file = folder / RECORD
        if not file.is_file():
            raise DataError(
                "this is no run folder: it has no run.json",
                file=folder,
                fix="Name a folder that `boda fit` wrote.",
            )
        try:
            record = json.loads(file.read_text("utf-8"))
            missing = [name for name in NEEDED if name not in record]
        except (ValueError, TypeError) as error:
            raise DataError(
                f"the record cannot be read ({error})",
                file=file,
                fix="Restore run.json from a copy, or fit again.",
            ) from None
        if missing:
            raise DataError(
                f"the record lacks {', '.join(missing)}",
                file=file,
                fix="Restore run.json from a copy, or fit again.",
            )
        return cls(folder, record)

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of the network's output."""
        return self.record["classes"]

    @property
    def preparation(self) -> Preparation:
        """How pictures are brought to the network."""
        return Preparation.from_dict(self.record["preparation"])

    def save_record(self) -> None:
        """Write ``run.json``."""
        atomic_json(self.path / RECORD, self.record)

    def finish(self, seconds: float) -> None:
        """Note that the fit is complete."""
        self.record["epochs"] = len(self.history())
        self.record["seconds"] = round(seconds, 3)
        self.record["finished"] = True
        self.save_record()

    def save_weights(self, state: dict[str, Tensor]) -> None:
        """Write a network's weights as ``model.safetensors``; equal weights give equal bytes."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        # One metadata key: safetensors writes several in varying order.
        about = {name: self.record[name] for name in ABOUT}
        text = json.dumps(about, sort_keys=True, ensure_ascii=False)
        atomic_write(self.path / WEIGHTS, save(tensors, {"boda": text}))

    def load_weights(self, net: nn.Module) -> None:
        """Fill a network with the run's weights, strictly."""
        file = self.path / WEIGHTS
        if not file.is_file():
            raise DataError(
                "the run has no weights" + ("" if self.record.get("finished") else " yet"),
                file=file,
                fix=f"Restore the file, or let the run write it: boda fit --resume {self.path}",
            )
        try:
            net.load_state_dict(read_state(file))
        except RuntimeError as error:
            why = str(error).split("\n\t")[-1].strip()
            raise DataError(
                f"the weights do not fit {self.record['model']} ({why})",
                file=file,
                fix="The file or run.json was changed: restore them from a copy, or fit again.",
            ) from None

    def save_state(self, state: dict[str, Any]) -> None:
        """Write ``state.pt``."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        atomic_write(self.path / STATE, buffer.getvalue())

    def load_state(self) -> dict[str, Any] | None:
        """What ``save_state`` wrote; None where nothing was saved yet."""
        file = self.path / STATE
        if not file.exists():
            return None
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a damaged file makes torch raise
            raise DataError(
                f"the state cannot be read ({type(error).__name__})",
                file=file,
                fix=f"Delete it to start {self.path} from its first epoch again.",
            ) from None

    def add_history(self, row: dict[str, Any]) -> None:
        """Append one epoch."""
        with open(self.path / HISTORY, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()

    def history(self) -> list[dict[str, Any]]:
        """The epochs so far; a last line that a crash cut short is left out."""
        file = self.path / HISTORY
        rows = []
        lines = file.read_text("utf-8", "replace").splitlines() if file.exists() else []
        for line in lines:
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
        return rows

    def cut_history(self, epochs: int) -> None:
        """Keep the first ``epochs`` lines: those after them will be written again."""
        rows = self.history()[:epochs]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        atomic_write(self.path / HISTORY, text.encode())

    def add_sample(self, epoch: int, picture: np.ndarray) -> None:
        """Write what was made after an epoch, (H, W, 3) uint8."""
        (self.path / SAMPLES).mkdir(exist_ok=True)
        atomic_write(self.path / SAMPLES / f"epoch-{epoch:04}.png", png(picture))

    @property
    def report(self) -> Path:
        """Where the report is."""
        return self.path / REPORT

    def save_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Write what was measured last, for the report."""
        atomic_json(self.path / EVALUATION, evaluation)

    def evaluation(self) -> dict[str, Any] | None:
        """What was measured last."""
        file = self.path / EVALUATION
        return json.loads(file.read_text("utf-8")) if file.exists() else None

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``boda fit``."""
        return {
            "run": str(self.path),
            "task": self.record["task"],
            "model": self.record["model"],
            "epochs": self.record.get("epochs", 0),
            "seconds": self.record.get("seconds"),
            "metrics": self.record.get("metrics", {}),
        }

    def trained(self) -> Trained:
        """The network with the run's best weights, on the CPU."""
        try:
            return Trained.of_record(self.record, self.load_weights)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise self.damaged(error) from None

    def damaged(self, error: Exception) -> DataError:
        """What to say when the record is not as this version of boda writes it."""
        return DataError(
            f"the record is damaged, or of another version of boda ({type(error).__name__}: {error})",
            file=self.path / RECORD,
            fix="Restore run.json from a copy, or fit again.",
        )

    def predict(self, picture: Picture) -> Prediction:
        """The prediction for one picture: a path or an array; see ``boda.predicting.Predictor``."""
        return self._predictor.predict(picture)

    @cached_property
    def _predictor(self) -> Predictor:
        return self.trained().predictor()


def refuse_used(path: Path) -> None:
    """A folder that holds something is no place for a new run."""
    above = next((p for p in path.parents if p.exists()), path)
    if above.is_file():
        raise UsageError(f"{path} cannot be made: {above} is a file.")
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise UsageError(
            f"{path} is not empty. Name another --out, or continue it with --resume {path}."
        )


def next_folder(task: str, root: Path = Path("runs")) -> Path:
    """The first free ``runs/<task>-<n>``."""
    number = 1
    while (root / f"{task}-{number}").exists():
        number += 1
    return root / f"{task}-{number}"
