"""Whitening within classes, against plain loops and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from boda.ops.whitening import Scatter, within_whitening


def examples(count: int = 60, numbers: int = 7, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.arange(count) % classes
    labels[labels == 2] = 3  # nobody is of class 2
    mixing = generator.normal(size=(numbers, numbers))
    x = 3 * generator.normal(size=(classes, numbers))[labels]
    return x + generator.normal(size=(count, numbers)) @ mixing + 5, labels


def fed(x: np.ndarray, labels: np.ndarray, classes: int = 4) -> Scatter:
    scatter = Scatter(classes, x.shape[1])
    for some in (slice(0, 11), slice(11, None)):
        scatter.add(torch.from_numpy(x[some]), torch.from_numpy(labels[some]))
    return scatter


def test_covariances_are_those_of_plain_loops() -> None:
    x, labels = examples()
    mean, total, within = fed(x, labels).covariances()
    expected = np.zeros((7, 7))
    for row, label in zip(x, labels, strict=True):
        off = row - x[labels == label].mean(0)
        expected += np.outer(off, off) / len(x)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(total, np.cov(x.T, bias=True), rtol=1e-9)
    np.testing.assert_allclose(within, expected, rtol=1e-9, atol=1e-9)


def test_distances_are_mahalanobis() -> None:
    x, labels = examples()
    _, total, within = fed(x, labels).covariances()
    linear, there = within_whitening(total, within, 9, ridge=0)
    assert there == 7 and not linear[:, 7:].any()
    found = cdist(x @ linear.numpy(), x @ linear.numpy())
    expected = cdist(x, x, "mahalanobis", VI=np.linalg.inv(within.numpy()))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_principal_components_come_first_and_the_ridge_is_of_the_mean(ridge: float) -> None:
    x, labels = examples()
    _, total, within = fed(x, labels).covariances()
    linear, there = within_whitening(total, within, 3, ridge)
    assert there == 3 and linear.shape == (7, 3)
    largest = eigh(total.numpy(), subset_by_index=[4, 6])[1]
    inside = largest.T @ within.numpy() @ largest
    inside += ridge * np.trace(inside) / 3 * np.eye(3)
    found = cdist(x @ linear.numpy(), x @ linear.numpy())
    expected = cdist(x @ largest, x @ largest, "mahalanobis", VI=np.linalg.inv(inside))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_few_examples_have_few_components() -> None:
    x, labels = examples(count=5)
    _, total, within = fed(x, labels).covariances()
    linear, there = within_whitening(total, within, 7)
    assert there == 4 and linear[:, :4].any(0).all() and not linear[:, 4:].any()
    same = torch.ones(7, 7, dtype=torch.float64) * 0
    linear, there = within_whitening(same, same, 2)  # all pictures alike
    assert there == 1 and linear.isfinite().all()
