"""Oracles: SciPy's Gaussian filter, and the statistics of the noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from boda.errors import UsageError
from boda.ops.blur import gaussian_blur, gaussian_noise


def picture(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@given(st.floats(0.13, 4))
@settings(max_examples=40, deadline=None)
def test_the_blur_is_scipys(sigma) -> None:
    image = picture(2, 20, 33)
    expected = np.stack([ndimage.gaussian_filter(each, sigma, mode="mirror") for each in image])
    before = image.clone()
    assert np.allclose(gaussian_blur(image, sigma).numpy(), expected, atol=1e-12)
    assert image.equal(before)


def test_bytes_are_rounded_once_and_shapes_stay() -> None:
    image = (picture(4, 3, 20, 22) * 255).to(torch.uint8)
    out = gaussian_blur(image, 1.3)
    exact = gaussian_blur(image.double(), 1.3)
    assert out.dtype == torch.uint8 and (out - exact).abs().max() <= 0.5 + 1e-4
    assert gaussian_blur(image, 0.0).equal(image)
    assert gaussian_blur(image[0, 0], 1.3).equal(out[0, 0])


def test_noise_is_normal_and_follows_its_seed() -> None:
    image = torch.full((3, 64, 64), 100.0)
    noise = gaussian_noise(image, 5.0, seed=3) - image
    assert stats.kstest(noise.flatten().numpy() / 5, "norm").pvalue > 0.01
    assert gaussian_noise(image, 5.0, seed=3).equal(image + noise)
    assert not gaussian_noise(image, 5.0, seed=4).equal(image + noise)


@pytest.mark.parametrize(("sigma", "says"), [(-1.0, "0 or more"), (9.0, "smaller sigma")])
def test_refused(sigma, says) -> None:
    with pytest.raises(UsageError) as error:
        gaussian_blur(picture(3, 30, 30), sigma)
    assert says in str(error.value)
