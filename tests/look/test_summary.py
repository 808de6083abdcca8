"""The summary against the notes' tables, published counts, PyTorch's flop counter and gradients."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from boda import models
from boda.errors import UsageError
from boda.look import summary


def counted(net: nn.Module, *inputs: Tensor) -> int:
    """Multiply-adds by PyTorch's own counter, which looks at the kernels and counts two for each."""
    net = copy.deepcopy(net).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(*inputs)
    return counter.get_total_flops() // 2


def rows(net: nn.Module, given: object) -> dict[str, dict]:
    return {row["name"]: row for row in summary(net, given).to_dict()["layers"]}


def column(net: nn.Module, given: object, name: str) -> list:
    return [row[name] for row in summary(net, given).to_dict()["layers"]]


# --- known numbers ----------------------------------------------------------------------------------


def test_lenet5_is_the_table_of_the_notes():
    found = summary(models.create("lenet5"), (1, 32, 32), "lenet5").to_dict()
    shapes = [[6, 28, 28], [6, 14, 14], [16, 10, 10], [16, 5, 5], [120, 1, 1], [84], [10]]
    assert [row["output_shape"] for row in found["layers"]] == shapes
    assert [row["receptive_field"] for row in found["layers"]] == [5, 6, 14, 16, 32, 32, 32]
    assert [row["stride"] for row in found["layers"]] == [1, 2, 2, 4, 4, None, None]
    assert (found["parameters"], found["multiply_adds"]) == (61_706, 416_520)  # numbers.md A1
    assert list(found) == ["model", "input", "parameters", "multiply_adds", "layers"]
    assert found["model"] == "lenet5" and found["input"] == [1, 32, 32]
    assert list(found["layers"][0]) == [
        "name", "kind", "output_shape", "activation_size", "parameters", "multiply_adds",
        "receptive_field", "stride",
    ]  # fmt: skip


def test_the_course_net_is_the_table_of_the_notes():
    net = models.create("lenet5-course")
    assert column(net, (3, 32, 32), "parameters") == [456, 0, 2_416, 0, 48_120, 10_164, 850]
    sizes = [4_704, 1_176, 1_600, 400, 120, 84, 10]
    assert column(net, (3, 32, 32), "activation_size") == sizes
    text = str(summary(net, (3, 32, 32)))
    assert "3,072" in text and "48,120" in text and "62,006" in text


@pytest.mark.parametrize(
    ("name", "parameters", "cost"),
    [("lenet5", 61_706, 416_520), ("resnet20", 269_722, 40_551_040)],
)
def test_published_counts(name, parameters, cost):
    entry = models.entry(name)
    found = summary(models.create(name), (entry.channels, *entry.size))
    assert (found.parameters, found.multiply_adds) == (parameters, cost)


@pytest.mark.parametrize("name", models.names())
def test_every_registered_network_adds_up(name):
    entry = models.entry(name)
    shape = (entry.channels, *entry.size)
    with torch.device("meta"):
        net, picture = models.create(name), torch.empty(1, *shape)
    found = summary(net, shape)
    assert found.parameters == sum(p.numel() for p in net.parameters())
    assert sum(row.parameters for row in found.layers) == found.parameters
    assert sum(row.multiply_adds for row in found.layers) == found.multiply_adds
    assert found.multiply_adds == counted(net, picture)


def test_recorded_published_convolution():
    # notes §2: 5×5 on 28×28×192 → 32 costs 120,422,400; through a bottleneck of 16, 12,443,648
    direct = nn.Conv2d(192, 32, 5, padding=2)
    bottleneck = nn.Sequential(nn.Conv2d(192, 16, 1), nn.Conv2d(16, 32, 5, padding=2))
    assert summary(direct, (192, 28, 28)).multiply_adds == 120_422_400
    assert summary(bottleneck, (192, 28, 28)).multiply_adds == 12_443_648


# --- multiply-adds against the independent count ----------------------------------------------------


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.norm = nn.MultiheadAttention(8, 2), nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.attention(x, x, x)[0])


LAYERS = {
    "grouped": (nn.Conv2d(6, 8, 3, padding=1, groups=2), (2, 6, 9, 9)),
    "depthwise": (nn.Conv2d(6, 6, 3, stride=2, groups=6), (1, 6, 9, 9)),
    "dilated": (nn.Conv2d(3, 4, 3, dilation=2), (1, 3, 9, 9)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2), (1, 4, 5, 5)),
    "one-dimensional": (nn.Conv1d(3, 4, 5, stride=2), (1, 3, 20)),
    "three-dimensional": (nn.Conv3d(2, 3, 3), (1, 2, 5, 5, 5)),
    "dense": (nn.Linear(7, 5), (3, 7)),
    "dense along the last": (nn.Linear(7, 5), (2, 4, 7)),
    "attention": (Attention(), (5, 2, 8)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_multiply_adds_by_the_flop_counter(name):
    net, shape = LAYERS[name]
    assert summary(net, torch.zeros(shape)).multiply_adds == counted(net, torch.zeros(shape))


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (nn.LSTM(4, 5, 2, bidirectional=True), (7, 2, 4)),
        (nn.GRU(4, 5), (7, 2, 4)),
        (nn.LSTMCell(4, 5), (3, 4)),
        (nn.TransformerEncoderLayer(8, 2, 16), (7, 2, 8)),
    ],
)
def test_sequence_layers(net, shape):
    found = summary(net, torch.zeros(shape))
    assert found.parameters == sum(p.numel() for p in net.parameters())
    assert found.multiply_adds > 0 and not any(row.receptive_field for row in found.layers)


