"""Figures 2 and 3 (Sec. 4.2.2): Inception with and without BN.

Curves are smoothed by a running mean of five evaluations. Inception's maximum is its smoothed curve's, seed by seed;
the steps of a network are those after which its smoothed curve first reaches that maximum, of the same seed. A network
that never reaches it counts with the whole training, the least it can need. Seeds whose Inception stays at chance have
no maximum to reach and do not count.
"""

from collections.abc import Callable

import pandas as pd

from bnrepro import paper
from bnrepro.claims.claim import Claim, Outcome
from bnrepro.claims.verdict import FEWEST_SEEDS, Estimate, bound, difference, estimate, ratio
from bnrepro.curves import smooth

INCEPTION = "inception"
NAMES = {"bn_baseline": "BN-Baseline", "bn_x5": "BN-x5", "bn_x30": "BN-x30", "bn_x5_sigmoid": "BN-x5-Sigmoid"}
NEVER = 0.05  # of the way from chance to Inception's maximum: below it a network is no better than chance
INITS = ("gaussian", "xavier")  # schemes of initial weights beside that of Figure 2
PAPER_RATES = "paper-rates"
READINGS = (PAPER_RATES, *INITS)  # of the claims, beside that of Figure 2 itself
EARLY = 1.0 / paper.INCEPTION["bn_x5"][0]  # type: ignore[operator]  # 1M steps, as a share of those that BN-x5 needs


def curves(accuracy: pd.DataFrame, network: str) -> pd.DataFrame:
    """Return a network's smoothed test accuracy, indexed by step, one column per seed."""
    rows = accuracy[accuracy["network"] == network]
    return smooth(rows.pivot(index="step", columns="seed", values="accuracy").sort_index())


def maximum(accuracy: pd.DataFrame, network: str) -> pd.Series:
    """Return each seed's maximum of the smoothed curve."""
    return curves(accuracy, network).max()


def steps_to_inception(accuracy: pd.DataFrame, network: str) -> pd.Series:
    """Return, per seed, the steps after which a network first reaches Inception's maximum; missing: never."""
    level, ours = maximum(accuracy, INCEPTION), curves(accuracy, network)
    first = {seed: ours.index[ours[seed] >= level[seed]].min() for seed in ours.columns.intersection(level.index)}
    return pd.Series(first, dtype=float)


def _steps(accuracy: pd.DataFrame, network: str) -> pd.Series:
    """Return the same, the whole training where a network never does, for seeds whose Inception trains at all."""
    chance, level = 1 / accuracy["classes"].iloc[0], maximum(accuracy, INCEPTION)
    trains = level.index[level - chance > NEVER * (1 - chance)]
    steps = steps_to_inception(accuracy, network)
    return steps.loc[steps.index.isin(trains)].fillna(accuracy["step"].max())


def half_steps(accuracy: pd.DataFrame) -> Outcome:
    """bn-half-steps."""
    e = estimate((_steps(accuracy, "bn_baseline") / _steps(accuracy, INCEPTION)).dropna())
    return Outcome(e, ratio(e, no_effect=0.5, paper=_printed_steps("bn_baseline") / _printed_steps(INCEPTION)))


def from_init(init: str, check: Callable[[pd.DataFrame], Outcome]) -> Callable[[pd.DataFrame], Outcome]:
    """Return the same check of the networks that start from other weights."""
    return lambda table: check(table[table["init"] == init])


def speedup(accuracy: pd.DataFrame) -> Outcome:
    """x5-speedup."""
    e = estimate((_steps(accuracy, INCEPTION) / _steps(accuracy, "bn_x5")).dropna())
    return Outcome(e, ratio(e, no_effect=1.0, paper=_printed_steps(INCEPTION) / _printed_steps("bn_x5")))


