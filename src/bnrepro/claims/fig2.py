"""Figures 2 and 3 (Sec. 4.2.2): Inception with and without BN, what is read off their curves.

Curves are smoothed by a centred running mean of five evaluations, at most a tenth of the training's, so that a
crossing comes neither late nor early. Inception's maximum is its smoothed curve's, seed by seed: that of the budget,
where it is still rising at the end. The steps of a network are those after which its smoothed curve, straight between
evaluations, first reaches that maximum, of the same seed. A network that never reaches it counts with the whole
training, the least it can need, and what follows from such a bound is inconclusive at best; where no seed reaches it,
what the paper says of its steps is not reproduced. Ratios of steps are averaged over logarithms. Seeds whose Inception
stays at chance have no maximum to reach and do not count.
"""

import numpy as np
import pandas as pd

from bnrepro import paper
from bnrepro.claims.claim import Check, Outcome, needs
from bnrepro.claims.verdict import FEWEST_SEEDS, Estimate, Verdict, bound, difference, estimate, geometric, ratio
from bnrepro.curves import at_the_end, centred, first_reaches

INCEPTION = "inception"
NAMES = {"bn_baseline": "BN-Baseline", "bn_x5": "BN-x5", "bn_x30": "BN-x30", "bn_x5_sigmoid": "BN-x5-Sigmoid"}
NEVER = 0.05  # of the way from chance to Inception's maximum: below it a network is no better than chance
SMOOTHING = "means of five evaluations, at most a tenth of all"  # as the thresholds say it
STEPS = (
    f"; {SMOOTHING}, straight lines between them, the mean and interval of logarithms; "
    "reached on no seed: not reproduced, on some alone: inconclusive at best"
)
EARLY = 1.0 / paper.INCEPTION["bn_x5"][0]  # type: ignore[operator]  # 1M steps, as a share of those that BN-x5 needs
FEWER = 5  # times fewer steps than Inception, after which BN-x30 is at its printed maximum
PRINTED_SIGMOID = (paper.INCEPTION["bn_x5_sigmoid"][1] - paper.CHANCE) / (paper.INCEPTION[INCEPTION][1] - paper.CHANCE)


def curves(accuracy: pd.DataFrame, network: str) -> pd.DataFrame:
    """Return a network's smoothed test accuracy, indexed by step, one column per seed."""
    return centred(_evaluations(accuracy, network))


def _evaluations(accuracy: pd.DataFrame, network: str) -> pd.DataFrame:
    rows = accuracy[accuracy["network"] == network]
    return rows.pivot(index="step", columns="seed", values="accuracy").sort_index()


def maximum(accuracy: pd.DataFrame, network: str) -> pd.Series:
    """Return each seed's maximum of the smoothed curve."""
    return curves(accuracy, network).max()


def steps_to_maximum(accuracy: pd.DataFrame, network: str, of: str = INCEPTION) -> pd.Series:
    """Return, per seed, the steps after which a network first reaches the maximum ``of`` another; missing: never."""
    level, ours = maximum(accuracy, of), curves(accuracy, network)
    first = {seed: first_reaches(ours[seed], level[seed]) for seed in ours.columns.intersection(level.index)}
    return pd.Series(first, dtype=float)


def _of_trained(by_seed: pd.Series, accuracy: pd.DataFrame, of: str = INCEPTION) -> pd.Series:
    """Keep the seeds whose network ``of`` trains at all."""
    chance, level = 1 / accuracy["classes"].iloc[0], maximum(accuracy, of)
    trains = level.index[level - chance > NEVER * (1 - chance)]
    return by_seed.loc[by_seed.index.isin(trains)]


def _steps(accuracy: pd.DataFrame, network: str, of: str = INCEPTION) -> pd.Series:
    """Return the steps of the seeds whose ``of`` trains, the whole training where a network never gets there."""
    return _of_trained(steps_to_maximum(accuracy, network, of), accuracy, of).fillna(accuracy["step"].max())


def fewer_steps(accuracy: pd.DataFrame, network: str, of: str = INCEPTION) -> pd.Series:
    """Return, per seed, how many times fewer steps a network needs to the maximum ``of`` another than that one."""
    return (_steps(accuracy, of, of) / _steps(accuracy, network, of)).dropna()


def _never(accuracy: pd.DataFrame, network: str, of: str = INCEPTION) -> pd.Series:
    """Say of each seed whose ``of`` trains whether a network never reaches its maximum."""
    never: pd.Series = _of_trained(steps_to_maximum(accuracy, network, of), accuracy, of).isna()
    return never


def _note(never: pd.Series, network: str, number: str) -> str:
    """Say on how many seeds a network gets there where it does not on all, and what the number is then."""
    if not never.any():
        return ""
    return f"; {NAMES.get(network, network)} gets there on {(~never).sum()} of {len(never)} seeds: {number}"


def _with_bounds(verdict: Verdict, never: pd.Series) -> Verdict:
    """Return a verdict on numbers that are bounds for some seeds: ``inconclusive`` at best."""
    return "inconclusive" if never.any() and verdict != "not reproduced" else verdict


def or_never(outcome: Outcome, accuracy: pd.DataFrame, network: str, number: str, of: str = INCEPTION) -> Outcome:
    """Return an outcome about a network's steps, ``not reproduced`` where it gets there on no seed."""
    never = _never(accuracy, network, of)
    on_no_seed = len(never) >= FEWEST_SEEDS and bool(never.all())
    verdict = "not reproduced" if on_no_seed else _with_bounds(outcome.verdict, never)
    return Outcome(outcome.estimate, verdict, _note(never, network, number))


