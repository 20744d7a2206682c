"""How far the learning rate and the initial scale may go with and without BN (Sec. 3.3, 4.2.1).

A seed's network *trains* at a setting where its last accuracy on held-out images is at least half-way from chance to
the best that the same network reaches at any setting. Its *range* are the settings within 0.01 of its best accuracy,
from the lowest to the highest, in decades. Where its best is chance, noise alone would pick either: it has none.
A ratio's interval is taken over the logarithms of the seeds' ratios.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from bnrepro.claims.claim import ADDED, NOT_RUN, Check, Claim, Outcome
from bnrepro.claims.verdict import above, estimate, geometric

NEAR = 0.01  # of the best accuracy
AT_CHANCE = 0.05  # of the way from chance to 1: below it a network has learned nothing
SCALES = {0.05: "", 0.016: ":init-0.016", 0.16: ":init-0.16"}  # initial ones: Figure 1's, and the readings beside it
_CHANCE = "; not of seeds at chance at every setting (this was added after the first measurement)"
MLP, INCEPTION = ("mlp", "mlp_bn"), ("inception", "bn_baseline")


def largest(table: pd.DataFrame, network: str, setting: str) -> pd.Series:
    """Return, per seed, the largest ``setting`` (lr or init_std) at which ``network`` trains; none at chance."""
    final, best, chance = _by_seed(table, network, setting)
    trains = final.ge(chance + (best.max() - chance) / 2, axis=1)
    found = pd.Series({seed: trains.index[trains[seed]].max() for seed in trains}, dtype=float)
    return found.mask(at_chance(best.max(), chance))


def within(table: pd.DataFrame, network: str, setting: str) -> pd.DataFrame:
    """Return, per seed, the lowest and highest ``setting`` with a best accuracy within 0.01 of the seed's best."""
    _, best, chance = _by_seed(table, network, setting)
    near = best.ge(best.max() - NEAR, axis=1)
    ends = {seed: (near.index[near[seed]].min(), near.index[near[seed]].max()) for seed in near}
    found = pd.DataFrame.from_dict(ends, orient="index", columns=["low", "high"], dtype=float)
    return found.mask(at_chance(best.max(), chance))


def decades(table: pd.DataFrame, network: str, setting: str) -> pd.Series:
    """Return, per seed, over how many decades of ``setting`` its range goes."""
    ends = within(table, network, setting)
    return pd.Series(np.log10(ends["high"] / ends["low"]), dtype=float)


def at_chance(accuracy: pd.Series, chance: float | pd.Series) -> pd.Series:
    """Say of each accuracy whether its network has learned nothing."""
    nothing: pd.Series = accuracy - chance < AT_CHANCE * (1 - chance)
    return nothing


def fails(rows: pd.DataFrame) -> pd.Series:
    """Say of each row whether its network diverged or ended at chance."""
    failed: pd.Series = rows["diverged_at"].notna() | at_chance(rows["final"].fillna(0.0), 1 / rows["classes"])
    return failed


def _by_seed(table: pd.DataFrame, network: str, setting: str) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Return the last and the best accuracy, indexed by setting, one column per seed, and chance."""
    rows = table[table["network"] == network]
    last, best = (rows.pivot(index=setting, columns="seed", values=name).sort_index() for name in ("final", "best"))
    return last.fillna(0.0), best.fillna(0.0), 1 / table["classes"].iloc[0]


def _larger(setting: str, pair: tuple[str, str], table: pd.DataFrame) -> Outcome:
    without, with_bn = (largest(table, network, setting) for network in pair)
    e = geometric(with_bn / without)
    return Outcome(e, above(e, 1.0), _grid(table[setting]) + _note(without, with_bn))


def _wider(setting: str, pair: tuple[str, str], table: pd.DataFrame) -> Outcome:
    without, with_bn = (decades(table, network, setting) for network in pair)
    e = estimate((with_bn - without).dropna())
    return Outcome(e, above(e, 0.0), _note(without, with_bn))


def _grid(settings: pd.Series) -> str:
    """Say how far settings are apart: nothing between two of them was measured, whatever the seeds agree on."""
    logs = np.log(np.sort(settings.unique()))
    return f"; to a step of the grid, a factor of {np.exp(np.diff(logs).max()):.2g}" if len(logs) > 1 else ""


def _note(without: pd.Series, with_bn: pd.Series) -> str:
    """Say on how many seeds a network stays at chance everywhere, where there is one."""
    by_network = {"without BN": without, "with BN": with_bn}
    return "".join(
        f"; {words} at chance at every setting on {of_it.isna().sum()} of {len(of_it)} seeds, which do not count"
        for words, of_it in by_network.items()
        if of_it.isna().any()
    )


def _better(pair: tuple[str, str], table: pd.DataFrame) -> Outcome:
    without, with_bn = (_by_seed(table, network, "lr")[1].max() for network in pair)
    e = estimate((with_bn - without).dropna())
    return Outcome(e, above(e, 0.0))


def _at(init_std: float, check: Check) -> Check:
    """Return the same check of the networks that start from one scale, ``not run`` where there are none."""
    return lambda table: check(there) if len(there := table[table["init_std"] == init_std]) else NOT_RUN


def _higher_lr(
    words: str, table: str, pair: tuple[str, str], reading: str = "", at: Callable[[Check], Check] = lambda check: check
) -> list[Claim]:
    """Return the claims about a network's rates; a ``reading`` beside the first one was added after it was measured."""
    added = f" {ADDED}" if reading.startswith(":init") else ""
    return [
        Claim(
            f"higher-lr:largest{reading}",
            "4.2.1",
            f"BN lets {words} train at higher learning rates: the largest that trains, with ÷ without",
            np.nan,
            f"ratio above 1{_CHANCE}{added}",
            table,
            at(partial(_larger, "lr", pair)),
        ),
        Claim(
            f"higher-lr:range{reading}",
            "4.2.1",
            f"the range of rates within {NEAR:g} of the best accuracy of {words}, in decades, with minus without",
            np.nan,
            f"difference above 0{_CHANCE}{added}",
            table,
            at(partial(_wider, "lr", pair)),
        ),
        Claim(
            f"higher-lr:best{reading}",
            "4.2.1",
            f"the best accuracy of {words} over all rates, with minus without",
            np.nan,
            f"difference above 0{added}",
            table,
            at(partial(_better, pair)),
        ),
    ]


ON_DIGITS: list[Claim] = [
    *(
        claim
        for std, reading in SCALES.items()
        for claim in _higher_lr(
            "the network of Fig. 1" + (f" from W~N(0, {std:g}²)" if reading else ""),
            "higher_lr",
            MLP,
            reading,
            partial(_at, std),
        )
    ),
    Claim(
        "initial-scale:largest",
        "3.3",
        "BN makes the network of Fig. 1 more resilient to the parameter scale: "
        "the largest initial scale that trains, with ÷ without",
        np.nan,
        f"ratio above 1{_CHANCE}",
        "initial_scale",
        partial(_larger, "init_std", MLP),
    ),
    Claim(
        "initial-scale:range",
        "3.3",
        f"the range of initial scales within {NEAR:g} of the best accuracy, in decades, with minus without",
        np.nan,
        f"difference above 0{_CHANCE}",
        "initial_scale",
        partial(_wider, "init_std", MLP),
    ),
]
ON_IMAGES: list[Claim] = _higher_lr("Inception", "higher_lr_inception", INCEPTION, ":inception")
