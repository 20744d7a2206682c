"""The appendix's architecture, counted from its printed table."""

import math
from collections.abc import Callable

import pandas as pd

from bnrepro import paper
from bnrepro.claims.claim import NOT_RUN, Claim, Outcome
from bnrepro.claims.verdict import Estimate

NEAR = 0.05  # of the paper's number, which is rounded: what counts as equal


def _value(table: pd.DataFrame, architecture: str, quantity: str) -> float:
    rows = table[(table["architecture"] == architecture) & (table["quantity"] == quantity)]
    return float(rows["value"].iloc[0])


def _compare(value: float, printed: float, near: float) -> Outcome:
    agrees = abs(value - printed) <= near
    return Outcome(Estimate(value, value, value, 1), "reproduced" if agrees else "not reproduced")


def count(architecture: str, quantity: str, printed: float, near: float) -> Callable[[pd.DataFrame], Outcome]:
    """Compare a count with the printed number: equal within ``near``."""
    return lambda table: _compare(_value(table, architecture, quantity), printed, near)


def growth(architecture: str, quantity: str) -> Callable[[pd.DataFrame], Outcome]:
    """Compare what an architecture has more than GoogLeNet with the printed growth: layers by difference."""

    def check(table: pd.DataFrame) -> Outcome:
        new, old = _value(table, architecture, quantity), _value(table, "googlenet", quantity)
        by_difference = quantity == "layers"
        return _compare(new - old if by_difference else new / old, paper.GROWTH[quantity], 0 if by_difference else NEAR)

    return check


def separable(quantity: str, less: bool) -> Callable[[pd.DataFrame], Outcome]:
    """Divide what Figure 5's network takes by what it takes with a first layer that is not separable."""

    def check(table: pd.DataFrame) -> Outcome:
        if "figure5_dense" not in set(table["architecture"]):
            return NOT_RUN
        ratio = _value(table, "figure5", quantity) / _value(table, "figure5_dense", quantity)
        holds = ratio < 1 if less else ratio > 1
        return Outcome(Estimate(ratio, ratio, ratio, 1), "reproduced" if holds else "not reproduced")

    return check


_READINGS = {"608": ("figure5", "as its branches add up"), "576": ("figure5_576", "as their depth is printed")}
_PARAMETERS = paper.INCEPTION_PARAMETERS
_GREW = {
    "figure5": ("", "Figure 5's network against GoogLeNet"),
    "googlenet_double": (":swap", "GoogLeNet with two 3x3 convolutions for each 5x5, all else as it was"),
}
_WORDS = {
    "layers": "9 layers more on the longest way",
    "parameters": "25 % more parameters (ratio)",
    "multiply_adds": "30 % more computation (ratio of the multiply-adds)",
}

CLAIMS: list[Claim] = [
    *(
        Claim(
            f"arch-params:{reading}",
            "4.2, appendix",
            f"Figure 5's network has 13.6 million parameters (4c and 4d {words}; with BN, 1,000 classes)",
            _PARAMETERS,
            f"within {NEAR:.0%} of the printed number",
            "theory_architecture",
            count(architecture, "parameters", _PARAMETERS, NEAR * _PARAMETERS),
        )
        for reading, (architecture, words) in _READINGS.items()
    ),
    *(
        Claim(
            f"arch-4c4d:{block}",
            "appendix",
            f"the branches of block {block} add up to the printed depth",
            576,
            "equal",
            "theory_architecture",
            count("figure5", f"depth_{block}", 576, 0),
        )
        for block in ("4c", "4d")
    ),
    *(
        Claim(
            f"arch-growth:{quantity.replace('_', '-')}{suffix}",
            "appendix",
            f"{what}: {_WORDS[quantity]}",
            printed,
            "equal" if quantity == "layers" else f"within {NEAR}",
            "theory_architecture",
            growth(architecture, quantity),
        )
        for architecture, (suffix, what) in _GREW.items()
        for quantity, printed in paper.GROWTH.items()
    ),
    *(
        Claim(
            f"arch-separable:{quantity.replace('_', '-')}",
            "appendix",
            f"the separable first layer {words} (whole network, one image, with ÷ without)",
            math.nan,
            "below 1" if less else "above 1",
            "theory_architecture",
            separable(quantity, less),
        )
        for quantity, words, less in (
            ("multiply_adds", "reduces the computational cost", True),
            ("kept", "increases the memory consumption at training time", False),
        )
    ),
]
