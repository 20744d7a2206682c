"""Figures 2 and 3 (Sec. 4.2.2): Inception with and without BN, what is read off their curves.

Curves are smoothed by a centred running mean of five evaluations (at either end of those that there are), so that a
crossing comes neither late nor early. Inception's maximum is its smoothed curve's, seed by seed: that of the budget,
where it is still rising at the end. The steps of a network are those after which its smoothed curve first reaches that
maximum, of the same seed. A network that never reaches it counts with the whole training, the least it can need; where
no seed does, what the paper says of its steps is not reproduced. Seeds whose Inception stays at chance have no maximum
to reach and do not count.
"""

import pandas as pd

from bnrepro import paper
from bnrepro.claims.claim import Check, Outcome, needs
from bnrepro.claims.verdict import FEWEST_SEEDS, Estimate, bound, difference, estimate, ratio
from bnrepro.curves import FINAL_EVALUATIONS, smooth

INCEPTION = "inception"
NAMES = {"bn_baseline": "BN-Baseline", "bn_x5": "BN-x5", "bn_x30": "BN-x30", "bn_x5_sigmoid": "BN-x5-Sigmoid"}
NEVER = 0.05  # of the way from chance to Inception's maximum: below it a network is no better than chance
EARLY = 1.0 / paper.INCEPTION["bn_x5"][0]  # type: ignore[operator]  # 1M steps, as a share of those that BN-x5 needs
PRINTED_SIGMOID = (paper.INCEPTION["bn_x5_sigmoid"][1] - paper.CHANCE) / (paper.INCEPTION[INCEPTION][1] - paper.CHANCE)


def curves(accuracy: pd.DataFrame, network: str) -> pd.DataFrame:
    """Return a network's smoothed test accuracy, indexed by step, one column per seed."""
    return smooth(_evaluations(accuracy, network), centred=True)


def _evaluations(accuracy: pd.DataFrame, network: str) -> pd.DataFrame:
    rows = accuracy[accuracy["network"] == network]
    return rows.pivot(index="step", columns="seed", values="accuracy").sort_index()


def maximum(accuracy: pd.DataFrame, network: str) -> pd.Series:
    """Return each seed's maximum of the smoothed curve."""
    return curves(accuracy, network).max()


def steps_to_inception(accuracy: pd.DataFrame, network: str) -> pd.Series:
    """Return, per seed, the steps after which a network first reaches Inception's maximum; missing: never."""
    level, ours = maximum(accuracy, INCEPTION), curves(accuracy, network)
    first = {seed: ours.index[ours[seed] >= level[seed]].min() for seed in ours.columns.intersection(level.index)}
    return pd.Series(first, dtype=float)


def _of_trained(by_seed: pd.Series, accuracy: pd.DataFrame) -> pd.Series:
    """Keep the seeds whose Inception trains at all."""
    chance, level = 1 / accuracy["classes"].iloc[0], maximum(accuracy, INCEPTION)
    trains = level.index[level - chance > NEVER * (1 - chance)]
    return by_seed.loc[by_seed.index.isin(trains)]


def _steps(accuracy: pd.DataFrame, network: str) -> pd.Series:
    """Return the steps of the seeds whose Inception trains, the whole training where a network never gets there."""
    return _of_trained(steps_to_inception(accuracy, network), accuracy).fillna(accuracy["step"].max())


def _never(accuracy: pd.DataFrame, network: str) -> pd.Series:
    """Say of each seed whose Inception trains whether a network never reaches its maximum."""
    never: pd.Series = _of_trained(steps_to_inception(accuracy, network), accuracy).isna()
    return never


def _note(never: pd.Series, network: str, number: str) -> str:
    """Say on how many seeds a network never gets there, and what the number is then."""
    times = int(never.sum())
    return f"; {NAMES[network]} never gets there on {times} of {len(never)} seeds: {number}" if times else ""


def _or_never(outcome: Outcome, accuracy: pd.DataFrame, network: str, number: str) -> Outcome:
    """Return an outcome about a network's steps, ``not reproduced`` where it gets there on no seed."""
    never = _never(accuracy, network)
    on_no_seed = len(never) >= FEWEST_SEEDS and bool(never.all())
    verdict = "not reproduced" if on_no_seed else outcome.verdict
    return Outcome(outcome.estimate, verdict, _note(never, network, number))


@needs(INCEPTION, "bn_baseline")
def half_steps(accuracy: pd.DataFrame) -> Outcome:
    """bn-half-steps."""
    e = estimate((_steps(accuracy, "bn_baseline") / _steps(accuracy, INCEPTION)).dropna())
    verdict = ratio(e, no_effect=0.5, paper=printed_steps("bn_baseline") / printed_steps(INCEPTION))
    return _or_never(Outcome(e, verdict), accuracy, "bn_baseline", "the share is at least this")


@needs(INCEPTION, "bn_x5")
def speedup(accuracy: pd.DataFrame) -> Outcome:
    """x5-speedup."""
    e = estimate((_steps(accuracy, INCEPTION) / _steps(accuracy, "bn_x5")).dropna())
    verdict = ratio(e, no_effect=1.0, paper=printed_steps(INCEPTION) / printed_steps("bn_x5"))
    return _or_never(Outcome(e, verdict), accuracy, "bn_x5", "the ratio is at most this")


@needs(INCEPTION, "bn_x5", "bn_x30")
def slower_at_first(accuracy: pd.DataFrame) -> Outcome:
    """x30-slower-then-higher, early: BN-x5 ahead of BN-x30 at the same share of the steps that BN-x5 needs."""
    x5, x30 = curves(accuracy, "bn_x5"), curves(accuracy, "bn_x30")
    when = _steps(accuracy, "bn_x5") * EARLY
    ahead = {}
    for seed in x5.columns.intersection(x30.columns).intersection(when.index):
        step = x5.index[abs(x5.index - when[seed]).argmin()]  # the evaluation nearest to it
        ahead[seed] = x5.loc[step, seed] - x30.loc[step, seed]
    e = estimate(pd.Series(ahead))
    verdict = difference(e, no_effect=0.0, paper=paper.AT_1M["bn_x5"] - paper.AT_1M["bn_x30"])
    return Outcome(e, verdict, _note(_never(accuracy, "bn_x5"), "bn_x5", "half-way through the training instead"))


def higher(above: str, below: str) -> Check:
    """max-order: one network's maximum above another's."""

    @needs(above, below)
    def check(accuracy: pd.DataFrame) -> Outcome:
        e = estimate((maximum(accuracy, above) - maximum(accuracy, below)).dropna())
        return Outcome(e, difference(e, no_effect=0.0, paper=paper.INCEPTION[above][1] - paper.INCEPTION[below][1]))

    return check


@needs("bn_x5", "bn_x30")
def higher_at_the_end(accuracy: pd.DataFrame) -> Outcome:
    """x30-slower-then-higher, at the end: the mean of the last five evaluations."""
    x30, x5 = (_evaluations(accuracy, network).tail(FINAL_EVALUATIONS).mean() for network in ("bn_x30", "bn_x5"))
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
