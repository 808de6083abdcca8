"""Embedding networks: what they are made of, whose weights they take, and Koch's siamese network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import boda
from boda import models
from boda.errors import UsageError
from boda.models import weights
from boda.models.layers import cell_means
from boda.models.siamese import MAP, UNITS, scores
from boda.progress import Progress
from boda.trained import find_weights


@pytest.mark.parametrize(
    "backbone", ["resnet20", "squeezenet-1.1", "mobilenet-v2", "efficientnet-b0"]
)
def test_any_classifier_is_a_trunk(backbone: str) -> None:
    net = models.create(
        "embedding-conv4", channels=3, backbone=backbone, dimension=5, grid=2
    ).eval()
    assert net(torch.zeros(2, 3, 96, 80)).shape == (2, 5)
    assert net.embed.in_features == 4 * net.backbone.widths[0]


def test_the_trunk_is_the_classifiers_own() -> None:
    """With one cell the numbers are a dense layer on what the classifier's head is given."""
    torch.manual_seed(0)
    net = models.create("embedding-resnet20", dimension=7).eval()
    whole = models.create("resnet20").eval()
    missing, unexpected = whole.load_state_dict(net.backbone.net.state_dict(), strict=False)
    assert missing == ["fc.weight", "fc.bias"] and not unexpected
    whole.fc.load_state_dict({"weight": torch.eye(64)[:10], "bias": torch.zeros(10)})
    x = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        pooled = torch.cat([whole(x), net.backbone(x)[0].mean((2, 3))[:, 10:]], 1)
        torch.testing.assert_close(net(x), net.embed(pooled))


def test_a_classifiers_weights_fill_the_trunk(tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = models.create("resnet18", width=0.25)
    save_file(whole.state_dict(), tmp_path / "resnet18.safetensors")
    net = models.create("embedding-resnet18", width=0.25)
    file, how = tmp_path / "resnet18.safetensors", {"width": 0.25}
    found = find_weights("embedding-resnet18", file, Progress(quiet=True), how)
    assert found.of_backbone
    weights.fill(net, found)
    for name, tensor in net.backbone.net.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name]), name


@pytest.mark.parametrize("size", [(7, 6), (4, 4), (1, 3), (13, 8)])
def test_cells_are_those_of_adaptive_pooling(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(cell_means(x, 4), torch.nn.functional.adaptive_avg_pool2d(x, 4))


def test_a_summary_counts_every_parameter() -> None:
    for name in ("embedding-conv4", "siamese-koch"):
        entry = models.entry(name)
        found = boda.summary(models.create(name), (entry.channels, *entry.size))
        assert found.parameters == entry.parameters and found.multiply_adds > 10**7


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be a backbone"):
        models.create("embedding-conv4", backbone="mobilenet-v1")
    with pytest.raises(UsageError, match="dimension=0"):
        models.create("embedding-conv4", dimension=0)


def test_kochs_network_is_the_papers() -> None:
    """Figure 4: 64@10×10, 128@7×7, 128@4×4, 256@4×4, 4,096 sigmoids; here from its own numbers."""
    sizes = [105]
    for kernel, pooled in ((10, True), (7, True), (4, True), (4, False)):
        side = sizes[-1] - kernel + 1
        sizes.append(side // 2 if pooled else side)
    assert sizes == [105, 48, 21, 9, 6] and sizes[-1] == MAP
    rows = ((64, 1, 10), (128, 64, 7), (128, 128, 4), (256, 128, 4))
    count = sum(out * (into * kernel**2 + 1) for out, into, kernel in rows)
    count += (256 * 6 * 6 + 1) * UNITS + UNITS + 1
    assert models.entry("siamese-koch").parameters == count == 38_951_745
    with torch.device("meta"):
        net = models.create("siamese-koch")
        assert net.features(torch.zeros(1, 1, 105, 105)).shape == (1, 256, 6, 6)


def test_a_score_is_the_weighted_absolute_difference() -> None:
    """Of random sigmoids and weights of both signs, by the paper's sum."""
    generator = torch.Generator().manual_seed(0)
    h = torch.rand(2, 5, 40, generator=generator, dtype=torch.float64)
    alpha = torch.randn(40, generator=generator, dtype=torch.float64)
    bias = torch.tensor([0.7], dtype=torch.float64)
    found = scores(alpha * h[0], alpha * h[1], bias)
    for i in range(5):
        said = 0.7 + sum(
            float(alpha[j]) * abs(float(h[0, i, j]) - float(h[1, i, j])) for j in range(40)
        )
        assert found[i].item() == pytest.approx(said, abs=1e-12)
