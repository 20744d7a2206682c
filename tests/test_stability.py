"""The drift measure on bands whose drift is known in closed form."""

import numpy as np
import pytest

from bnrepro import paper
from bnrepro.claims.fig1 import printed_drift
from bnrepro.stability import drift, on_paper_grid

GRID = np.unique(paper.figure_1bc().query("network == 'mlp'")["fraction_of_training"])


def test_a_band_that_stays_has_no_drift() -> None:
    still = np.ones((len(GRID), 2))
    measured = drift(GRID, -still, 0 * still, still)
    np.testing.assert_allclose(measured.median, 0, atol=1e-12)
    np.testing.assert_allclose(measured.spread, 0, atol=1e-12)


def test_a_band_that_rises_and_opens() -> None:
    """m(t) = a t and s(t) = s0 + b t, so the ranges are a T and b T and the mean spread is s0 + b mean t."""
    a, s0, b = 3.0, 2.0, 0.5
    m, s = a * GRID, s0 + b * GRID
    extent, unit = GRID[-1] - GRID[0], s0 + b * GRID.mean()
    measured = drift(GRID, (m - s / 2)[:, None], m[:, None], (m + s / 2)[:, None])
    assert measured.median[0] == pytest.approx(a * extent / unit)
    assert measured.spread[0] == pytest.approx(b * extent / unit)


def test_the_unit_and_an_offset_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    p15, p50, p85 = np.sort(rng.normal(size=(3, len(GRID), 4)), axis=0)
    plain = drift(GRID, p15, p50, p85)
    scaled = drift(GRID, *(7 * p + 2 for p in (p15, p50, p85)))
    np.testing.assert_allclose(plain.median, scaled.median)
    np.testing.assert_allclose(plain.spread, scaled.spread)


def test_steps_denser_early_do_not_weigh_more() -> None:
    dense = 0.001 + 0.999 * np.linspace(0, 1, 4001) ** 2
    for fraction in (dense, np.linspace(0.001, 1, 4001)):
        values = np.sin(5 * fraction)[:, None]
        np.testing.assert_allclose(on_paper_grid(fraction, values)[:, 0], np.sin(5 * GRID), atol=1e-5)


def test_the_typical_unit_is_in_the_middle() -> None:
    t = GRID[:, None]
    slopes = np.array([5.0, 1.0, 3.0, 2.0, 4.0])
    measured = drift(GRID, t * slopes - 1, t * slopes, t * slopes + 1)
    assert measured.typical() == 2


def test_a_unit_that_diverged_is_not_typical() -> None:
    t = GRID[:, None] * np.array([1.0, np.nan, 2.0])
    measured = drift(GRID, t - 1, t, t + 1)
    assert np.isnan(measured.median[1])
    assert measured.typical() != 1


def test_the_papers_own_bands() -> None:
    """The numbers that the documentation names."""
    without, with_bn = printed_drift("mlp"), printed_drift("mlp_bn")
    assert without.median[0] == pytest.approx(0.44, abs=0.005)
    assert without.spread[0] == pytest.approx(1.20, abs=0.005)
    assert with_bn.median[0] == pytest.approx(0.07, abs=0.005)
    assert with_bn.spread[0] == pytest.approx(0.45, abs=0.005)
