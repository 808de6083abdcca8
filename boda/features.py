"""What frozen blocks give, computed once and kept: later epochs cost almost nothing.

Where only the head learns, its input is the same in every epoch, or one of a few where pictures
are augmented: the first ``views`` epochs' versions take turns. The numbers are those of the network
itself, under the fit's precision, so the result is that of a fit that computes them anew.

They are kept in the user's cache folder under a name that follows from the data, the weights, and
everything else they depend on; the oldest make room.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from boda.data.dataset import GIB, Batch, Pictures, memory_budget
from boda.data.transforms import policies, random_table
from boda.files import cache_folder, replacing
from boda.options import Plan
from boda.progress import Progress
from boda.tasks import Method

if TYPE_CHECKING:
    from lightning_fabric import Fabric

VERSION = 3  # of how they are computed; a new number forgets the old ones
MOST = 4 * GIB  # on the disk
LOOKS = 20_000  # pictures that are worth a pass when the views are chosen
MOST_VIEWS = 8


class Features(Pictures):
    """The features of one split, in the place of its pictures.

    Attributes:
        values: (views, N, D), or maps as (views, N, H, W, C): what the head takes, channels last.
    """

    def __init__(self, pictures: Pictures, values: Tensor) -> None:
        super().__init__(pictures.samples, pictures.preparation)
        self.values, self.view = values, 0

    def begin(self, epoch: int) -> None:
        """Each epoch has its view."""
        self.view = epoch % len(self.values)

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """Batches of features, in an order of indices."""
        for index in order.split(size) if len(order) else ():
            some = self.values[self.view, index]
            yield self.batch(some.movedim(-1, 1), index)


def views(pictures: int, augment: str) -> int:
    """How many augmented versions of a picture are worth computing."""
    return 1 if augment == "none" else max(1, min(MOST_VIEWS, LOOKS // max(1, pictures)))


def wanted(method: Method, plan: Plan) -> bool:
    """Whether the head's input is worth keeping: nothing before it changes."""
    if not method.head:
        return False
    if method.located and plan.augment != "none":  # labels would have to move with the pictures
        return False
    everything = not any(
        p.requires_grad for n, p in method.net.named_parameters() if not n.startswith(method.head)
    )
    return plan.keep_features and everything and not plan.thaw and not policies[plan.augment].mixes


def keep(
    method: Method,
    pictures: dict[str, Pictures],
    plan: Plan,
    data: Any,
    fabric: Fabric,
    progress: Progress,
) -> dict[str, Pictures]:
    """Features in the place of the pictures of "train" and "val"; ``method`` takes them from now on.

    Args:
        method: everything but its head is frozen.
        pictures: of the splits.
        plan: with its number of ``views``, augmentation, seed and batch.
        data: JSON values that tell data and splits from all others.
        fabric: the device and the precision.
        progress: told how far it is.

    Returns:
        The features, or ``pictures`` themselves where features would take too much memory.
    """
    file = cache_folder() / "features" / f"{_key(method, pictures, plan, data, fabric)}.safetensors"
    values = _recall(file)
    if values is None:
        computed = _compute(method, pictures, plan, fabric, progress)
        if computed is None:
            progress.say("features of these pictures would not fit in memory: computed every epoch")
            return pictures
        values = computed
        if fabric.is_global_zero:
            _remember(file, values)
    else:
        progress.say(f"features of the frozen blocks: as computed before, {file}")
    method.from_features = True
    return {split: Features(pictures[split], tensor) for split, tensor in values.items()}


def _compute(
    method: Method, pictures: dict[str, Pictures], plan: Plan, fabric: Fabric, progress: Progress
) -> dict[str, Tensor] | None:
    """{"train": (views, N, …), "val": (1, N, …)}; None where that is too much."""
    method.to(device=fabric.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    seen: list[Tensor] = []
    hook = method.net.get_submodule(method.head).register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].detach())
    )
    turns = {"train": plan.views, "val": 1}
    total = sum(turns[split] * len(some) for split, some in pictures.items() if split in turns)
    done, values = 0, {}
    try:
        with torch.inference_mode(), fabric.autocast():
            for split, some in pictures.items():
                if split not in turns:
                    continue
                policy = policies[plan.augment if split == "train" else "none"]
                for view in range(turns[split]):
                    numbers = random_table(len(some), plan.seed, view)
                    for batch in some.in_order(plan.batch):
                        images = batch.to(fabric.device).images
                        method.output(policy(images, numbers[batch.index]))
                        # Channels last, as the network has them: dropout's numbers go by place.
                        new = seen.pop().movedim(1, -1)
                        if split not in values:
                            size = new[0].numel() * new.element_size() * total
                            if size > memory_budget():
                                return None
                            shape = (turns[split], len(some), *new.shape[1:])
                            values[split] = torch.empty(shape, dtype=new.dtype)
                        values[split][view, batch.index.cpu()] = new.cpu()
                        done += len(batch)
                        progress.advance(done, total)
    finally:
        hook.remove()
    return values


def _key(
    method: Method, pictures: dict[str, Pictures], plan: Plan, data: Any, fabric: Fabric
) -> str:
    """A name that follows from all that the features depend on."""
    depends = {
        "version": VERSION,
        "torch": torch.__version__,
        "data": data,
        "network": repr(method.net),
        "preparation": asdict(pictures["train"].preparation),
        "augment": plan.augment,
        "views": plan.views,
        "seed": plan.seed if plan.augment != "none" else 0,
        "precision": str(fabric._precision.precision),
        "device": fabric.device.type,
    }
    hashed = hashlib.blake2b(json.dumps(depends, sort_keys=True).encode(), digest_size=16)
    for name, tensor in method.state_dict().items():
        if not name.startswith(f"net.{method.head}."):
            hashed.update(name.encode())
            hashed.update(
                tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data
            )
    for buffer in (method.scale, method.shift):
        hashed.update(buffer.cpu().numpy().data)
    return hashed.hexdigest()


def _recall(file: Path) -> dict[str, Tensor] | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        values = load_file(file)
        os.utime(file)  # the oldest that is not used makes room
    except (OSError, SafetensorError):
        return None
    return values


def _remember(file: Path, values: dict[str, Tensor]) -> None:
    """Keep the features on the disk; where there is no room they are computed again another time."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with contextlib.suppress(OSError, SafetensorError):
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = sorted(file.parent.glob("*.safetensors"), key=lambda f: f.stat().st_mtime)
        room = MOST - sum(tensor.nbytes for tensor in values.values())
        while kept and sum(f.stat().st_size for f in kept) > room:
            kept.pop(0).unlink(missing_ok=True)
        if room > 0:
            with replacing(file) as temporary:
                save_file(values, temporary)
