"""The notes' network, and classifiers as one convolution against a loop over their windows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from boda import models
from boda.errors import UsageError
from boda.look import summary
from boda.models.convolutional import Convolutional, convolutionalize


def one_by_one(net: nn.Module, x: Tensor, window: tuple[int, int], stride: int) -> Tensor:
    """The oracle: cut out every window and show it to the network."""
    h, w = window
    lines = []
    for top in range(0, x.shape[2] - h + 1, stride):
        line = []
        for left in range(0, x.shape[3] - w + 1, stride):
            line.append(net(x[:, :, top : top + h, left : left + w]))
        lines.append(torch.stack(line, 2))
    return torch.stack(lines, 2)


def assert_slides(net: nn.Module, size: int | tuple[int, int], stride: int, beyond: int) -> None:
    """The convolutional form is the loop, on a batch of two pictures that no stride divides."""
    window = (size, size) if isinstance(size, int) else size
    net.eval()
    slid = convolutionalize(net, size)
    x = torch.randn(2, slid.channels, window[0] + beyond, window[1] + beyond // 2)
    with torch.no_grad():
        expected = one_by_one(net, x, window, stride)
        found = slid(x)
    assert (slid.window, slid.stride, slid.exact) == (window, (stride, stride), True)
    assert found.shape == expected.shape
    assert slid.windows((x.shape[2], x.shape[3])) == expected.shape[2:]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


# --- the notes' network -------------------------------------------------------------------------------


def test_notes_layers_from_14_by_14_to_four_classes() -> None:
    net = models.create("windows-course")
    shapes = []
    for layer in (net.conv, net.pool, net.fc1, net.fc2, net.output):
        layer.register_forward_hook(lambda _layer, _x, out: shapes.append(tuple(out.shape[1:])))
    net(torch.randn(1, 3, 14, 14))
    assert shapes == [(16, 10, 10), (16, 5, 5), (400,), (400,), (4,)]
    numbers = (75 + 1) * 16 + (400 + 1) * 400 + (400 + 1) * 400 + (400 + 1) * 4
    assert sum(p.numel() for p in net.parameters()) == numbers == 323_620


@pytest.mark.parametrize(("side", "places"), [(14, 1), (16, 2), (28, 8)])
def test_notes_14_gives_one_window_16_gives_four_28_gives_64(side: int, places: int) -> None:
    slid = convolutionalize(models.create("windows-course"), 14)
    assert slid(torch.randn(1, 3, side, side)).shape == (1, 4, places, places)


def test_notes_one_pass_gives_what_the_windows_give() -> None:
    assert_slides(models.create("windows-course"), 14, stride=2, beyond=14)


def test_notes_a_window_is_what_one_output_sees() -> None:
    found = summary(convolutionalize(models.create("windows-course"), 14), (3, 28, 28)).layers[0]
    assert (found.receptive_field, found.stride, found.output_shape) == (14, 2, [4, 8, 8])
    # Shared: a convolution over 24×24 places. Not shared: three dense layers for each of 64 windows.
    dense = 400 * 400 + 400 * 400 + 400 * 4
    assert found.multiply_adds == 24 * 24 * 75 * 16 + 64 * dense


def test_notes_a_dense_layer_is_400_filters_of_5_by_5_by_16() -> None:
    net = models.create("windows-course")
    x = torch.randn(1, 16, 5, 5)
    filters = net.fc1.weight.view(400, 16, 5, 5)
    by_filters = torch.stack([(x[0] * f).sum() for f in filters]) + net.fc1.bias
    torch.testing.assert_close(net.fc1(x.flatten(1))[0], by_filters, atol=1e-5, rtol=1e-5)


# --- other networks -----------------------------------------------------------------------------------


class AlexNetLike(nn.Module):
    """Strides, groups, response norms and overlapping pools, dropout before the dense layers; no padding."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=2),
            nn.ReLU(inplace=True),
            nn.LocalResponseNorm(5),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(8, 12, 3, groups=2, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(12 * 6 * 4, 20),
            nn.BatchNorm1d(20),
            nn.ReLU(),
            nn.Linear(20, 5, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def test_like_alexnet_in_windows_that_are_not_square() -> None:
    net = AlexNetLike()
    for norm in (net.features[5], net.classifier[3]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    assert_slides(net, (39, 31), stride=4, beyond=22)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("lenet5", 32),
        ("lenet5", 34),  # with two lines that no layer looks at
        ("lenet5", 48),  # the mean of 5×5
        ("lenet5-course", 32),
        ("lenet5-course", 44),  # 8×8 maps, averaged to 5×5 in cells that overlap
    ],
)
def test_lenets(name: str, size: int) -> None:
    assert_slides(models.create(name), size, stride=4, beyond=19)


def test_a_perceptron_moves_by_single_pixels() -> None:
    net = models.create("mlp").eval()
    slid = convolutionalize(net, 32, channels=1)
    x = torch.randn(1, 1, 35, 34)
    assert slid.stride == (1, 1)
    torch.testing.assert_close(slid(x), one_by_one(net, x, (32, 32), 1), atol=1e-5, rtol=1e-5)


class Head(nn.Module):
    """One convolution, and an end written in one of the ways people write it."""

    def __init__(self, end: str) -> None:
        super().__init__()
        self.end = end
        self.conv = nn.Conv2d(1, 6, 3, stride=2)
        self.fc = nn.Linear(6 if "mean" in end or "max" in end or "pool" in end else 6 * 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.conv(x))
        match self.end:
            case "mean":
                x = x.mean((-2, -1))
            case "mean, flatten":
                x = torch.flatten(x.mean([2, 3], keepdim=True), 1)
            case "pool, squeeze":
                x = nn.functional.adaptive_avg_pool2d(x, (1, 1)).squeeze((2, 3))
            case "pool, index":
                x = nn.functional.adaptive_avg_pool2d(x, 1)[:, :, 0, 0]
            case "amax":
                x = x.amax((2, 3))
            case "adaptive max":
                x = nn.functional.adaptive_max_pool2d(x, 1).view(x.shape[0], -1)
            case "view":
                x = x.view(-1, 6 * 9)
            case "reshape":
                x = x.reshape(len(x), -1)
        return self.fc(x)


ENDS = [
    "mean",
    "mean, flatten",
    "pool, squeeze",
    "pool, index",
    "amax",
    "adaptive max",
    "view",
    "reshape",
]


@pytest.mark.parametrize("end", ENDS)
def test_however_the_maps_end(end: str) -> None:
    assert_slides(Head(end), 7, stride=2, beyond=9)


def test_the_weights_are_the_networks_own() -> None:
    net = models.create("windows-course")
    slid = convolutionalize(net, 14)
    before = slid(torch.ones(1, 3, 14, 14)).detach()
    with torch.no_grad():
        net.output.bias += 1
    after = slid(torch.ones(1, 3, 14, 14))
    torch.testing.assert_close(after, before + 1)
    after.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_the_network_stays_as_it_was() -> None:
    net = AlexNetLike()
    net.features[5].eval()
    modes = [m.training for m in net.modules()]
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    number = torch.random.get_rng_state()
    convolutionalize(net, (39, 31))
    assert [m.training for m in net.modules()] == modes and torch.is_grad_enabled()
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), number)