@needs(INCEPTION, "bn_baseline")
def half_steps(accuracy: pd.DataFrame) -> Outcome:
    """bn-half-steps."""
    e = geometric(1 / fewer_steps(accuracy, "bn_baseline"))
    verdict = ratio(e, no_effect=0.5, paper=printed_steps("bn_baseline") / printed_steps(INCEPTION))
    return or_never(Outcome(e, verdict), accuracy, "bn_baseline", "the share is at least this")


def speedup(network: str) -> Check:
    """x5-speedup, x30-speedup."""

    @needs(INCEPTION, network)
    def check(accuracy: pd.DataFrame) -> Outcome:
        e = geometric(fewer_steps(accuracy, network))
        verdict = ratio(e, no_effect=1.0, paper=printed_steps(INCEPTION) / printed_steps(network))
        return or_never(Outcome(e, verdict), accuracy, network, "the ratio is at most this")

    return check


def _at(by_seed: pd.DataFrame, when: pd.Series) -> pd.Series:
    """Return each seed's accuracy after ``when`` steps, on the straight line between two evaluations."""
    shared = by_seed.columns.intersection(when.index)
    return pd.Series({seed: np.interp(when[seed], by_seed.index, by_seed[seed]) for seed in shared}, dtype=float)


@needs(INCEPTION, "bn_x5", "bn_x30")
def slower_at_first(accuracy: pd.DataFrame) -> Outcome:
    """x30-slower-then-higher, early: BN-x5 ahead of BN-x30 at the same share of the steps that BN-x5 needs."""
    when, never = _steps(accuracy, "bn_x5") * EARLY, _never(accuracy, "bn_x5")
    e = estimate(_at(curves(accuracy, "bn_x5"), when) - _at(curves(accuracy, "bn_x30"), when))
    verdict = difference(e, no_effect=0.0, paper=paper.AT_1M["bn_x5"] - paper.AT_1M["bn_x30"])
    note = _note(never, "bn_x5", "half-way through the training instead")
    return Outcome(e, _with_bounds(verdict, never), note)


@needs(INCEPTION, "bn_x30")
def at_a_fifth(accuracy: pd.DataFrame) -> Outcome:
    """x30-fifth: BN-x30 above Inception's maximum after a fifth of the steps that Inception needs to it."""
    when = _steps(accuracy, INCEPTION) / FEWER
    e = estimate(_at(curves(accuracy, "bn_x30"), when) - maximum(accuracy, INCEPTION))
    return Outcome(e, difference(e, no_effect=0.0, paper=paper.INCEPTION["bn_x30"][1] - paper.INCEPTION[INCEPTION][1]))


def higher(above: str, below: str) -> Check:
    """max-order: one network's maximum above another's."""

    @needs(above, below)
    def check(accuracy: pd.DataFrame) -> Outcome:
        e = estimate((maximum(accuracy, above) - maximum(accuracy, below)).dropna())
        return Outcome(e, difference(e, no_effect=0.0, paper=paper.INCEPTION[above][1] - paper.INCEPTION[below][1]))

    return check


@needs("bn_x5", "bn_x30")
def higher_at_the_end(accuracy: pd.DataFrame) -> Outcome:
    """max-order, BN-x30 and BN-x5 at the end."""
    x30, x5 = (at_the_end(_evaluations(accuracy, network)) for network in ("bn_x30", "bn_x5"))
    e = estimate((x30 - x5).dropna())
    return Outcome(e, difference(e, no_effect=0.0, paper=paper.INCEPTION["bn_x30"][1] - paper.INCEPTION["bn_x5"][1]))


def above_chance(accuracy: pd.DataFrame, network: str) -> pd.Series:
    """Return each seed's maximum on the way from chance (0) to Inception's maximum (1), where Inception trains."""
    chance = 1 / accuracy["classes"].iloc[0]
    share: pd.Series = (maximum(accuracy, network) - chance) / (maximum(accuracy, INCEPTION) - chance)
    return _of_trained(share, accuracy)


@needs(INCEPTION, "bn_x5_sigmoid")
def sigmoid_trains(accuracy: pd.DataFrame) -> Outcome:
    """sigmoid-trains."""
    e = estimate(above_chance(accuracy, "bn_x5_sigmoid").dropna())
    return Outcome(e, ratio(e, no_effect=NEVER, paper=PRINTED_SIGMOID))


@needs(INCEPTION, "inception_sigmoid")
def sigmoid_needs_bn(accuracy: pd.DataFrame) -> Outcome:
    """sigmoid-needs-bn."""
    e = estimate(above_chance(accuracy, "inception_sigmoid").dropna())
    return Outcome(e, bound(e, NEVER))


@needs("inception_x5")
def diverges(ends: pd.DataFrame) -> Outcome:
    """x5-diverges-without-bn."""
    away = ends.loc[ends["network"] == "inception_x5", "diverged_at"].notna().astype(float)
    e = Estimate(float(away.mean()), float(away.min()), float(away.max()), len(away))
    if len(away) < FEWEST_SEEDS or 0 < e.value < 1:
        return Outcome(e, "inconclusive")
    return Outcome(e, "reproduced" if e.value == 1 else "not reproduced")


def printed_steps(network: str) -> float:
    """Return the millions of steps to Inception's maximum that Fig. 3 prints."""
    steps = paper.INCEPTION[network][0]
    assert steps is not None
    return steps