def slower_at_first(accuracy: pd.DataFrame) -> Outcome:
    """x30-slower-then-higher, early: BN-x5 ahead of BN-x30 at the same share of the steps that BN-x5 needs."""
    x5, x30 = curves(accuracy, "bn_x5"), curves(accuracy, "bn_x30")
    when = _steps(accuracy, "bn_x5") * EARLY
    ahead = {}
    for seed in x5.columns.intersection(x30.columns).intersection(when.index):
        step = x5.index[abs(x5.index - when[seed]).argmin()]  # the evaluation nearest to it
        ahead[seed] = x5.loc[step, seed] - x30.loc[step, seed]
    e = estimate(pd.Series(ahead))
    return Outcome(e, difference(e, no_effect=0.0, paper=paper.AT_1M["bn_x5"] - paper.AT_1M["bn_x30"]))


def higher(above: str, below: str) -> Callable[[pd.DataFrame], Outcome]:
    """max-order: one network's maximum above another's."""

    def check(accuracy: pd.DataFrame) -> Outcome:
        e = estimate((maximum(accuracy, above) - maximum(accuracy, below)).dropna())
        return Outcome(e, difference(e, no_effect=0.0, paper=paper.INCEPTION[above][1] - paper.INCEPTION[below][1]))

    return check


def higher_at_the_end(accuracy: pd.DataFrame) -> Outcome:
    """x30-slower-then-higher, at the end."""
    x30, x5 = (curves(accuracy, network).tail(1).mean() for network in ("bn_x30", "bn_x5"))  # empty where not run
    e = estimate((x30 - x5).dropna())
    return Outcome(e, difference(e, no_effect=0.0, paper=paper.INCEPTION["bn_x30"][1] - paper.INCEPTION["bn_x5"][1]))


def above_chance(accuracy: pd.DataFrame, network: str) -> pd.Series:
    """Return each seed's maximum on the way from chance (0) to Inception's maximum (1)."""
    chance = 1 / accuracy["classes"].iloc[0]
    share: pd.Series = (maximum(accuracy, network) - chance) / (maximum(accuracy, INCEPTION) - chance)
    return share


def sigmoid_trains(accuracy: pd.DataFrame) -> Outcome:
    """sigmoid-trains."""
    e = estimate(above_chance(accuracy, "bn_x5_sigmoid").dropna())
    return Outcome(e, ratio(e, no_effect=NEVER, paper=_PRINTED_SIGMOID))


def sigmoid_needs_bn(accuracy: pd.DataFrame) -> Outcome:
    """sigmoid-needs-bn."""
    e = estimate(above_chance(accuracy, "inception_sigmoid").dropna())
    return Outcome(e, bound(e, NEVER))


def diverges(ends: pd.DataFrame) -> Outcome:
    """x5-diverges-without-bn."""
    away = ends.loc[ends["network"] == "inception_x5", "diverged_at"].notna().astype(float)
    e = Estimate(float(away.mean()), float(away.min()), float(away.max()), len(away))
    if len(away) < FEWEST_SEEDS or 0 < e.value < 1:
        return Outcome(e, "inconclusive")
    return Outcome(e, "reproduced" if e.value == 1 else "not reproduced")


def _printed_steps(network: str) -> float:
    steps = paper.INCEPTION[network][0]
    assert steps is not None
    return steps


_PRINTED_SIGMOID = (paper.INCEPTION["bn_x5_sigmoid"][1] - paper.CHANCE) / (paper.INCEPTION[INCEPTION][1] - paper.CHANCE)
_ORDER = [("bn_baseline", INCEPTION), ("bn_x5", "bn_baseline"), ("bn_x30", "bn_x5")]
_HALF = "size within half of the paper's"
_HALF_STEPS = "share below 0.5; size within a factor of 2 of the paper's"


