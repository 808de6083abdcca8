"""Ultralytics' yolo11n trained from scratch on a detection set: the figure to hold boda's against.

Command:  python benchmarks/raccoon_peer.py DATA [--minutes 12] [--threads 2] [--seed 0]
          [--json FILE]      in an environment that has ultralytics as well as boda

DATA is a set with a train and a test split, raccoon for one (160 and 40 pictures). The network is
built from ultralytics' own ``yolo11n.yaml`` with random weights; nothing is downloaded. At 256
pixels, in float32 on the CPU, with ultralytics' defaults in everything else: batch 16, its choice
of optimizer and rate, mosaic and its other augmentations, its schedule fitted to the minutes. Two
things favour it: it trains on all of train, and it gets the threads asked for, where it would take
one less than the machine has cores. Its minutes are of training alone, without reading the data and
without evaluation.

No epoch is chosen by its score. The last weights count, averaged (EMA) as it saves them. The test
pictures are predicted with scores from 0.001, non-max suppression at IoU 0.7, at most 300 boxes a
picture; boxes are in pixels of the original. ``map50`` and ``map`` are boda's metric on these
predictions; under ``ultralytics`` stands what its own validation says of the same weights. The two
part where boxes reach beyond the picture: prediction clips them to it, its validation does not.
After a minute of training most boxes do, and ours is more than thirty times its own.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from boda.data.convert import convert
from boda.data.readers import read
from boda.errors import BodaError, DataError, UsageError
from boda.metrics.detection import Detection, Found, Truth
from boda.types import Dataset, Sample

MODEL = "yolo11n.yaml"  # a description of layers; "yolo11n.pt" would be COCO's weights
SIZE = 256
BATCH = 16
OFFLINE = {  # read when ultralytics is imported
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "0",
    "OMP_NUM_THREADS": "1",  # what it sets itself; the threads are told to torch below
}


class Clock:
    """What a trainer does within its minutes: batches, seconds, threads."""

    def __init__(self) -> None:
        self.batches = 0
        self.began = self.seconds = 0.0
        self.told: dict[str, Any] = {}

    def start(self, trainer: Any) -> None:
        """Before the first batch."""
        self.began = time.perf_counter()

    def batch(self, trainer: Any) -> None:
        """Before each batch."""
        self.batches += 1

    def epoch(self, trainer: Any) -> None:
        """After the last batch of each epoch, before anything is evaluated."""
        self.seconds = time.perf_counter() - self.began
        self.told = {
            "seconds": round(self.seconds, 1),
            "batches": self.batches,
            "epochs": round(self.batches / len(trainer.train_loader), 2),
            "threads": torch.get_num_threads(),
            "optimizer": type(trainer.optimizer).__name__,
            "rate": trainer.args.lr0,
        }


def load(data: str) -> Dataset:
    """The pictures with boxes.

    Raises:
        DataError: there are records with errors.
        UsageError: there is no train or no test split.
    """
    dataset = read(data, task="detect")
    errors = [problem for problem in dataset.problems if problem.severity == "error"]
    if errors:
        raise DataError(problems=errors, summary="Mend it: both sides are to see the same.")
    if not {"train", "test"} <= set(dataset.splits):
        raise UsageError(
            f"{data} has the splits {', '.join(dataset.splits)}; train and test are needed."
        )
    return dataset


def prepare(dataset: Dataset, folder: Path) -> Path:
    """Write the pictures as ultralytics reads them; returns the ``data.yaml``."""
    convert(dataset, "yolo", folder)
    # Ultralytics wants a "val" in every file. With val=False it evaluates there once, at the end,
    # which decides nothing.
    told = {
        "path": str(folder),
        "train": "images/train",
        "val": "images/test",
        "test": "images/test",
        "names": dict(enumerate(dataset.classes)),
    }
    file = folder / "data.yaml"
    file.write_text(yaml.safe_dump(told, allow_unicode=True), encoding="utf-8")
    return file


def settle(folder: Path, threads: int) -> Any:
    """Import ultralytics so that it asks no network and uses ``threads``; returns its ``YOLO``."""
    os.environ |= {**OFFLINE, "YOLO_CONFIG_DIR": str(folder)}
    own = folder / "Ultralytics"
    own.mkdir()
    for font in ("Arial.ttf", "Arial.Unicode.ttf"):
        (own / font).touch()  # one that is there is not fetched, and no plot is drawn
    try:
        from ultralytics import YOLO, settings
        from ultralytics.utils import torch_utils
    except ImportError as problem:
        raise UsageError(
            f"this trains ultralytics' network, and it cannot be imported ({problem}). "
            "Use an environment that has it beside boda: make peers"
        ) from None
    settings.update({"sync": False})
    torch_utils.NUM_THREADS = threads  # choosing the CPU sets torch's threads to this
    return YOLO


def train(yolo: Any, description: Path, out: Path, minutes: float, seed: int) -> dict[str, Any]:
    """Train from scratch; returns what was done, and the file of the last weights."""
    net, clock = yolo(MODEL), Clock()
    net.add_callback("on_train_start", clock.start)
    net.add_callback("on_train_batch_start", clock.batch)
    net.add_callback("on_train_epoch_end", clock.epoch)
    net.train(
        data=str(description),
        time=minutes / 60,
        imgsz=SIZE,
        batch=BATCH,
        seed=seed,
        device="cpu",
        pretrained=False,
        amp=False,  # for GPUs; checking it would fetch weights
        val=False,
        plots=False,
        project=str(out),
        name="run",
    )
    return {**clock.told, "last": net.trainer.last}


def found_in(net: Any, sample: Sample, folder: Path) -> Found:
    """What the network finds in one test picture, in pixels of the original."""
    picture = str(folder / "images" / "test" / sample.id)
    (result,) = net.predict(
        picture, imgsz=SIZE, conf=0.001, iou=0.7, max_det=300, device="cpu", verbose=False
    )
    if result.orig_shape != sample.size:
        raise DataError(
            f"ultralytics sees {result.orig_shape} pixels, boda {sample.size}", file=sample.source
        )
    boxes = result.boxes
    return Found(boxes.xyxy.numpy(), boxes.conf.numpy(), boxes.cls.numpy().astype(np.int64))


def truth_of(sample: Sample) -> Truth:
    """What is in the picture; crowds and difficult objects are neither right nor wrong to find."""
    aside = [flags for flags in (sample.crowd, sample.difficult) if flags is not None]
    return Truth(sample.boxes, sample.labels, np.any(aside, axis=0) if aside else None)


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed."""
    dataset = load(options.data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        yolo = settle(folder, options.threads)
        description = prepare(dataset, folder / "data")
        done = train(yolo, description, folder, options.minutes, options.seed)
        last = done.pop("last")
        net = yolo(last)
        parameters = sum(weight.numel() for weight in net.model.parameters())
        metric = Detection(list(dataset.classes))
        for sample in dataset.splits["test"]:
            metric.update(found_in(net, sample, folder / "data"), truth_of(sample))
        net = yolo(last)  # afresh: prediction has joined convolution and batch normalization
        own = net.val(data=str(description), split="test", imgsz=SIZE, batch=BATCH, device="cpu",
                      plots=False, project=name, name="val").box  # fmt: skip
    figures = metric.compute()
    packages = ("ultralytics", "torch", "torchvision", "boda")
    return {
        "model": MODEL.removesuffix(".yaml"),
        "parameters": parameters,
        "weights": "last, EMA",
        "map50": figures["map50"],
        "map": figures["map"],
        "ultralytics": {"map50": float(own.map50), "map": float(own.map)},
        "pictures": {split: len(dataset.splits[split]) for split in ("train", "test")},
        "size": SIZE,
        "batch": BATCH,
        "minutes": options.minutes,
        "seed": options.seed,
        **done,
        "versions": {package: importlib.metadata.version(package) for package in packages},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="pictures with boxes, in train and test")
    parser.add_argument("--minutes", type=float, default=12, help="of training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    if options.minutes <= 0 or options.threads < 1:
        parser.error("--minutes is more than 0, --threads 1 or more.")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # ultralytics tells its progress on stdout
            text = json.dumps(compare(options), indent=2)
    except BodaError as problem:
        sys.exit(str(problem))
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
