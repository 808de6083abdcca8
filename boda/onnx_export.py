"""A run as one ONNX file: a picture's bytes in, the prediction's numbers out; verified, then kept."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from boda import runtime
from boda.errors import TrainingError, UsageError
from boda.files import atomic_write
from boda.tasks import Method

TOLERANCE = 1e-4  # largest difference of a probability


class _Graph(nn.Module):
    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Tensor) -> Tensor:
        return self.method.output(images)


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
    try:
        import onnx
        import onnxscript  # noqa: F401 torch's exporter needs it
    except ImportError:
        raise UsageError('export needs its extra: pip install "boda[export]"') from None
    if not path.parent.is_dir() or path.is_dir():
        raise UsageError(f"{path} cannot be written: name a file in a folder that is there.")
    method = method.cpu().float().eval()
    example = torch.from_numpy(pictures[:2])
    with _quietly():
        program = torch.onnx.export(
            _Graph(method).eval(),
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["output"],
            dynamic_shapes={"images": {0: torch.export.Dim("pictures", min=1)}},
        )
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = "boda", json.dumps(record, ensure_ascii=False, sort_keys=True)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    difference = _verify(data, method, pictures)
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"ONNX Runtime differs from torch by {difference:.2g}; the file was not kept. Please report this."
        )
    atomic_write(path, data)
    return difference


def _verify(data: bytes, method: Method, pictures: np.ndarray) -> float:
    """The largest difference of outputs, run one by one and as a batch."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "candidate.onnx"
        file.write_bytes(data)
        network = runtime.load(file).network
        with torch.inference_mode():
            expected = method.output(torch.from_numpy(pictures)).numpy()
        together = network(pictures)
        apart = np.concatenate([network(picture[None]) for picture in pictures])
    return float(max(np.abs(together - expected).max(), np.abs(apart - expected).max()))


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
