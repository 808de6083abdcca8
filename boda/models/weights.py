"""Weights from files: our own and other people's. Loading never runs code from a file.

What a file does not say of itself, and what its tensors' names and its hash do not tell, is assumed
and said; see ``layouts`` and ``published``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from boda.data.prepare import Preparation
from boda.errors import DataError
from boda.models.layers import fold_eps
from boda.models.layouts import BODA, Layout, assumed, known, marked
from boda.models.parts import backbone, head
from boda.models.published import Published, recognize
from boda.models.state_files import about, read_state

AUXILIARY = r"^aux\d\."  # heads that help in training only: a network may do without
COUNTER = "num_batches_tracked"  # of batch norms; nothing is computed from it, fixed ones lack it


@dataclass
class Weights:
    """What a file of weights holds, in our names and for RGB pictures.

    Attributes:
        file: where it is.
        tensors: by name.
        layout: how it was stored, and how its network wants its pictures.
        about: what a file that boda wrote says of itself: model, options, classes, preparation.
        published: its row of the table, where it is a file that others published.
        classes: how many, where it is another number than the network has.
        channels: of the pictures; None where a network without convolutions does not tell.
        new: the tensors that kept their new weights, since the number of classes is another.
        left_out: the tensors that the network has no place for.
        of_backbone: whether they are a classifier's that is to be the beginning of a network.
        part: the part of the network that they are all of; empty where they are of the whole.
    """

    file: Path
    tensors: dict[str, Tensor]
    layout: Layout
    about: dict[str, Any] | None
    published: Published | None
    classes: int | None
    channels: int | None
    new: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    of_backbone: bool = False
    part: str = ""

    def tell_changes(self) -> str:
        """What was not taken over, for the person; nothing where all was."""
        told = []
        if self.of_backbone:
            return "they fill the backbone; all behind it starts anew"
        if self.part:
            told.append(f"they fill the {self.part}; all else starts anew")
        if self.new:
            told.append(f"another number of classes: {', '.join(self.new)} start anew")
        if self.left_out:
            heads = sorted({name.partition(".")[0] for name in self.left_out})
            told.append(f"left out, since the network does without: {', '.join(heads)}")
        return "\n".join(told)

    def tell(self) -> str:
        """Whose weights these are, and how that is known, for the person."""
        begin = f"weights of {self.file}"
        if self.about is not None:
            return f"{begin}, which boda fitted with {self.about['model']}"
        if row := self.published:
            return f"{begin}: {row.file}, published with {row.figures}"
        if self.layout.mean is None:
            return f"{begin}: they do not say how their pictures were normalized"
        if self.layout.name == BODA.name:
            return f"{begin}: they do not say of what; ImageNet is assumed, for their 1,000 classes"
        return f"{begin}: laid out as {self.layout.name}'s, and taken to be fitted as there"


def read(path: str | Path, net: nn.Module, model: str | None = None, whole: bool = True) -> Weights:
    """What a file in any known layout holds for a network.

    Args:
        path: of the file.
        net: tells our names and shapes; on the ``meta`` device it costs nothing.
        model: its registered name: some networks differ in nothing that a file shows.
        whole: False for one that may hold no more than the network's beginning.

    Raises:
        DataError: it cannot be read, or belongs to another network.
    """
    file, tensors = Path(path), read_state(path)
    said = about(file)
    row = recognize(file) if said is None else None
    layout = BODA if said is not None else marked(tensors)
    of = said["model"] if said is not None else row.model if row is not None else model
    if model is not None and of != model:
        raise _another(file, f"they are {of}'s, and not {model}'s")
    if model is not None and not re.fullmatch(layout.models, model):
        raise _another(file, f"they are laid out as {layout.name}'s, where there is no {model}")
    for pattern, ours in layout.renames:
        tensors = {re.sub(pattern, ours, name): tensor for name, tensor in tensors.items()}
    if layout.bgr in tensors:
        tensors[layout.bgr] = tensors[layout.bgr].flip(1)  # now red, green, blue
    if row is not None and row.eps is not None:
        tensors = fold_eps(tensors, row.eps)
    own = net.state_dict()
    rows = _rows(net)
    first = next((name for name, tensor in own.items() if tensor.ndim == 4), "")
    if (whole and rows not in tensors) or (first and first not in tensors):
        raise _unlike(file, own, tensors)
    channels = int(tensors[first].shape[1]) if first and tensors[first].ndim == 4 else None
    if said is not None:
        layout = replace(layout, sure=True, **_seen(file, said))
    elif row is not None:
        layout = known(layout, row)
    elif layout is BODA and len(tensors.get(rows, own[rows])) == 1000 and channels == 3:
        layout = assumed(model)
    classes = None
    if rows in tensors and tensors[rows].shape != own[rows].shape:
        classes = len(tensors[rows]) - getattr(net, "background", 0)
    if said is not None and len(said["classes"]):
        classes = len(said["classes"])
    return Weights(file, tensors, layout, said, row, classes, channels)


def fill(net: nn.Module, found: Weights) -> None:
    """Fill the network; ``found`` notes what kept its new weights and what was left out.

    Where only the number of classes differs, the head keeps its new weights, and so does the last
    layer of every auxiliary head.

    Raises:
        DataError: tensors are missing, left over or of another shape.
    """
    if found.of_backbone:
        _fill_backbone(net, found)
        return
    if found.part:
        net = net.get_submodule(found.part)
    own = net.state_dict()
    tensors = {k: v for k, v in found.tensors.items() if k in own or not k.endswith(COUNTER)}
    last, rows = _head(net), _rows(net)
    counts = len(own[rows]), len(tensors.get(rows, ()))

    def of_classes(name: str) -> bool:
        """Whether a tensor has a row a class, in the file and in the network."""
        ours, theirs = own[name].shape, tensors[name].shape
        return re.match(last, name) is not None or (
            re.search(AUXILIARY, name) is not None
            and (ours[0], theirs[0]) == counts
            and ours[1:] == theirs[1:]
        )

    other = [k for k in own if k in tensors and own[k].shape != tensors[k].shape]
    found.new = [name for name in other if of_classes(name)]
    found.left_out = [k for k in tensors if k not in own and re.search(AUXILIARY, k)]
    for name in found.left_out:
        del tensors[name]
    for name in found.new:
        tensors[name] = own[name]
    missing = [k for k in own.keys() - tensors.keys() if not k.endswith(COUNTER)]
    if missing or tensors.keys() - own.keys() or len(other) > len(found.new):
        raise _unlike(found.file, own, tensors)
    net.load_state_dict(tensors, strict=False)


def _fill_backbone(net: nn.Module, found: Weights) -> None:
    """Fill what stands before a network's own head with a classifier's weights."""
    within = backbone(net)
    assert within is not None
    own = within.state_dict()
    wrong = [k for k in own if k in found.tensors and own[k].shape != found.tensors[k].shape]
    missing = [k for k in own.keys() - found.tensors.keys() if not k.endswith(COUNTER)]
    if wrong or missing:
        raise _unlike(found.file, own, found.tensors)
    within.load_state_dict({k: v for k, v in found.tensors.items() if k in own}, strict=False)


def load(net: nn.Module, path: str | Path, model: str | None = None) -> Weights:
    """Fill ``net`` from a file in any known layout: ``read`` and ``fill``."""
    found = read(path, net, model)
    fill(net, found)
    return found


def normalized(preparation: Preparation, layout: Layout) -> Preparation:
    """The preparation with the mean and deviation that a layout's weights expect."""
    if layout.mean is None or layout.std is None or preparation.channels != len(layout.mean):
        return preparation
    return replace(preparation, mean=layout.mean, std=layout.std)


