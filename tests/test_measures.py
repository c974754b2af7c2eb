"""What is measured on a split, beside its literal definition."""

import math

import pytest
import torch

from skdcore import measures

K = 7


def outputs(n=400, scale=3.0):
    """Logits that are right more often than not, and over-confident, with labels."""
    chance = torch.Generator().manual_seed(1)
    y = torch.randint(K, (n,), generator=chance)
    z = torch.randn(n, K, generator=chance, dtype=torch.float64)
    z[torch.arange(n), y] += 1
    return scale * z, y


def nll(z, y, tau):
    """Mean of -log p_y at a temperature, written out."""
    total = 0.0
    for row, label in zip(z.tolist(), y.tolist(), strict=True):
        total -= math.log(math.exp(row[label] / tau) / sum(math.exp(v / tau) for v in row))
    return total / len(y)


def test_the_fitted_temperature_has_the_least_nll():
    z, y = outputs()
    tau = measures.fitted_temperature(z, y)
    assert 1.5 < tau < 6, "over-confident by construction"
    assert nll(z, y, tau) <= min(nll(z, y, tau * factor) for factor in (0.8, 0.99, 1.01, 1.25))
    assert measures.fitted_temperature(z / tau, y) == pytest.approx(1, rel=1e-4)
    assert measures.fitted_temperature(5 * z, y) == pytest.approx(5 * tau, rel=1e-4)


def test_each_half_is_scaled_with_the_temperature_of_the_other():
    z, y = outputs()
    even, odd = (measures.fitted_temperature(z[start::2], y[start::2]) for start in (0, 1))
    scaled = measures.temperature_scaled(z, y)
    assert scaled["temperature"] == pytest.approx((even + odd) / 2)
    expected = (nll(z[0::2], y[0::2], odd) + nll(z[1::2], y[1::2], even)) / 2
    assert scaled["nll_scaled"] == pytest.approx(expected, rel=1e-9)
    before = measures.scores(z, y)
    assert scaled["nll_scaled"] < before["nll"] and scaled["ece_scaled"] < before["ece"]


def test_temperature_scaling_ends_also_for_a_network_that_knows_nothing():
    y = torch.arange(60) % K
    for z in (torch.zeros(60, K), -outputs(60)[0].float(), 1e4 * outputs(60)[0].float()):
        assert all(math.isfinite(value) for value in measures.temperature_scaled(z, y).values())


def test_the_scores_of_images_are_those_of_the_split_one_by_one():
    z, y = outputs(50)
    found = measures.by_image(z, y)
    p = torch.tensor([[math.exp(v) / sum(math.exp(w) for w in row) for v in row] for row in z.tolist()])
    assert found["predicted"].tolist() == z.argmax(dim=1).tolist()
    assert found["p_true"] == pytest.approx(p[torch.arange(50), y].numpy(), rel=1e-3)
    entropy = [-sum(v * math.log(v) for v in row if v > 0) for row in p.tolist()]
    assert found["entropy"] == pytest.approx(entropy, rel=1e-3, abs=1e-6)


def test_the_scores_of_10000_images_of_100_classes_fit_into_45_kb(tmp_path):
    import numpy as np

    chance = torch.Generator().manual_seed(0)
    y = torch.randint(100, (10_000,), generator=chance)
    z = 2 * torch.randn(10_000, 100, generator=chance)
    z[torch.arange(10_000), y] += 4
    np.savez_compressed(tmp_path / "images.npz", **measures.by_image(z, y))
    assert (tmp_path / "images.npz").stat().st_size <= 45_000
