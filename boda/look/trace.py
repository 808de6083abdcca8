"""One forward pass, watched: which layers ran in which order, what they put out, what it cost, what it saw.

Modules are watched through hooks, the functions between them through a ``TorchFunctionMode``; both on a copy
of the network that is thrown away afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from boda.look.copying import PARAMETER_CONTAINERS, ROOT, is_leaf, tensors_in
from boda.look.counting import UNCOUNTED, multiply_adds
from boda.look.fields import CONSTANT, UNKNOWN, View, first_view, flat
from boda.look.flow import follow


@dataclass
class Visit:
    """What was seen of one module.

    Attributes:
        name, module: which.
        leaf: whether nothing inside it is a layer in its own right.
        uses: how often it was called.
        shape: of its first output tensor at its first use; None where it put out none.
        view: what one value of that saw.
        cost: multiply-adds, of all uses together.
    """

    name: str
    module: nn.Module
    leaf: bool
    uses: int = 0
    shape: tuple[int, ...] | None = None
    view: View | None = UNKNOWN
    cost: int = 0


@dataclass(eq=False)
class Trace(TorchFunctionMode):
    """Watch ``module`` while the context is open.

    Attributes:
        module: the network; its hooks stay registered, so give a copy.
        visits: of leaves, and of modules with work or parameters of their own, in order of first use.
        uncounted: names of functions whose multiply-adds were not counted.
        inputs: shapes of the input tensors.
    """

    module: nn.Module
    visits: dict[int, Visit] = field(default_factory=dict)
    uncounted: set[str] = field(default_factory=set)
    inputs: list[tuple[int, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._views: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._stack: list[Visit] = []
        self._weights = 0  # how deep in the computation of a weight
        self._watch(self.module, "")
        for inner in self.module.modules():
            for value in (
                *inner._parameters.values(),
                *inner._buffers.values(),
                *vars(inner).values(),
            ):
                if isinstance(value, Tensor):
                    self._views[value] = CONSTANT

    def _watch(self, module: nn.Module, name: str) -> None:
        if isinstance(module, PARAMETER_CONTAINERS) or id(module) in self.visits:
            return
        visit = self.visits[id(module)] = Visit(name or ROOT, module, is_leaf(module))
        # Before all other hooks, so that those that compute weights run inside of the layer.
        module.register_forward_pre_hook(lambda *_: self._enter(visit), prepend=True)
        module.register_forward_hook(lambda _module, _inputs, out: self._leave(visit, out))
        for part in module.modules() if visit.leaf else ():
            if isinstance(
                part, ParametrizationList
            ):  # a weight made from others costs nothing a picture
                part.register_forward_pre_hook(lambda *_: self._deeper(1))
                part.register_forward_hook(lambda *_: self._deeper(-1))
        if not visit.leaf:
            for child, inner in module.named_children():
                self._watch(inner, f"{name}.{child}" if name else child)

    def _deeper(self, step: int) -> None:
        self._weights += step

    def see(self, tensors: list[Tensor]) -> None:
        """These are the inputs. (N, C, L) is a picture where there are layers for one dimension."""
        signals = any(type(inner).__name__.endswith("1d") for inner in self.module.modules())
        for tensor in tensors:
            self._views[tensor] = first_view(tensor, least=3 if signals else 4)
            self.inputs.append(tuple(tensor.shape))

    def _enter(self, visit: Visit) -> None:
        if visit.uses == 0:  # the order of first use
            self.visits[id(visit.module)] = self.visits.pop(id(visit.module))
        visit.uses += 1
        self._stack.append(visit)

    def _leave(self, visit: Visit, out: Any) -> None:
        self._stack.pop()
        outputs = tensors_in(out)
        if visit.uses == 1 and outputs:
            visit.shape, visit.view = tuple(outputs[0].shape), self._view(outputs[0])

    def _view(self, tensor: Tensor) -> View | None:
        # Not there: it was made where no function was seen, as by a custom autograd function.
        return self._views.get(tensor, UNKNOWN)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run a function, count it, and note what its results see."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        # Before the call: a function that works in place changes what is known of its argument.
        tensors = flat((args, kwargs))
        views = [self._view(tensor) for tensor in tensors]
        out = func(*args, **kwargs)
        results = tensors_in(out) if isinstance(out, Tensor | tuple | list) else []
        if name == "__setitem__":  # x[…] = y puts what y saw into x
            results, name = tensors[:1], "add_"
        if name in UNCOUNTED:
            self.uncounted.add(name)
        if results:
            if self._stack and not self._weights:
                self._stack[-1].cost += multiply_adds(name, args, kwargs, results[0])
            view = follow(name, func, args, kwargs, views, results[0])
            for result in results:
                self._views[result] = view
        return out
