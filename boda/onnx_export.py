"""A run as one ONNX file: a picture's bytes in, the prediction's numbers out; verified, then kept."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from boda import outputs, runtime
from boda.errors import TrainingError, UsageError
from boda.files import atomic_write
from boda.onnx_operators import translations
from boda.tasks import Method
from boda.tasks.steps import Deciding, as_tuple, walked

TOLERANCE = 1e-4  # largest difference of a probability


class _Graph(nn.Module):
    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if not isinstance(self.method, Deciding):
            return (self.method.output(images),)
        *before, output = walked(self.method.steps(), images)
        return (output, *before)


def export(method: Method, record: dict[str, Any], pictures: np.ndarray, path: Path) -> float:
    """Write ``method`` as ONNX to ``path``.

    Args:
        method: in its float32 weights.
        record: task, classes, preparation and what else goes into the file's metadata as JSON.
        pictures: (N, 3, H, W) uint8 on which ONNX Runtime must agree with torch.
        path: of the file.

    Returns:
        The largest difference between the two.

    Raises:
        UsageError: the packages for export are not installed.
        TrainingError: ONNX Runtime disagrees; nothing is kept.
    """
    if method.unexportable:
        raise UsageError(f"this network cannot be exported: {method.unexportable}.")
    try:
        import onnx
        import onnxscript  # noqa: F401 torch's exporter needs it
    except ImportError:
        raise UsageError('export needs its extra: pip install "boda[export]"') from None
    if not path.parent.is_dir() or path.is_dir():
        raise UsageError(f"{path} cannot be written: name a file in a folder that is there.")
    method = method.cpu().float().eval()
    example = torch.from_numpy(pictures[:2])
    graph = _Graph(method).eval()
    with torch.inference_mode():
        count = len(graph(example))
    with _quietly():
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["output", *(f"before_{i}" for i in range(1, count))],
            dynamic_shapes={"images": {0: torch.export.Dim("pictures", min=1)}},
            custom_translation_table=translations(),
        )
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = "boda", json.dumps(record, ensure_ascii=False, sort_keys=True)
    onnx.checker.check_model(model)
    difference = _verify(model.SerializeToString(), method, pictures)
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"ONNX Runtime differs from torch by {difference:.2g}; the file was not kept. Please report this."
        )
    del model.graph.output[1:]  # they were for the verification
    atomic_write(path, model.SerializeToString())
    return difference


def _verify(data: bytes, method: Method, pictures: np.ndarray) -> float:
    """The largest difference of outputs, run one by one and as a batch.

    Where the output is decided by numbers that rounding may turn, each step is compared with what
    torch makes of the very numbers that ONNX Runtime gave before it.
    """
    run = runtime.session(data).run
    worst = 0.0
    for some in (slice(None), *(slice(i, i + 1) for i in range(len(pictures)))):
        output, *before = run(None, {"images": pictures[some]})
        with torch.inference_mode():
            worst = max(worst, _apart(method, torch.from_numpy(pictures[some]), [*before, output]))
    return worst


def _apart(method: Method, images: Tensor, got: list[np.ndarray]) -> float:
    """The largest difference from what ONNX Runtime got, the output last."""
    if not isinstance(method, Deciding):
        return _difference(got[0], method.output(images).numpy())
    worst, given = 0.0, [torch.from_numpy(each) for each in got]
    done = 0
    for step in method.steps():
        values = as_tuple(step.run(*given[:done]) if done else step.run(images))
        for value, theirs in zip(values, got[done:], strict=False):
            apart = outputs.boxes_difference if step.boxes else _difference
            worst = max(worst, apart(theirs, value.numpy()))
        done += len(values)
    return worst


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest, as a share of 1 or of the largest number; of integers, which choose: how many differ.

    Of two maxima that are nearly equal rounding chooses one.
    """
    if a.dtype.kind == "i":
        return float((a != b).mean())
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


@contextlib.contextmanager
def _quietly() -> Any:
    """Torch's exporter tells its own steps on standard output and by warnings; standard output is ours."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
