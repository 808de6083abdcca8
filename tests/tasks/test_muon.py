"""Muon's steps against the singular value decomposition and against torch's AdamW."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from boda.tasks.muon import LENGTH, Muon, is_matrix, orthogonalized
from boda.tasks.optimizing import optimizer


@pytest.mark.parametrize("shape", [(8, 8), (16, 144), (144, 16)])
def test_singular_values_are_made_alike(shape: tuple[int, int]) -> None:
    """Singular values from 0.01 to 1 come out between 0.6 and 1.3; the directions stay."""
    generator = torch.Generator().manual_seed(0)
    few = min(shape)
    u = torch.linalg.qr(torch.randn(shape[0], few, generator=generator))[0]
    v = torch.linalg.qr(torch.randn(shape[1], few, generator=generator))[0]
    values = torch.logspace(-2, 0, few)
    matrix = u * values @ v.T
    (made,) = orthogonalized([matrix])
    inside = u.T @ made @ v
    assert made.shape == matrix.shape and made.dtype == matrix.dtype
    assert ((inside.diagonal() > 0.6) & (inside.diagonal() < 1.3)).all(), inside.diagonal()
    assert (inside - inside.diagonal().diag()).abs().max() < 0.06


def test_zeros_stay_zeros() -> None:
    """A layer without a gradient does not move."""
    assert not orthogonalized([torch.zeros(9, 12)])[0].any()


def test_what_is_a_matrix() -> None:
    """Kernels and dense layers, but no norms, no depthwise kernels and no layers of few classes."""
    kinds = {(16, 3, 3, 3): True, (32, 1, 3, 3): False, (32,): False, (7, 64, 1, 1): False}
    assert {shape: is_matrix(torch.zeros(shape)) for shape in kinds} == kinds
    assert is_matrix(torch.zeros(10, 84)) and not is_matrix(torch.zeros(4, 84))


def test_a_step_is_as_long_as_adams() -> None:
    """The first step of a kernel has the root mean square of LENGTH × rate, whatever the gradient's size."""
    for size in (1e-4, 1.0, 1e4):
        kernel = nn.Parameter(torch.zeros(24, 12, 3, 3))
        kernel.grad = size * torch.randn(24, 12, 3, 3, generator=torch.Generator().manual_seed(0))
        Muon([{"params": [kernel]}], 0.01).step()
        # Of 24 × 108 numbers 24 singular values are about 1: the mean square is 1/108.
        assert kernel.detach().square().mean().sqrt().item() == pytest.approx(
            0.01 * LENGTH, rel=0.2
        )


def test_how_kernels_lie_in_memory_makes_no_difference() -> None:
    """Of wide and of tall ones, several of a size together, with their channels last and as usual."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(16, 12, 3, 3), (16, 20, 3, 3), (40, 8, 1, 1), (90, 9, 3, 3)]
    grads = [torch.randn(shape, generator=generator) for shape in shapes]
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        kernels = [nn.Parameter(torch.ones(s).to(memory_format=layout)) for s in shapes]
        by = Muon([{"params": kernels, "weight_decay": 0.1}], 0.01)
        for _ in range(3):
            for kernel, grad in zip(kernels, grads, strict=True):
                kernel.grad = grad.to(memory_format=layout)
            by.step()
        assert all(k.is_contiguous(memory_format=layout) for k in kernels)
        moved.append(kernels)
    for one, other in zip(*moved, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_what_is_no_matrix_learns_as_by_adamw() -> None:
    """Ten steps of a bias equal those of torch's AdamW."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(6)) for _ in range(2))
    mine = Muon([{"params": [ours], "weight_decay": 0.1}], 3e-3)
    other = torch.optim.AdamW([theirs], 3e-3, betas=(0.9, 0.99), weight_decay=0.1)
    for _ in range(10):
        ours.grad = torch.randn(6, generator=generator)
        theirs.grad = ours.grad.clone()
        mine.step()
        other.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_a_saved_state_goes_on_to_the_bit() -> None:
    """After ``load_state_dict`` the next step is the one that would have come."""
    generator = torch.Generator().manual_seed(0)
    grads = [(torch.randn(8, 16, generator=generator), torch.randn(8, generator=generator))] * 4

    def steps(some: list[nn.Parameter], by: torch.optim.Optimizer, which: slice) -> None:
        for grad in grads[which]:
            for parameter, value in zip(some, grad, strict=True):
                parameter.grad = value
            by.step()

    whole = [nn.Parameter(torch.ones(8, 16)), nn.Parameter(torch.ones(8))]
    steps(whole, optimizer([{"params": whole}], "muon", 0.01), slice(0, 4))
    half = [nn.Parameter(torch.ones(8, 16)), nn.Parameter(torch.ones(8))]
    before = optimizer([{"params": half}], "muon", 0.01)
    steps(half, before, slice(0, 2))
    again = optimizer([{"params": half}], "muon", 0.01)
    again.load_state_dict(before.state_dict())
    steps(half, again, slice(2, 4))
    assert all(torch.equal(a, b) for a, b in zip(whole, half, strict=True))


def test_what_has_faded_is_forgotten() -> None:
    """The momentum of a channel that is dead would end in numbers that take a processor ten times as long."""
    generator = torch.Generator().manual_seed(0)
    kernel = nn.Parameter(torch.randn(16, 8, 3, 3, generator=generator))
    muon = Muon([{"params": [kernel], "weight_decay": 0.0}], lr=0.0)
    for step in range(1200):
        kernel.grad = torch.randn(kernel.shape, generator=generator)
        if step:
            kernel.grad[::4] = 0
        muon.step()
        if step == 60:
            assert (muon.state[kernel]["momentum"][::4] != 0).all(), "it fades slowly"
    momentum = muon.state[kernel]["momentum"]
    assert not momentum[::4].any()
    assert (momentum.view(4, 4, -1)[:, 1:] != 0).all()