def test_lstm_by_hand():
    # each of 7·2 steps: layer 1 has 4 gates of 5 units over 4 + 5 inputs, both ways; layer 2 over 10 + 5
    found = summary(nn.LSTM(4, 5, 2, bidirectional=True), torch.zeros(7, 2, 4))
    assert found.multiply_adds == 7 * 2 * 2 * (4 * 5 * (4 + 5) + 4 * 5 * (10 + 5))


# --- shapes of networks -----------------------------------------------------------------------------


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.gamma = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma * self.b(F.relu(self.a(x), inplace=True))


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.five = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 5, padding=2)
        self.pool, self.after = nn.MaxPool2d(3, 1, 1), nn.Conv2d(7, 4, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(torch.cat([self.one(x), self.five(x), self.pool(x)], 1))


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.alias = self.conv
        self.tied = nn.Conv2d(4, 4, 3, padding=1)
        self.tied.weight = self.conv.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.tied(self.alias(self.conv(x)))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c, self.aux = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(3, 4)
        self.w = nn.Parameter(torch.randn(4, 4))
        self.list = nn.ModuleList([nn.Conv2d(4, 4, 1), nn.Dropout()])
        self.more = nn.ParameterList([nn.Parameter(torch.ones(2))])

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        both = self.c(left) * self.c(right)
        for layer in self.list:
            both = layer(both)
        return {"scores": both.mean((2, 3)) @ self.w + self.more[0].sum(), "maps": (both, left)}


def test_parameters_of_no_layer_have_a_row():
    found = rows(nn.Sequential(Residual()), (3, 8, 8))
    assert (found["0"]["kind"], found["0"]["parameters"]) == ("Residual", 3)
    assert found["0"]["receptive_field"] == 5
    assert list(found) == ["0", "0.a", "0.b"]


def test_the_largest_of_the_branches_counts():
    found = rows(Inception(), (3, 16, 16))
    fields = {name: row["receptive_field"] for name, row in found.items()}
    assert fields == {"one": 1, "five": 5, "pool": 3, "after": 7}
    assert found["after"]["stride"] == 2


def test_shared_layers_and_weights():
    net = Shared()
    found = summary(net, (4, 8, 8))
    assert [row.name for row in found.layers] == ["conv", "tied"]
    assert [row.parameters for row in found.layers] == [148, 4]
    assert [row.multiply_adds for row in found.layers] == [2 * 9216, 9216]
    assert [row.receptive_field for row in found.layers] == [3, 7]
    assert "conv (2×)" in found.notes[0]
    assert found.parameters == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    "given",
    [
        [(3, 8, 8), (3, 8, 8)],
        ((3, 8, 8), torch.zeros(1, 3, 8, 8)),
        {"right": (3, 8, 8), "left": (3, 8, 8)},
    ],
)
def test_several_inputs_and_outputs(given):
    net = Two()
    found = summary(net, given)
    assert found.multiply_adds == counted(net, *[torch.zeros(1, 3, 8, 8)] * 2)
    assert found.parameters == sum(p.numel() for p in net.parameters())
    unused = next(row for row in found.layers if row.name == "aux")
    assert (unused.output_shape, unused.multiply_adds, unused.parameters) == (None, 0, 16)
    assert "never used in this pass: aux" in found.notes
    assert (
        found.to_dict()["input"] is not None
        and "aux" in str(found)
        and "<table>" in found._repr_html_()
    )


class OneRecord(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(3, 4, 3)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.c(batch["image"])


def test_a_dictionary_can_be_the_one_argument():
    assert summary(OneRecord(), {"image": (3, 8, 8)}).layers[0].output_shape == [4, 6, 6]


def test_lazy_layers_stay_lazy():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(5))
    state = torch.get_rng_state()
    found = summary(net, (3, 8, 8))
    assert [(row.kind, row.parameters) for row in found.layers] == [
        ("Conv2d", 112), ("Flatten", 0), ("Linear", 725),
    ]  # fmt: skip
    assert isinstance(net[0], nn.LazyConv2d) and isinstance(net[2], nn.LazyLinear)
    assert torch.equal(state, torch.get_rng_state())


