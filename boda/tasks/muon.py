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

from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.9
BETAS = 0.9, 0.99  # of AdamW
EPSILON = 1e-8
LENGTH = 0.2  # root mean square of a step at rate 1, as Adam's is
SMALLEST = 8  # rows and columns
ROUNDS = 5
TINY = 1e-7
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
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                step = self._orthogonal if is_matrix(parameter) else self._adam
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(step(parameter, self.state[parameter]), alpha=group["lr"])

    @staticmethod
    def _orthogonal(parameter: Tensor, state: dict[str, Any]) -> Tensor:
        """Nesterov's momentum, made orthogonal."""
        assert parameter.grad is not None
        momentum = state.setdefault("momentum", torch.zeros_like(parameter))
        momentum.mul_(MOMENTUM).add_(parameter.grad)
        ahead = parameter.grad.add(momentum, alpha=MOMENTUM)
        matrix = ahead.reshape(len(ahead), -1)
        long = LENGTH * max(matrix.shape) ** 0.5
        return (orthogonalized(matrix) * long).view_as(ahead)

    @staticmethod
    def _adam(parameter: Tensor, state: dict[str, Any]) -> Tensor:
        """Adam's step, without the rate."""
        assert parameter.grad is not None
        first = state.setdefault("first", torch.zeros_like(parameter))
        second = state.setdefault("second", torch.zeros_like(parameter))
        # A tensor, since torch moves an optimizer's tensors to the device it goes on with.
        state["steps"] = state.get("steps", torch.zeros(())) + 1
        steps = float(state["steps"])
        first.lerp_(parameter.grad, 1 - BETAS[0])
        second.lerp_(parameter.grad.square(), 1 - BETAS[1])
        deviation = (second / (1 - BETAS[1] ** steps)).sqrt_().add_(EPSILON)
        return first / (1 - BETAS[0] ** steps) / deviation


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter is learned by orthogonal steps."""
    if parameter.ndim < 2:
        return False
    return min(len(parameter), parameter[0].numel()) >= SMALLEST and parameter.shape[1] > 1


def orthogonalized(matrix: Tensor) -> Tensor:
    """About U Vᵀ of the singular value decomposition U S Vᵀ, by five Newton–Schulz rounds.

    A round multiplies the matrix by a polynomial of its Gram matrix, which is much smaller. So the
    rounds multiply the polynomials, and the matrix is multiplied once, by their product.

    Args:
        matrix: (R, C).

    Returns:
        (R, C), of the same type, with singular values between 0.7 and 1.2; zeros stay zeros. It is
        computed in float32: a Gram matrix has squares of singular values.
    """
    x = matrix.float()
    x = x.mT if x.shape[0] > x.shape[1] else x
    x = x / (x.norm() + TINY)
    gram = x @ x.mT
    square = gram.norm() + TINY  # no singular value of x is above its root: less than x's norm, 1
    gram = gram / square
    a, b, c = QUINTIC
    product = torch.eye(len(gram), device=gram.device) / square.sqrt()
    for left in reversed(range(ROUNDS)):
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal().add_(a)
        product = polynomial @ product
        if left:
            gram = polynomial @ gram @ polynomial
    x = product @ x
    return (x.mT if matrix.shape[0] > matrix.shape[1] else x).to(matrix.dtype)
