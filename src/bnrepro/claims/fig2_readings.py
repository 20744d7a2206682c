"""The claims of Figures 2 and 3, and the settings other than Figure 2's own in which the same is asked: readings."""

from collections.abc import Callable

import pandas as pd

from bnrepro import paper
from bnrepro.claims import fig2
from bnrepro.claims.claim import ADDED, Check, Claim
from bnrepro.claims.fig2 import INCEPTION, NAMES, NEVER, PRINTED_SIGMOID, SMOOTHING, STEPS, printed_steps

INITS = ("gaussian", "xavier")  # schemes of initial weights beside that of Figure 2
PAPER_RATES, EQUAL_DECAY = "paper-rates", "equal-decay"
READINGS = (PAPER_RATES, EQUAL_DECAY, *INITS)  # of the claims, beside that of Figure 2 itself
BORROWED = (INCEPTION, "bn_baseline")  # decay as in Figure 2 whatever the reading


def from_init(init: str, check: Check) -> Check:
    """Return the same check of the networks that start from other weights."""
    return lambda table: check(table[table["init"] == init])


def with_figure_2(table: pd.DataFrame, figure_2: pd.DataFrame) -> pd.DataFrame:
    """Add to a reading's rows those of Inception and BN-Baseline, which only Figure 2 trains, at the same scale."""
    borrowed = figure_2["network"].isin(BORROWED) & ~figure_2["network"].isin(table["network"])
    return pd.concat([table, figure_2[borrowed & figure_2["scale"].isin(table["scale"])]], ignore_index=True)


_HALF = "size within half of the paper's"
_FACTOR = "size within a factor of 2 of the paper's"
_CHANGED = f" ({SMOOTHING}; changed after the first measurement)"
_STEPS_CHANGED = f"{STEPS} (what follows the size changed after the first measurement)"
_EARLY = (
    f" ({SMOOTHING}, straight lines between them; BN-x5 not there on each seed: inconclusive at best; "
    "these changed after the first measurement)"
)
_TRAINED = "; not of seeds whose Inception stays at chance (this and the smoothing changed after the first measurement)"


def _half_steps(reading: str, words: str, table: str, check: Check) -> Claim:
    return Claim(
        f"bn-half-steps{reading}",
        "4.2.2, Fig. 3",
        f"BN alone reaches Inception's maximum in less than half of Inception's steps{words} (share of its steps)",
        printed_steps("bn_baseline") / printed_steps(INCEPTION),
        f"share below 0.5; {_FACTOR}{_STEPS_CHANGED}",
        table,
        check,
    )


def _passes(pair: tuple[str, str], reading: str, words: str, tables: str | tuple[str, ...], check: Check) -> Claim:
    above, below = pair
    return Claim(
        f"max-order:{above.replace('_', '-')}{reading}",
        "4.2.2, Fig. 3",
        f"{NAMES[above]} passes {NAMES.get(below, 'Inception')}{words} (difference of the maxima)",
        paper.INCEPTION[above][1] - paper.INCEPTION[below][1],
        f"difference above 0; {_HALF}{_CHANGED}",
        tables,
        check,
    )


