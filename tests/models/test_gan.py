"""The dense and the convolutional GAN against their papers' counts, layers and first weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from boda.errors import UsageError
from boda.models.dcgan import NORMS, dcgan
from boda.models.gan import gan
from boda.models.upsampling import coverage
from boda.ops.adversarial_losses import AdversarialLoss, gradient_penalty

# As commonly built: kernels of 4×4, no biases, 64 channels at half the side, noise of 100 numbers.
GENERATOR_64, DISCRIMINATOR_64 = 3_576_704, 2_765_568
BUILDS = [
    lambda **more: dcgan(1, 28, 4, noise=6, **more),
    lambda **more: gan(1, 12, 20, noise=6, **more),
]
with_each = pytest.mark.parametrize("build", BUILDS, ids=["dcgan", "gan"])


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_counts_of_dcgan():
    with torch.device("meta"):
        net = dcgan()
    assert (count(net.generator), count(net.discriminator)) == (GENERATOR_64, DISCRIMINATOR_64)


def test_the_papers_figure():
    """From 100 numbers 1024×4×4, 512×8×8, 256×16×16, 128×32×32 and 3×64×64, and back."""
    with torch.device("meta"):
        net = dcgan(width=128)
        shapes = [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32)]
        x, seen = net.draw(2).to("meta"), []
        for layer in net.generator.layers:
            x = layer(x)
            if isinstance(layer, nn.BatchNorm2d):
                seen.append(tuple(x.shape[1:]))
        assert seen == shapes and x.shape == (2, 3, 64, 64)
        back = []
        for layer in net.discriminator.features:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                back.append(tuple(x.shape[1:]))
        assert back == shapes[::-1] and x.shape == (2, 1024 * 16)


def test_counts_of_the_first_gan():
    net = gan()
    sizes = [(100, 1200), (1200, 1200), (1200, 784)]
    assert count(net.generator) == sum(a * b + b for a, b in sizes) == 2_503_984
    assert count(net.discriminator) == sum(
        a * b + b for a, b in [(784, 1200), (240, 1200), (240, 1)]
    )


@pytest.mark.parametrize(("size", "side"), [(8, 4), (28, 7), (32, 4), (48, 6), (64, 4), (80, 5)])
def test_sizes(size, side):
    net = dcgan(1, size, 2, noise=3)
    made = net.generate(net.draw(2))
    assert made.shape == (2, 1, size, size) and made.abs().max() <= 1
    assert net.discriminator(made).shape == (2,)
    doublings = (size // side).bit_length() - 1
    deeper = side > 5  # one more halving
    maps = 2 ** (doublings + deeper)
    assert net.discriminator.head.in_features == maps * (side // (1 + deeper)) ** 2


def test_128_has_one_doubling_more_than_64():
    with torch.device("meta"):
        small, large = dcgan(1, 64, 8), dcgan(1, 128, 8)
    added = 16 * 64 * 128 + 2 * 128 + (128 - 64) * 16 * 100
    assert count(large.generator) - count(small.generator) == added


def test_a_generator_is_transposed_convolutions_from_one_pixel():
    """The projection is a transposed convolution of a 1×1 map, as others write the first layer."""
    torch.manual_seed(0)
    net = dcgan(2, 16, 3, noise=5).eval()
    layers = net.generator.layers
    noise = net.draw(4)
    first = layers[0].weight.T.unflatten(1, (6, 4, 4))
    x = F.conv_transpose2d(noise[:, :, None, None], first)
    for place in (2, 5):
        norm, up = layers[place], layers[place + 2]
        x = F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias))
        x = F.conv_transpose2d(x, up.weight, stride=2, padding=1)
    torch.testing.assert_close(net.generate(noise), torch.tanh(x))


@pytest.mark.parametrize(("width", "std"), [(128, 0.02), (64, 0.02), (16, 0.04)])
def test_first_weights_of_dcgan(width, std):
    """The paper's 0.02; what goes through a narrow layer keeps the size that it has with 64 channels."""
    torch.manual_seed(0)
    for module in dcgan(3, 16, width, classes=3).modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            assert module.bias is None
            assert module.weight.std().item() == pytest.approx(std, rel=0.1)
            assert abs(module.weight.mean().item()) < std / module.weight.numel() ** 0.5 * 4


def test_first_weights_of_the_first_gan():
    torch.manual_seed(0)
    net = gan(width=200)
    for part, reach in ((net.generator, 0.05), (net.discriminator, 0.005)):
        for module in part.modules():
            if isinstance(module, nn.Linear):
                assert 0.9 * reach < module.weight.abs().max() <= reach and not module.bias.any()


def test_no_checkerboard_but_at_the_edge():
    """4×4 with stride 2 reach every pixel within by two values, 5×5 by two and three in turn."""
    up = dcgan(1, 28, 2).generator.layers[-2]
    assert (up.kernel_size, up.stride, up.padding) == ((4, 4), (2, 2), (1, 1))
    assert coverage(4, 2, 14)[2:-2].unique().tolist() == [2]
    assert coverage(5, 2, 14)[3:-3].unique().tolist() == [2, 3]