# --- networks that pad --------------------------------------------------------------------------------


def padding_network(name: str) -> tuple[nn.Module, int, int]:
    """A network, its window and the product of its strides."""
    if name == "vgg11":
        return models.create(name, width=1 / 16, classes=5), 64, 32
    return models.create(name, classes=5), 32, 4


@pytest.mark.parametrize("name", ["resnet20", "plain20", "nin", "vgg11"])
def test_padding_makes_a_difference_at_the_borders_which_is_told(name: str) -> None:
    net, side, stride = padding_network(name)
    slid = convolutionalize(net.eval(), side)
    assert slid.stride == (stride, stride) and not slid.exact
    noise = torch.randn(
        1, 3, side + stride, side + stride, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        alone = one_by_one(net, noise, (side, side), stride)
        empty = net(torch.zeros(1, 3, side, side))[:, :, None, None]
        apart = (slid(noise) - alone).abs().max() / (alone - empty).abs().max()
        # A picture of one window has the same border as the window: no difference there.
        window = noise[..., :side, :side]
        torch.testing.assert_close(slid(window)[..., 0, 0], net(window), atol=1e-5, rtol=1e-4)
    assert apart > 0.01 and slid.difference == pytest.approx(float(apart), rel=1e-3)


def test_a_network_that_says_the_same_of_everything_proves_nothing() -> None:
    net, side, _ = padding_network("resnet20")
    nn.init.zeros_(net.fc.weight)
    slid = convolutionalize(net, side)
    assert slid.difference != slid.difference and not slid.exact


def test_without_the_padding_it_vanishes() -> None:
    net, side, stride = padding_network("resnet20")
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            # Only the middle of each kernel: what lies beside a pixel no longer matters.
            kernel = torch.zeros_like(module.weight)
            kernel[:, :, 1, 1] = module.weight.detach()[:, :, 1, 1]
            module.weight.data = kernel
    assert_slides(net, side, stride, beyond=9)


# --- errors -------------------------------------------------------------------------------------------


class Odd(nn.Module):
    """A network that ends in a way that has no form, or no size."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.conv, self.fc = what, nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        match self.what:
            case "fixed":
                return nn.functional.interpolate(x, (1, 1)).flatten(1)
            case "softmax":
                return self.fc(x.flatten(1)).softmax(-1)
            case "shuffled":
                return self.fc(x.view(len(x), 2, 2, 6, 6).transpose(1, 2).flatten(1))
            case "two":
                return x.mean((2, 3)), x.mean((2, 3))
            case _:
                return self.fc(x.permute(0, 2, 3, 1).flatten(1))


@pytest.mark.parametrize("what", ["fixed", "softmax", "shuffled", "two", "channels last"])
def test_what_has_no_form_is_refused(what: str) -> None:
    net = Odd(what)
    with pytest.raises(UsageError, match=r"Odd cannot be made convolutional: .*window by window"):
        convolutionalize(net, 8)


def test_squeeze_and_excitation_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match="squeeze and excitation"):
        convolutionalize(models.create("efficientnet-b0", classes=3), 64)


def test_codes_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"LeNet5Of1998 cannot be made convolutional: .*__getitem__"
    ):
        convolutionalize(models.create("lenet5-1998"), 32)


def test_a_window_that_is_too_small_is_refused_by_the_network() -> None:
    with pytest.raises(UsageError, match="--size 14"):
        convolutionalize(models.create("windows-course"), 13)
    with pytest.raises(UsageError, match="Give 1 or more"):
        convolutionalize(models.create("windows-course"), (14, 0))


@pytest.mark.parametrize("shape", [(1, 3, 13, 20), (1, 3, 20, 13), (1, 1, 14, 14), (3, 14, 14)])
def test_a_picture_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    slid = convolutionalize(models.create("windows-course"), 14)
    with pytest.raises(UsageError, match="with H of 14 or more and W of 14 or more"):
        slid(torch.zeros(shape))


def test_channels_that_no_convolution_tells_are_asked_for() -> None:
    with pytest.raises(UsageError, match="channels=1"):
        convolutionalize(models.create("mlp"), 32)


def test_it_is_a_module_like_others() -> None:
    slid = convolutionalize(models.create("lenet5"), 32)
    assert isinstance(slid, Convolutional)
    x = torch.randn(1, 1, 40, 36)
    doubled = slid.double()(x.double())
    assert doubled.dtype == torch.float64
    torch.testing.assert_close(slid.float()(x).double(), doubled, atol=1e-5, rtol=1e-4)