def test_nothing_of_the_network_changes():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(True), nn.Dropout(), nn.Flatten()
    )
    seen: list[object] = []
    net[0].register_forward_hook(lambda *a: seen.append(a))
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    seen.clear()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    gradient, state, hooks = (
        net[0].weight.grad.clone(),
        torch.get_rng_state(),
        len(net[0]._forward_hooks),
    )
    picture = torch.randn(2, 3, 8, 8)
    state, same = torch.get_rng_state(), picture.clone()
    summary(net, picture)
    assert net.training and all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.equal(net[0].weight.grad, gradient) and torch.equal(picture, same)
    assert torch.equal(state, torch.get_rng_state())
    assert not seen and len(net[0]._forward_hooks) == hooks and not net[0]._forward_pre_hooks
    assert torch.is_grad_enabled() and torch.empty(1).device.type == "cpu"


def test_what_looks_at_values_runs_on_the_cpu():
    class Data(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.c(x)
            return y[y > 0] if y.max() > 0 else y.nonzero()

    assert summary(Data(), (3, 8, 8)).multiply_adds == 3888


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_computed_weights():
    old = nn.utils.weight_norm(nn.Conv2d(3, 4, 3))
    old(torch.zeros(1, 3, 8, 8))  # leaves a weight that is no leaf, and cannot be copied
    new = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4))
    assert summary(old, (3, 8, 8)).multiply_adds == 3888
    found = summary(new, (3,))
    assert (found.layers[0].kind, found.multiply_adds, found.parameters) == ("Linear", 12, 16)


def test_a_batch_is_summed_and_shown():
    found = summary(nn.Sequential(OrderedDict(only=nn.Conv2d(3, 4, 3))), torch.zeros(5, 3, 8, 8))
    assert found.layers[0].output_shape == [5, 4, 6, 6] and found.multiply_adds == 5 * 3888


@pytest.mark.parametrize(
    ("net", "given", "words"),
    [
        (nn.Linear(3, 4), (3, 5), "cannot take the input"),
        (Two(), (3, 8, 8), "right"),
        (nn.Conv2d(3, 4, 3), (3, 0, 8), "below 1"),
        (nn.Conv2d(3, 4, 3), "3,8,8", "neither a shape"),
        (models.create("lenet5"), (1, 8, 8), "--size 32"),
    ],
)
def test_bad_inputs(net, given, words):
    with pytest.raises(UsageError, match=words):
        summary(net, given)


# --- receptive fields against gradients -------------------------------------------------------------


def seen_pixels(net: nn.Module, channels: int, size: int) -> int:
    """How many rows of the input one inner output value depends on, by its gradient; weights all one."""
    for p in net.parameters():
        nn.init.ones_(p)
    x = torch.ones(1, channels, size, size, dtype=torch.float64, requires_grad=True)
    y = net.double().eval()(x)
    best = 0
    middle = y.shape[-1] // 2
    for i in range(
        middle - 2, middle + 3
    ):  # where strides go up again, neighbours see differently much
        (gradient,) = torch.autograd.grad(y[0, 0, i, i], x, retain_graph=True)
        touched = gradient[0].abs().sum((0, 2)).nonzero()
        best = max(best, int(touched.max() - touched.min() + 1))
    return best


class Strided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 1, 3, 2, 1), nn.Conv2d(1, 1, 3, padding=2, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x) + x[:, :, ::2, ::2]) + F.avg_pool2d(x, 2)


FIELDS = [
    nn.Sequential(
        nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 5, stride=2), nn.AvgPool2d(3, 2), nn.Conv2d(1, 1, 3)
    ),
    nn.Sequential(Strided(), nn.Conv2d(1, 1, 3)),
    nn.Sequential(nn.Conv2d(1, 1, 2, 2), nn.Conv2d(1, 1, 3), nn.ConvTranspose2d(1, 1, 4, 2, 1)),
    nn.Sequential(nn.AvgPool2d(2), nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3)),
    nn.Sequential(nn.AvgPool2d(4), nn.Conv2d(1, 4, 3), nn.PixelShuffle(2)),
    nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 1, 3)),
]


@pytest.mark.parametrize("net", FIELDS)
def test_receptive_field_by_gradient(net):
    assert summary(net, (1, 64, 64)).layers[-1].receptive_field == seen_pixels(net, 1, 64)


def test_directions_can_differ():
    found = summary(nn.Conv2d(3, 4, (3, 5), stride=(1, 2)), (3, 16, 16))
    assert (found.layers[0].receptive_field, found.layers[0].stride) == ([3, 5], [1, 2])


def test_dense_layers_see_everything():
    pooled = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    assert column(pooled, (3, 10, 10), "receptive_field") == [3, 10, 10, 10]
    patches = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Flatten(2), nn.Linear(16, 2))
    assert column(patches, (3, 16, 16), "receptive_field") == [4, 4, 16]


def test_an_unknown_function_is_not_guessed():
    class Sampled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.roll(self.a(x), 3, -1))

    assert column(Sampled(), (3, 12, 12), "receptive_field") == [3, None]
