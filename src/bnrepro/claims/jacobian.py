"""Section 3.3's conjecture: singular values of the layer Jacobians, and what they would mean for the gradient.

The share near 1 has two readings in a network without BN (theory/jacobian.py): ``normalised``, between its activations
normalised in the looking, and ``raw``, its own Jacobian, which its gradients pass through.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from bnrepro.claims.claim import ADDED, Claim, Outcome
from bnrepro.claims.verdict import above, difference, estimate, within

NEAR_1 = 0.9  # share of singular values within a factor of 2 of 1 that counts as "close to 1"
FACTOR = 1.1  # a squared gradient norm that changes less than this per layer is kept


def deepest(table: pd.DataFrame) -> int:
    """Return the largest number of hidden layers."""
    return int(table["depth"].max())


def near_1(
    table: pd.DataFrame,
    network: str,
    *,
    trained: bool = False,
    reading: str = "normalised",
    nonlinearity: str = "sigmoid",
    depth: int = 3,
) -> pd.Series:
    """Return each seed's share of singular values near 1; the network is that of Fig. 1 unless said otherwise."""
    rows = table[(table["network"] == network) & (table["reading"] == reading) & (table["quantity"] == "near_1")]
    rows = rows[(rows["nonlinearity"] == nonlinearity) & (rows["depth"] == depth)]
    rows = rows[rows["step"] == (rows["step"].max() if trained else 0)]
    return rows.set_index("seed")["value"]


def singular_values(trained: bool) -> Callable[[pd.DataFrame], Outcome]:
    """jacobian: close to 1 with BN, and closer than without, both normalised."""

    def check(table: pd.DataFrame) -> Outcome:
        with_bn, without = (near_1(table, network, trained=trained) for network in ("mlp_bn", "mlp"))
        e = estimate(with_bn)
        closer = difference(estimate(with_bn - without), no_effect=0.0, paper=1.0)
        if closer in ("inconclusive", "not reproduced"):
            return Outcome(e, closer)
        return Outcome(e, "reproduced" if e.low > NEAR_1 else "direction only")

    return check


def closer_than_own(trained: bool) -> Callable[[pd.DataFrame], Outcome]:
    """jacobian: the share with BN minus that of the other network's own Jacobian, paired by seed."""

    def check(table: pd.DataFrame) -> Outcome:
        with_bn, without = (
            near_1(table, "mlp_bn", trained=trained),
            near_1(table, "mlp", trained=trained, reading="raw"),
        )
        e = estimate(with_bn - without)
        return Outcome(e, above(e, 0.0))

    return check


def closer_in_relu(depth_of: Callable[[pd.DataFrame], int]) -> Callable[[pd.DataFrame], Outcome]:
    """jacobian: the share with BN minus without, both normalised, at the start of a deeper network of ReLUs."""

    def check(table: pd.DataFrame) -> Outcome:
        depth = depth_of(table)
        with_bn, without = (near_1(table, network, nonlinearity="relu", depth=depth) for network in ("mlp_bn", "mlp"))
        e = estimate(with_bn - without)
        return Outcome(e, above(e, 0.0))

    return check


def gradient_factor(table: pd.DataFrame, network: str, nonlinearity: str) -> pd.Series:
    """Return each seed's factor by which the squared gradient norm grows per layer towards the input.

    At initialisation, in the deepest network, fitted by least squares on logarithms.
    """
    rows = table[(table["network"] == network) & (table["nonlinearity"] == nonlinearity) & (table["step"] == 0)]
    rows = rows[(rows["quantity"] == "gradient") & (rows["depth"] == rows["depth"].max())]
    rows = rows[rows["value"] > 0]  # a gradient below what float32 holds says nothing of the factor
    fits = {seed: np.polyfit(part["layer"], np.log(part["value"]), 1)[0] for seed, part in rows.groupby("seed")}
    return pd.Series({seed: float(np.exp(-k)) for seed, k in fits.items()})


def gradient_growth(table: pd.DataFrame) -> Outcome:
    """jacobian: what singular values of 1 would mean for the gradient."""
    e = estimate(gradient_factor(table, "mlp_bn", "relu"))
    return Outcome(e, within(e, 1 / FACTOR, FACTOR))


_SHARE = "share within [1/2, 2]"

CLAIMS: list[Claim] = [
    *(
        Claim(
            f"jacobian:{name}",
            "3.3",
            f"singular values of the layer Jacobians are close to 1 {words}: {_SHARE}, network of Fig. 1",
            1.0,
            f"above {NEAR_1} and above the share without BN",
            "theory_jacobian",
            singular_values(trained),
        )
        for name, words, trained in (("initial", "at initialisation", False), ("trained", "after training", True))
    ),
    *(
        Claim(
            f"jacobian:closer-{name}",
            "3.3",
            f"and closer than those of the network without BN, of its own Jacobian, {words}: {_SHARE} with BN minus "
            "without, network of Fig. 1",
            np.nan,
            f"above 0 {ADDED}",
            "theory_jacobian",
            closer_than_own(trained),
        )
        for name, words, trained in (("initial", "at initialisation", False), ("trained", "after training", True))
    ),
    *(
        Claim(
            f"jacobian:closer-relu-{name}",
            "3.3",
            f"closer with BN in deeper networks of ReLUs, {words}, at initialisation: {_SHARE} with BN minus without, "
            "the activations of both normalised",
            np.nan,
            f"above 0 {ADDED}",
            "theory_jacobian",
            closer_in_relu(depth_of),
        )
        for name, words, depth_of in (("10", "10 layers", lambda _: 10), ("deepest", "the deepest measured", deepest))
    ),
    Claim(
        "jacobian:gradient-growth",
        "3.3",
        "so gradients keep their size: factor of the squared gradient norm per layer, 50 ReLU layers at initialisation",
        1.0,
        f"within [{1 / FACTOR:.2f}, {FACTOR}]",
        "theory_jacobian",
        gradient_growth,
    ),
]
