"""Sec. 4.2.1 and 4.2.3: the seven changes, several crops and the ensemble; the small Inception of Zhang et al."""

from functools import partial

import pandas as pd

from bnrepro import paper
from bnrepro.claims.claim import Check, Claim, Outcome, needs
from bnrepro.claims.fig2 import SMOOTHING, STEPS, fewer_steps, or_never
from bnrepro.claims.verdict import Estimate, above, difference, estimate, geometric

NO_WORSE = -0.005  # of accuracy: what may be lost where the paper says that something can be left out
CHANGES = {  # what is claimed of each, and above what its effect on the maximum must lie
    "lr": ("a higher learning rate helps", 0.0),
    "dropout": ("dropout can be removed", NO_WORSE),
    "l2": ("L2 regularisation reduced by a factor of 5 improves the accuracy", 0.0),
    "decay": ("the learning rate can decay 6 times faster", NO_WORSE),
    "lrn": ("local response normalisation, which at its public settings hardly acts here, is not needed", NO_WORSE),
    "shuffle": ("shuffling within shards improves the accuracy by about 1 %", 0.0),
    "photometric": ("photometric distortions can be reduced", NO_WORSE),
}
FASTER = {"dropout": "removing dropout speeds up training", "lr": "a higher learning rate speeds up training"}
READINGS = {"added": "added alone to BN-Baseline", "taken": "against taking it alone from BN-x5"}
SINGLE, SEVERAL = 1, 18  # crops
PRINTED = {"top1": paper.TOP1_ERROR, "top5": paper.TOP5_ERROR}


def pair(change: str, reading: str) -> tuple[str, str]:
    """Name the networks with a change and without it that a reading compares."""
    if reading == "added":
        return f"bn_baseline_with_{change}", "bn_baseline"
    return "bn_x5", f"bn_x5_without_{change}"


def effect(table: pd.DataFrame, change: str, reading: str, of: str = "maximum") -> pd.Series:
    """Return, per seed, what a change does to the maximum accuracy, or another column; of no seed where not run."""
    changed, unchanged = pair(change, reading)
    values = table.pivot(index="seed", columns="network", values=of).reindex(columns=[changed, unchanged])
    return (values[changed] - values[unchanged]).dropna()


def ablation(change: str, reading: str) -> Check:
    """abl-*."""

    @needs(*pair(change, reading))
    def check(table: pd.DataFrame) -> Outcome:
        e = estimate(effect(table, change, reading))
        verdict = difference(e, 0.0, paper.SHUFFLING) if change == "shuffle" else above(e, CHANGES[change][1])
        return Outcome(e, verdict)

    return check


def overfitting(reading: str) -> Check:
    """abl-dropout:gap: how much closer to its training accuracy the test accuracy ends without dropout."""

    @needs(*pair("dropout", reading))
    def check(table: pd.DataFrame) -> Outcome:
        e = estimate(-effect(table, "dropout", reading, of="gap"))
        return Outcome(e, above(e, NO_WORSE))

    return check


def speedup(change: str, reading: str) -> Check:
    """abl-*:steps: how many times fewer steps a change leaves to the maximum of the network without it."""
    changed, unchanged = pair(change, reading)

    @needs(changed, unchanged)
    def check(accuracy: pd.DataFrame) -> Outcome:
        e = geometric(fewer_steps(accuracy, changed, unchanged))
        outcome = Outcome(e, above(e, 1.0))
        return or_never(outcome, accuracy, changed, "the ratio is at most this", unchanged)

    return check


def errors(table: pd.DataFrame, crops: int, whole: bool, top: str) -> pd.Series:
    """Return, per seed, the error (top1 or top5) of the ensemble, or the mean over its members."""
    rows = table[(table["crops"] == crops) & ((table["network"] == "ensemble") == whole)]
    return pd.Series(rows.groupby("seed")[top].mean())


def multicrop(top: str, table: pd.DataFrame) -> Outcome:
    """multicrop: by how much several crops lower a network's error."""
    e = estimate(errors(table, SINGLE, False, top) - errors(table, SEVERAL, False, top))
    return Outcome(e, difference(e, 0.0, PRINTED[top]["single"] - PRINTED[top]["multicrop"]), _note(table))


def ensemble(top: str, table: pd.DataFrame) -> Outcome:
    """ensemble: by how much the mean of six networks' probabilities lowers the error."""
    e = estimate(errors(table, SEVERAL, False, top) - errors(table, SEVERAL, True, top))
    verdict = difference(e, 0.0, PRINTED[top]["multicrop"] - PRINTED[top]["ensemble"])
    return Outcome(e, verdict, _note(table))


def _note(table: pd.DataFrame) -> str:
    """Say how many members' probabilities are finite where not all are."""
    members = table.loc[(table["crops"] == SEVERAL) & (table["network"] != "ensemble"), "finite"]
    lost = members.sum() < len(members)
    return f"; {members.sum():.0f} of {len(members)} members are finite, others are right about nothing" if lost else ""


@needs("small_inception", "small_inception_bn")
def small_inception(table: pd.DataFrame) -> Outcome:
    """small-inception: by how much BN raises its accuracy."""
    accuracy = table.pivot(index="seed", columns="network", values="accuracy")
    e: Estimate = estimate((accuracy["small_inception_bn"] - accuracy["small_inception"]).dropna())
    return Outcome(e, difference(e, 0.0, _SMALL))


def _threshold(change: str) -> str:
    if change == "shuffle":
        return f"difference above 0; size within half of the paper's; {SMOOTHING}"
    least = CHANGES[change][1]
    return f"above {least:g}{', so no worse' if least < 0 else ''}; {SMOOTHING}"


def _figure_4(top: str) -> list[Claim]:
    """Return the claims about several crops and the ensemble, of one error."""
    printed, words = PRINTED[top], f"top-{top.removeprefix('top')} error"
    reading, added = ("", "") if top == "top1" else (f":{top}", " (added after Figure 2 was measured)")
    threshold = f"difference above 0; size within half of the paper's; not finite is wrong{added}"
    return [
        Claim(
            f"multicrop{reading}",
            "4.2.3, Fig. 4",
            f"several crops lower the {words} of a network (144 in the paper, 18 here; difference)",
            printed["single"] - printed["multicrop"],
            threshold,
            "ensemble",
            partial(multicrop, top),
        ),
        Claim(
            f"ensemble{reading}",
            "4.2.3, Fig. 4",
            f"the mean of six networks' probabilities lowers the {words} further (difference, several crops each)",
            printed["multicrop"] - printed["ensemble"],
            threshold,
            "ensemble",
            partial(ensemble, top),
        ),
    ]


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
    *(
        Claim(
            f"abl-dropout:gap:{reading}",
            "4.2.1",
            f"dropout can be removed without more overfitting: {READINGS[reading]} "
            "(by how much the accuracy on training images comes nearer to that on test images, at the end)",
            float("nan"),
            f"{_threshold('dropout')} (added after Figure 2 was measured)",
            "ablations",
            overfitting(reading),
        )
        for reading in READINGS
    ),
    *(
        Claim(
            f"abl-{change}:steps:{reading}",
            "4.2.1",
            f"{words}: {READINGS[reading]} (steps to the maximum of the network without the change, without ÷ with)",
            float("nan"),
            f"ratio above 1{STEPS} (added after Figure 2 was measured)",
            "ablations_accuracy",
            speedup(change, reading),
        )
        for change, words in FASTER.items()
        for reading in READINGS
    ),
    *(claim for top in PRINTED for claim in _figure_4(top)),
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