def _higher_rates(
    reading: str, words: str, tables: str | tuple[str, ...], of: Callable[[Check], Check] = lambda check: check
) -> list[Claim]:
    """Return the claims about BN-x5, BN-x30 and BN-x5-Sigmoid; ``of`` makes a check of one table one of ``tables``."""
    return [
        *(
            Claim(
                f"{network.removeprefix('bn_')}-speedup{reading}",
                "4.2.2, Fig. 3",
                f"{NAMES[network]} needs {times} times fewer steps than Inception to Inception's maximum{words} "
                "(ratio of the steps)",
                printed_steps(INCEPTION) / printed_steps(network),
                f"ratio above 1; {_FACTOR}{rule}",
                tables,
                of(fig2.speedup(network)),
            )
            for network, times, rule in (("bn_x5", 14, _STEPS_CHANGED), ("bn_x30", 11, f"{STEPS} {ADDED}"))
        ),
        Claim(
            f"x30-fifth{reading}",
            "4.2.2, Fig. 3",
            f"BN-x30 is above Inception's maximum after {fig2.FEWER} times fewer steps than Inception needs to it"
            f"{words} (difference of accuracies)",
            paper.INCEPTION["bn_x30"][1] - paper.INCEPTION[INCEPTION][1],
            f"difference above 0; {_HALF}; {SMOOTHING}, straight lines between them {ADDED}",
            tables,
            of(fig2.at_a_fifth),
        ),
        Claim(
            f"x30-slower-then-higher:early{reading}",
            "4.2.2, Fig. 2",
            "BN-x30 is behind BN-x5 at first, half-way to where BN-x5 reaches Inception's maximum"
            f"{words} (difference of accuracies)",
            paper.AT_1M["bn_x5"] - paper.AT_1M["bn_x30"],
            f"difference above 0; {_HALF}{_EARLY}",
            tables,
            of(fig2.slower_at_first),
        ),
        *(
            _passes(pair, reading, words, tables, of(fig2.higher(*pair)))
            for pair in (("bn_x5", "bn_baseline"), ("bn_x30", "bn_x5"))
        ),
        Claim(
            f"max-order:bn-x30:end{reading}",
            "4.2.2, Fig. 2",
            f"the same printed difference, read at the end: BN-x30 is ahead of BN-x5{words} (difference of accuracies)",
            paper.INCEPTION["bn_x30"][1] - paper.INCEPTION["bn_x5"][1],
            f"difference above 0; {_HALF}{_CHANGED}",
            tables,
            of(fig2.higher_at_the_end),
        ),
        Claim(
            f"sigmoid-trains{reading}",
            "4.2.2",
            f"with BN the network trains with sigmoids{words} "
            "(its maximum on the way from chance, 0, to Inception's maximum, 1)",
            PRINTED_SIGMOID,
            f"above {NEVER}; {_FACTOR}{_TRAINED}",
            tables,
            of(fig2.sigmoid_trains),
        ),
    ]


def _without_bn(reading: str, words: str, tables: str) -> list[Claim]:
    """Return the two negative results."""
    return [
        Claim(
            f"sigmoid-needs-bn{reading}",
            "4.2.2",
            f"without BN the network with sigmoids is never better than chance{words} (its maximum on the same way)",
            0.0,
            f"below {NEVER}{_TRAINED}",
            f"{tables}_accuracy",
            fig2.sigmoid_needs_bn,
        ),
        Claim(
            f"x5-diverges-without-bn{reading}",
            "4.2.2",
            f"without BN, 5 times the learning rate makes the parameters reach machine infinity{words} "
            "(share of seeds)",
            1.0,
            "every seed (none: not reproduced)",
            f"{tables}_ends",
            fig2.diverges,
        ),
    ]


def _all_networks(reading: str, words: str, tables: str) -> list[Claim]:
    """Return the claims of Figure 2 about its seven networks: their ids end in ``reading``."""
    accuracy, passes = f"{tables}_accuracy", fig2.higher("bn_baseline", INCEPTION)
    return [
        _half_steps(reading, words, accuracy, fig2.half_steps),
        _passes(("bn_baseline", INCEPTION), reading, words, accuracy, passes),
        *_higher_rates(reading, words, accuracy),
        *_without_bn(reading, words, tables),
    ]


def _bn_alone(init: str) -> list[Claim]:
    """Return the claims about BN alone, from another scheme of initial weights."""
    words, passes = f", from {init} initial weights", fig2.higher("bn_baseline", INCEPTION)
    return [
        _half_steps(f":{init}", words, "fig2_init", from_init(init, fig2.half_steps)),
        _passes(("bn_baseline", INCEPTION), f":{init}", words, "fig2_init", from_init(init, passes)),
    ]


CLAIMS: list[Claim] = [
    *_all_networks("", "", "fig2"),
    *_all_networks(f":{PAPER_RATES}", ", at the paper's own rates", "fig2_paper_rates"),
    *_higher_rates(
        f":{EQUAL_DECAY}",
        ", all rates decaying alike",
        ("fig2_equal_decay_accuracy", "fig2_accuracy"),
        lambda check: lambda table, figure_2: check(with_figure_2(table, figure_2)),
    ),
    *(claim for init in INITS for claim in _bn_alone(init)),
]
