"""Gradients against finite differences, gradcheck and PyTorch's own; formulas against PyTorch's functions."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from boda.errors import UsageError
from boda.look import backward, explain_loss, neuron
from boda.look.neuron import ACTIVATIONS, LOSSES


def small() -> nn.Sequential:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 3)
    )
    return net.double()


X = torch.randn(4, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
Y = torch.tensor([0, 2, 1, 1])


def test_gradients_are_pytorch_s():
    net = small()
    found = backward(net, X, Y)
    F.cross_entropy(net(X), Y).backward()
    assert [step.name for step in found.steps] == ["0", "1", "2", "3", "4"]
    for index in (0, 4):
        for name, parameter in net[index].named_parameters():
            torch.testing.assert_close(found.steps[index].parameters[name], parameter.grad)
    assert found.to_dict()["layers"][0]["parameters"]["weight"] == pytest.approx(
        float(net[0].weight.grad.norm())
    )


@pytest.mark.parametrize("index", range(5))
def test_gradient_at_every_layer_by_finite_differences(index):
    net = small()
    step = backward(net, X, Y).steps[index]
    rest, eps = net[index + 1 :], 1e-6
    for place in (0, step.output.numel() // 2, step.output.numel() - 1):
        moved = [step.output.clone() for _ in range(2)]
        moved[0].view(-1)[place] += eps
        moved[1].view(-1)[place] -= eps
        up, down = (float(F.cross_entropy(rest(m), Y).detach()) for m in moved)
        assert float(step.gradient.view(-1)[place]) == pytest.approx(
            (up - down) / (2 * eps), abs=1e-7
        )


def test_input_gradient_by_gradcheck():
    net = small()
    assert torch.autograd.gradcheck(
        lambda x: F.cross_entropy(net(x), Y), X[:, :, :, :].clone().requires_grad_()
    )
    x = X.clone().requires_grad_()
    F.cross_entropy(net(x), Y).backward()
    torch.testing.assert_close(backward(net, X, Y).input_gradient, x.grad)


@pytest.mark.parametrize(
    ("net", "y", "loss", "name"),
    [
        (nn.Linear(5, 3), torch.tensor([0, 1, 2, 0]), None, "cross-entropy, of logits"),
        (nn.Linear(5, 3), torch.rand(4, 3), None, "mse"),
        (nn.Linear(5, 3), torch.rand(4, 3) > 0.5, None, "bce, of logits"),
        (nn.Sequential(nn.Linear(5, 3), nn.Sigmoid()), torch.ones(4, 3), "bce", "bce"),
        (
            nn.Sequential(nn.Linear(5, 3), nn.Softmax(1)),
            torch.tensor([0, 1, 2, 0]),
            None,
            "cross-entropy",
        ),
        (
            nn.Sequential(nn.Linear(5, 3), nn.LogSoftmax(1)),
            torch.tensor([0, 1, 2, 0]),
            None,
            "cross-entropy",
        ),
        (nn.Linear(5, 3), torch.rand(4, 3), F.l1_loss, "l1_loss"),
    ],
)
def test_losses_chosen_by_y(net, y, loss, name):
    found = backward(net, torch.randn(4, 5), y, loss)
    assert found.loss_name == name and found.loss > 0
    assert all(step.gradient is not None for step in found.steps)


def test_work_in_place_is_undone_for_the_eye():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, 3))
    x = torch.randn(2, 1, 8, 8)
    found = backward(net, x, torch.tensor([0, 1]))
    torch.testing.assert_close(found.steps[0].output, net[0](x).detach())
    assert (found.steps[0].gradient[found.steps[0].output < 0] == 0).all()


def test_nothing_changes():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(72, 3)
    )
    before, state = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    x, y = torch.ones(2, 1, 8, 8), torch.tensor([0, 1])
    with torch.no_grad():  # a person may have it off; it is needed only within
        found = backward(net, x, y)
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled() and torch.equal(state, torch.get_rng_state())
    assert net.training and net[0].weight.grad is None and not x.requires_grad and x.grad is None
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    text = str(found)
    assert "BatchNorm2d" in text and "|∂L/∂weights|" in text and "loss L" in text
    assert "<table>" in found._repr_html_() and json.dumps(found.to_dict())


def test_frozen_layers_and_tuples():
    net = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 3))
    net[0].requires_grad_(False)
    found = backward(net, torch.randn(4, 5), torch.tensor([0, 1, 2, 0]))
    assert found.steps[0].parameters == {} and found.steps[0].gradient is not None
    found = backward(nn.LSTM(5, 3), torch.randn(4, 2, 5), torch.randn(4, 2, 3))
    assert found.steps[0].kind == "LSTM" and "weight_ih_l0" in found.steps[0].parameters


@pytest.mark.parametrize(
    ("y", "loss", "words"),
    [
        (torch.rand(4, 2), None, r"compares like with like: the output is \(4, 3\), y is \(4, 2\)"),
        (torch.tensor([0, 1, 2, 9]), None, "cannot be taken"),
        (torch.rand(4, 3), "mes", "Did you mean mse"),
    ],
)
def test_errors(y, loss, words):
    with pytest.raises(UsageError, match=words):
        backward(nn.Linear(5, 3), torch.randn(4, 5), y, loss)


# --- neuron, activations, losses --------------------------------------------------------------------

REFERENCES = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "softmax": lambda z: z.softmax(-1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    z = torch.tensor([[-800.0, -2.0, -0.3, 0.4, 3.0, 800.0]], dtype=torch.float64)
    torch.testing.assert_close(ACTIVATIONS[name](z), REFERENCES[name](z))
    assert torch.autograd.gradcheck(ACTIVATIONS[name], z[:, 1:5].clone().requires_grad_())


def test_losses_by_formula():
    logits = torch.randn(5, 3, dtype=torch.float64)
    classes, truth = torch.tensor([0, 2, 1, 1, 0]), torch.randint(0, 2, (5, 3)).double()
    cases = {
        "mse": (logits, truth, F.mse_loss(logits, truth)),
        "bce": (logits.sigmoid(), truth, F.binary_cross_entropy_with_logits(logits, truth)),
        "cross-entropy": (logits.softmax(1), classes, F.cross_entropy(logits, classes)),
    }
    for name, (prediction, target, expected) in cases.items():
        torch.testing.assert_close(LOSSES[name](prediction, target), expected)
        assert torch.autograd.gradcheck(
            lambda p, n=name, t=target: LOSSES[n](p, t), prediction.clone().requires_grad_()
        )
        assert f"{float(expected):.4g}" in explain_loss(name, prediction, target)


def test_a_neuron_by_hand():
    found = neuron([1, 2], [0.5, -0.25], 0.1, "sigmoid")
    assert found.sum == pytest.approx(0.1) and found.value == pytest.approx(
        1 / (1 + 2.718281828459045**-0.1)
    )
    assert str(found).startswith("z = 0.5·1 + −0.25·2 + 0.1 = 0.1")
    with pytest.raises(UsageError, match="2 inputs, 1 weights"):
        neuron([1, 2], [1])
    with pytest.raises(UsageError, match="Did you mean relu"):
        neuron([1], [1], 0, "rely")