@with_each
def test_classes_change_what_is_made_and_what_is_believed(build):
    torch.manual_seed(0)
    net = build(classes=3).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    noise = net.draw(1).expand(3, -1)
    made = net.generate(noise, torch.arange(3))
    assert made.shape[0] == 3 and made[0].sub(made[1]).abs().max() > 1e-4
    judge = net.discriminator
    pictures = torch.randn(3, *made.shape[1:])
    features = judge.features(pictures)
    for labels in (torch.tensor([0, 1, 2]), torch.tensor([2, 2, 0])):
        expected = [
            (judge.head.weight[0] + judge.kinds.weight[k]) @ x
            + (0 if judge.head.bias is None else judge.head.bias[0])
            for k, x in zip(labels, features, strict=True)
        ]
        torch.testing.assert_close(judge(pictures, labels), torch.stack(expected))


def test_maxout_is_the_largest_of_its_pieces():
    torch.manual_seed(0)
    layer = gan(1, 4, 20, noise=3).discriminator.features[2]
    x = torch.randn(3, 16)
    rows = [[(layer.weight[i] @ one + layer.bias[i]).item() for i in range(20)] for one in x]
    expected = [[max(row[5 * u : 5 * u + 5]) for u in range(4)] for row in rows]
    torch.testing.assert_close(layer(x), torch.tensor(expected))


@pytest.mark.parametrize("norm", NORMS)
def test_norms(norm):
    """Only batch norms let pictures of a batch change each other's logits."""
    torch.manual_seed(0)
    judge = dcgan(1, 16, 4, norm=norm).discriminator
    x = torch.randn(4, 1, 16, 16)
    judge(x)
    for module in judge.modules():  # power iteration goes on in training, whatever the pictures
        if hasattr(module, "parametrizations"):
            module.eval()
    alone = torch.cat([judge(one) for one in x.split(1)])
    assert judge.mixes == (norm == "batch") == (not torch.allclose(judge(x), alone, atol=1e-5))
    kinds = {type(m) for m in judge.modules()}
    assert (nn.GroupNorm in kinds) == (norm == "layer")
    assert (judge.head.bias is None) == (norm == "batch")


def test_spectral_normalization_keeps_every_layer_from_stretching():
    """The largest singular value of each weight as a matrix is 1, by NumPy's decomposition."""
    torch.manual_seed(0)
    judge = dcgan(1, 16, 4, classes=3, norm="spectral").discriminator
    labels = torch.arange(3)
    for _ in range(60):
        judge(torch.randn(3, 1, 16, 16), labels)
    judge.eval()
    seen = 0
    for module in judge.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            values = torch.linalg.svdvals(module.weight.detach().flatten(1))
            assert values[0].item() == pytest.approx(1, abs=1e-3)
            seen += 1
    assert seen == 4


@with_each
def test_both_can_learn(build):
    torch.manual_seed(0)
    net, loss = build(classes=2), AdversarialLoss()
    channels, side = net.discriminator.shape
    real, labels = torch.rand(4, channels, side, side), torch.tensor([0, 1, 0, 1])
    made = net.generate(net.draw(4), labels)
    loss.generator(net.discriminator(made, labels)).backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    net.zero_grad()
    logits = net.discriminator(real, labels), net.discriminator(made.detach(), labels)
    loss.discriminator(*logits).backward()
    assert all(p.grad.any() for p in net.discriminator.parameters())
    assert all(p.grad is None for p in net.generator.parameters())


def test_a_critic_with_a_gradient_penalty_can_learn():
    torch.manual_seed(0)
    judge = dcgan(1, 16, 4, norm="layer").discriminator
    real, made = torch.randn(2, 3, 1, 16, 16)
    gradient_penalty(judge, real, made, torch.rand(3)).backward()
    for name, parameter in judge.named_parameters():
        # A constant has no slope by the picture; biases before a norm shift what it is taken of.
        assert parameter.grad is not None or name == "head.bias"


@with_each
def test_noise_is_drawn_again_from_its_seed(build):
    net = build()
    one, other = (net.draw(1000, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.equal(other) and one.shape == (1000, 6)
    assert -1 <= one.min() < -0.99 and 0.99 < one.max() <= 1
    assert one.std().item() == pytest.approx(3**-0.5, rel=0.05)  # of the uniform distribution


@with_each
def test_refusals(build):
    plain, kinds = build(), build(classes=3)
    labels = torch.zeros(2, dtype=torch.long)
    with pytest.raises(UsageError, match="knows no classes"):
        plain.generate(plain.draw(2), labels)
    with pytest.raises(UsageError, match="Give a label, 0 to 2"):
        kinds.generate(kinds.draw(2))
    with pytest.raises(UsageError, match=r"Give \(N, 6\)"):
        plain.generate(torch.zeros(2, 7))
    channels, side = plain.discriminator.shape
    picture = torch.zeros(2, channels, side, side)
    with pytest.raises(UsageError, match="knows no classes"):
        plain.discriminator(picture, labels)
    with pytest.raises(UsageError, match="Give a label"):
        kinds.discriminator(picture)
    with pytest.raises(UsageError, match=f"--size {side}"):
        plain.discriminator(picture[..., 1:])


@pytest.mark.parametrize(("size", "near"), [(30, "28 or 32"), (4, "8 or 10"), (100, "96 or 112")])
def test_sizes_that_do_not_halve_down_are_refused_with_the_nearest(size, near):
    with pytest.raises(UsageError, match=f"--size {near}"):
        dcgan(size=size)


def test_numbers_that_leave_no_layer():
    for wrong in ({"width": 0}, {"noise": 0}, {"channels": 0}):
        with pytest.raises(UsageError, match="or more"):
            dcgan(**wrong)
        with pytest.raises(UsageError, match="or more"):
            gan(**wrong)
    with pytest.raises(UsageError, match="Did you mean spectral"):
        dcgan(norm="spektral")
