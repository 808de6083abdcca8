"""Muon: a step in which every direction of a layer's weights is as long as any other.

Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein 2024, "Muon: an optimizer for hidden layers in
neural networks"; scaled as in Liu et al. 2025, arXiv 2502.16982, so that rates usual for Adam fit. A
kernel (D, C, h, w) is a matrix of D rows. Its momentum is replaced by the nearest matrix with
orthonormal rows or columns: a gradient has a few large directions, and a plain step leaves the many
small ones, which tell like things apart, unlearned. Networks that are fitted from random weights in
few steps gain most.

Deviations: what is no matrix of 8 rows and columns at least (norms, biases, depthwise kernels,
layers of few classes) learns by AdamW (Loshchilov, Hutter 2017, arXiv 1711.05101) in the same
optimizer, at the same rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

MOMENTUM = 0.9
BETAS = 0.9, 0.99  # of AdamW
EPSILON = 1e-8
LENGTH = 0.2  # root mean square of a step at rate 1, as Adam's is
SMALLEST = 8  # rows and columns
ROUNDS = 5
TINY = 1e-7
FORGOTTEN = 1e-12  # of a momentum's norm
QUINTIC = 3.4445, -4.7750, 2.0315  # drive singular values to about 1; the authors' coefficients


class Muon(torch.optim.Optimizer):
    """Orthogonal momentum for matrices and kernels, AdamW for the rest.

    Args:
        groups: of parameters, each with its ``weight_decay``.
        lr: the rate, 1e-3 to 1e-2.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step by the gradients that are there."""
        assert closure is None, "the loss is not computed again"
        for group in self.param_groups:
            learning = [each for each in group["params"] if each.grad is not None]
            matrices = [each for each in learning if is_matrix(each)]
            rest = [each for each in learning if not is_matrix(each)]
            for some, way in ((matrices, self._orthogonal), (rest, self._adam)):
                if some:
                    steps = way(some)
                    torch._foreach_mul_(some, 1 - group["lr"] * group["weight_decay"])
                    torch._foreach_add_(some, steps, alpha=-group["lr"])

    def _orthogonal(self, parameters: list[Tensor]) -> list[Tensor]:
        """Nesterov's momentum, made orthogonal."""
        slopes = [cast(Tensor, each.grad) for each in parameters]
        momenta = self._kept("momentum", parameters)
        torch._foreach_mul_(momenta, MOMENTUM)
        torch._foreach_add_(momenta, slopes)
        _forget(momenta)
        ahead = torch._foreach_add(slopes, momenta, alpha=MOMENTUM)
        return orthogonalized(ahead, LENGTH)

    def _adam(self, parameters: list[Tensor]) -> list[Tensor]:
        """Adam's steps, without the rate."""
        slopes = [cast(Tensor, each.grad) for each in parameters]
        first, second = self._kept("first", parameters), self._kept("second", parameters)
        counts = []
        for parameter in parameters:
            state = self.state[parameter]
            # A tensor, since torch moves an optimizer's tensors to the device it goes on with.
            state["steps"] = state.get("steps", torch.zeros(())) + 1
            counts.append(float(state["steps"]))
        torch._foreach_lerp_(first, slopes, 1 - BETAS[0])
        squares = torch._foreach_mul(slopes, slopes)
        torch._foreach_lerp_(second, squares, 1 - BETAS[1])
        deviations = torch._foreach_div(second, [1 - BETAS[1] ** count for count in counts])
        torch._foreach_sqrt_(deviations)
        torch._foreach_add_(deviations, EPSILON)
        steps = torch._foreach_div(first, [1 - BETAS[0] ** count for count in counts])
        torch._foreach_div_(steps, deviations)
        return list(steps)

    def _kept(self, name: str, parameters: list[Tensor]) -> list[Tensor]:
        """What is remembered of each, at first zeros."""
        for parameter in parameters:
            if name not in self.state[parameter]:
                self.state[parameter][name] = torch.zeros_like(parameter)
        return [self.state[parameter][name] for parameter in parameters]


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter is learned by orthogonal steps."""
    if parameter.ndim < 2:
        return False
    return min(len(parameter), parameter[0].numel()) >= SMALLEST and parameter.shape[1] > 1


def _forget(momenta: list[Tensor]) -> None:
    """What has faded becomes 0, on a CPU.

    The momentum of a channel that is never alive again would fade for ever, to numbers so small that a
    processor works with them ten times as long.
    """
    if momenta[0].device.type != "cpu":
        return
    for momentum, norm in zip(momenta, torch._foreach_norm(momenta), strict=True):
        torch.hardshrink(momentum, FORGOTTEN * norm.item(), out=momentum)


def orthogonalized(tensors: Sequence[Tensor], length: float | None = None) -> list[Tensor]:
    """About U Vᵀ of the singular value decompositions U S Vᵀ, by five Newton–Schulz rounds.

    A round multiplies a matrix by a polynomial of its Gram matrix, which is much smaller. So the
    rounds multiply the polynomials, those of equal size together, and the matrix is multiplied once,
    by their product.

    Args:
        tensors: (R, …) each, a matrix of R rows; the order of its columns makes no difference.
        length: each is multiplied by it and by the root of its matrix's larger side; None: by nothing.

    Returns:
        The same shapes and types, with singular values between 0.7 and 1.2 (times that); zeros stay
        zeros. It is computed in float32: a Gram matrix has squares of singular values.
    """
    flat = [_columns(each).float() for each in tensors]
    wide = [each.mT if len(each) > each.shape[1] else each for each in flat]
    wide = [each / (each.norm() + TINY) for each in wide]
    sides = [len(each) for each in wide]
    out = list(tensors)
    for side in sorted(set(sides)):
        places = [i for i, own in enumerate(sides) if own == side]
        made = _inverse_roots(torch.stack([wide[i] @ wide[i].mT for i in places]))
        for i, root in zip(places, made, strict=True):
            long = 1.0 if length is None else length * max(flat[i].shape) ** 0.5
            step = (root * long) @ wide[i]
            step = step.mT if len(flat[i]) > flat[i].shape[1] else step
            out[i] = _laid_out(step, tensors[i])
    return out


def _inverse_roots(grams: Tensor) -> Tensor:
    """About G to the power of −1/2 of (K, R, R) Gram matrices whose traces are 1."""
    a, b, c = QUINTIC
    # No singular value is above the root of this: less than the matrix's norm, which is 1.
    squares = grams.flatten(1).norm(dim=1).view(-1, 1, 1) + TINY
    grams = grams / squares
    product = torch.zeros_like(grams)
    product.diagonal(dim1=1, dim2=2).copy_(squares[:, 0].rsqrt().expand(-1, grams.shape[1]))
    for left in reversed(range(ROUNDS)):
        polynomial = torch.baddbmm(grams, grams, grams, beta=b, alpha=c)
        polynomial.diagonal(dim1=1, dim2=2).add_(a)
        product = polynomial @ product
        if left:
            grams = polynomial @ grams @ polynomial
    return product


def _columns(values: Tensor) -> Tensor:
    """(R, …) as (R, C), its columns in the order in which they lie in memory: nothing is copied."""
    return (values.movedim(1, -1) if _channels_last(values) else values).flatten(1)


def _laid_out(matrix: Tensor, like: Tensor) -> Tensor:
    """The matrix of ``_columns`` in the shape and type of that tensor."""
    if not _channels_last(like):
        return matrix.view(like.shape).to(like.dtype)
    return matrix.view(like.movedim(1, -1).shape).movedim(-1, 1).to(like.dtype)


def _channels_last(values: Tensor) -> bool:
    return values.ndim > 2 and not values.is_contiguous()