def prepared(preparation: Preparation, layout: Layout) -> Preparation:
    """The preparation with everything that a layout's weights expect, also size and crop."""
    height, width = (layout.size or preparation.height), (layout.size or preparation.width)
    resized = replace(preparation, height=height, width=width, resize=layout.resize)
    return normalized(resized, layout)


def _rows(net: nn.Module) -> str:
    """The name of the tensor with a row a class."""
    return next(name for name in net.state_dict() if re.match(_head(net), name))


def _head(net: nn.Module) -> str:
    """A pattern of the names of what has a row a class.

    Where a network with a backbone does not tell, it is what has another shape behind that.
    """
    if told := getattr(net, "per_class", None):
        return rf"({'|'.join(map(re.escape, told))})\."
    return r"(?!backbone\.)" if backbone(net) is not None else re.escape(head(net)[0] + ".")


def _seen(file: Path, said: dict[str, Any]) -> dict[str, Any]:
    """How pictures were normalized, by what the file says of itself."""
    try:
        preparation = Preparation.from_dict(said["preparation"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise DataError(
            f"what it says of itself is damaged, or of another version of boda ({error})",
            file=file,
            fix="Name the run's folder, or fit again.",
        ) from None
    return {"mean": preparation.mean, "std": preparation.std}


def _another(file: Path, why: str) -> DataError:
    return DataError(
        f"the weights are of another network: {why}",
        file=file,
        fix="Name the model they belong to.",
    )


def _unlike(file: Path, own: dict[str, Tensor], tensors: dict[str, Tensor]) -> DataError:
    """Which tensors a file and a network do not share."""
    missing = [name for name in own if name not in tensors]
    parts = (
        ("it lacks", [name for name in missing if not name.endswith(COUNTER)]),
        ("it has beside it", [k for k in tensors if k not in own and not k.endswith(COUNTER)]),
        (
            "it has in another shape",
            [k for k in own if k in tensors and own[k].shape != tensors[k].shape],
        ),
    )
    return _another(
        file, "; ".join(f"{word} {', '.join(names[:3])}" for word, names in parts if names)
    )