def _figure_2(reading: str, words: str, tables: str) -> list[Claim]:
    """Return the claims of Figure 2 about one set of its networks: their ids end in ``reading``."""
    accuracy, ends = f"{tables}_accuracy", f"{tables}_ends"
    return [
        Claim(
            f"bn-half-steps{reading}",
            "4.2.2, Fig. 3",
            f"BN alone reaches Inception's maximum in less than half of Inception's steps{words} (share of its steps)",
            _printed_steps("bn_baseline") / _printed_steps(INCEPTION),
            _HALF_STEPS,
            accuracy,
            half_steps,
        ),
        Claim(
            f"x5-speedup{reading}",
            "4.2.2, Fig. 3",
            f"BN-x5 needs 14 times fewer steps than Inception to Inception's maximum{words} (ratio of the steps)",
            _printed_steps(INCEPTION) / _printed_steps("bn_x5"),
            "ratio above 1; size within a factor of 2 of the paper's",
            accuracy,
            speedup,
        ),
        Claim(
            f"x30-slower-then-higher:early{reading}",
            "4.2.2, Fig. 2",
            "BN-x30 is behind BN-x5 at first, half-way to where BN-x5 reaches Inception's maximum"
            f"{words} (difference of accuracies)",
            paper.AT_1M["bn_x5"] - paper.AT_1M["bn_x30"],
            f"difference above 0; {_HALF}",
            accuracy,
            slower_at_first,
        ),
        Claim(
            f"x30-slower-then-higher:end{reading}",
            "4.2.2, Fig. 2",
            f"BN-x30 is ahead of BN-x5 at the end{words} (difference of accuracies)",
            paper.INCEPTION["bn_x30"][1] - paper.INCEPTION["bn_x5"][1],
            f"difference above 0; {_HALF}",
            accuracy,
            higher_at_the_end,
        ),
        *(_passes(pair, reading, words, accuracy, higher(*pair)) for pair in _ORDER),
        Claim(
            f"sigmoid-trains{reading}",
            "4.2.2",
            f"with BN the network trains with sigmoids{words} "
            "(its maximum on the way from chance, 0, to Inception's maximum, 1)",
            _PRINTED_SIGMOID,
            f"above {NEVER}; size within a factor of 2 of the paper's",
            accuracy,
            sigmoid_trains,
        ),
        Claim(
            f"sigmoid-needs-bn{reading}",
            "4.2.2",
            f"without BN the network with sigmoids is never better than chance{words} (its maximum on the same way)",
            0.0,
            f"below {NEVER}",
            accuracy,
            sigmoid_needs_bn,
        ),
        Claim(
            f"x5-diverges-without-bn{reading}",
            "4.2.2",
            f"without BN, 5 times the learning rate makes the parameters reach machine infinity{words} "
            "(share of seeds)",
            1.0,
            "every seed (none: not reproduced)",
            ends,
            diverges,
        ),
    ]


def _passes(
    pair: tuple[str, str], reading: str, words: str, table: str, check: Callable[[pd.DataFrame], Outcome]
) -> Claim:
    above, below = pair
    return Claim(
        f"max-order:{above.replace('_', '-')}{reading}",
        "4.2.2, Fig. 3",
        f"{NAMES[above]} passes {NAMES.get(below, 'Inception')}{words} (difference of the maxima)",
        paper.INCEPTION[above][1] - paper.INCEPTION[below][1],
        f"difference above 0; {_HALF}",
        table,
        check,
    )


def _from_init(init: str) -> list[Claim]:
    """Return the claims about BN alone, from another scheme of initial weights."""
    words, passes = f", from {init} initial weights", higher("bn_baseline", INCEPTION)
    return [
        Claim(
            f"bn-half-steps:{init}",
            "4.2.2, Fig. 3",
            f"BN alone reaches Inception's maximum in less than half of Inception's steps{words} (share of its steps)",
            _printed_steps("bn_baseline") / _printed_steps(INCEPTION),
            _HALF_STEPS,
            "fig2_init",
            from_init(init, half_steps),
        ),
        _passes(("bn_baseline", INCEPTION), f":{init}", words, "fig2_init", from_init(init, passes)),
    ]


CLAIMS: list[Claim] = [
    *_figure_2("", "", "fig2"),
    *_figure_2(f":{PAPER_RATES}", ", at the paper's own rates", "fig2_paper_rates"),
    *(claim for init in INITS for claim in _from_init(init)),
]
