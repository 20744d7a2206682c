"""Sec. 4.2.1 and 4.2.3: the seven changes, several crops and the ensemble; the small Inception of Zhang et al."""

from collections.abc import Callable

import pandas as pd

from bnrepro import paper
from bnrepro.claims.claim import Claim, Outcome
from bnrepro.claims.verdict import Estimate, above, difference, estimate

NO_WORSE = -0.005  # of accuracy: what may be lost where the paper says that something can be left out
CHANGES = {  # what is claimed of each, and above what its effect on the maximum must lie
    "lr": ("a higher learning rate helps", 0.0),
    "dropout": ("dropout can be removed", NO_WORSE),
    "l2": ("L2 regularisation reduced by a factor of 5 improves the accuracy", 0.0),
    "decay": ("the learning rate can decay 6 times faster", NO_WORSE),
    "lrn": ("local response normalisation is not needed", NO_WORSE),
    "shuffle": ("shuffling within shards improves the accuracy by about 1 %", 0.0),
    "photometric": ("photometric distortions can be reduced", NO_WORSE),
}
READINGS = {"added": "added alone to BN-Baseline", "taken": "against taking it alone from BN-x5"}
SINGLE, SEVERAL = 1, 18  # crops


def effect(table: pd.DataFrame, change: str, reading: str) -> pd.Series:
    """Return, per seed, what a change does to the maximum accuracy: positive where it helps."""
    maximum = table.pivot(index="seed", columns="network", values="maximum")
    if reading == "added":
        return (maximum[f"bn_baseline_with_{change}"] - maximum["bn_baseline"]).dropna()
    return (maximum["bn_x5"] - maximum[f"bn_x5_without_{change}"]).dropna()


def ablation(change: str, reading: str) -> Callable[[pd.DataFrame], Outcome]:
    """abl-*."""

    def check(table: pd.DataFrame) -> Outcome:
        e = estimate(effect(table, change, reading))
        verdict = difference(e, 0.0, paper.SHUFFLING) if change == "shuffle" else above(e, CHANGES[change][1])
        return Outcome(e, verdict)

    return check


def errors(table: pd.DataFrame, crops: int, whole: bool) -> pd.Series:
    """Return, per seed, the top-1 error of the ensemble, or the mean over its members."""
    rows = table[(table["crops"] == crops) & ((table["network"] == "ensemble") == whole)]
    return pd.Series(rows.groupby("seed")["top1"].mean())


def multicrop(table: pd.DataFrame) -> Outcome:
    """multicrop: by how much several crops lower a network's error."""
    e = estimate(errors(table, SINGLE, whole=False) - errors(table, SEVERAL, whole=False))
    return Outcome(e, difference(e, 0.0, paper.TOP1_ERROR["single"] - paper.TOP1_ERROR["multicrop"]))


def ensemble(table: pd.DataFrame) -> Outcome:
    """ensemble: by how much the mean of six networks' probabilities lowers the error."""
    e = estimate(errors(table, SEVERAL, whole=False) - errors(table, SEVERAL, whole=True))
    return Outcome(e, difference(e, 0.0, paper.TOP1_ERROR["multicrop"] - paper.TOP1_ERROR["ensemble"]))


def small_inception(table: pd.DataFrame) -> Outcome:
    """small-inception: by how much BN raises its accuracy."""
    accuracy = table.pivot(index="seed", columns="network", values="accuracy")
    e: Estimate = estimate((accuracy["small_inception_bn"] - accuracy["small_inception"]).dropna())
    return Outcome(e, difference(e, 0.0, _SMALL))


def _threshold(change: str) -> str:
    if change == "shuffle":
        return "difference above 0; size within half of the paper's"
    least = CHANGES[change][1]
    return f"above {least:g}" + (", so no worse" if least < 0 else "")


_SMALL = paper.SMALL_INCEPTION["small_inception_bn"] - paper.SMALL_INCEPTION["small_inception"]
CLAIMS: list[Claim] = [
    *(
        Claim(
            f"abl-{change}:{reading}",
            "4.2.1",
            f"{words}: {READINGS[reading]} (difference of the maxima)",
            paper.SHUFFLING if change == "shuffle" else float("nan"),
            _threshold(change),
            "ablations",
            ablation(change, reading),
        )
        for change, (words, _) in CHANGES.items()
        for reading in READINGS
    ),
    Claim(
        "multicrop",
        "4.2.3, Fig. 4",
        "several crops lower the top-1 error of a network (144 in the paper, 18 here; difference)",
        paper.TOP1_ERROR["single"] - paper.TOP1_ERROR["multicrop"],
        "difference above 0; size within half of the paper's",
        "ensemble",
        multicrop,
    ),
    Claim(
        "ensemble",
        "4.2.3, Fig. 4",
        "the mean of six networks' probabilities lowers the top-1 error further (difference, several crops each)",
        paper.TOP1_ERROR["multicrop"] - paper.TOP1_ERROR["ensemble"],
        "difference above 0; size within half of the paper's",
        "ensemble",
        ensemble,
    ),
    Claim(
        "small-inception",
        "Zhang et al. 2017",
        "beside the paper: BN raises the small Inception's accuracy on CIFAR-10 from 82.00 to 85.75 % (difference)",
        _SMALL,
        "difference above 0; size within half of theirs",
        "small_inception",
        small_inception,
    ),
]
