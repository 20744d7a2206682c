"""What the figures of Sections 2 and 3 show, in numbers from their tables: the ends of their captions."""

import pandas as pd

from bnrepro.claims.theory import CENTRED, CONTROL, SCALED, bias_norm, losses
from bnrepro.claims.verdict import estimate
from bnrepro.report.cells import number


def drift(table: pd.DataFrame) -> str:
    """Say what scaling adds to the bias's growth, and where the losses end, at each rate."""
    network = table[table["arm"] != "example"]
    rates = sorted(network["lr"].unique())
    ratios, to_control, ends = [], [], []
    for lr in rates:
        factor = round(lr / rates[0])
        final = {arm: bias_norm(table, arm, factor).iloc[-1] for arm in (SCALED, CENTRED, CONTROL)}
        ratios.append(f"{number((final[SCALED] / final[CENTRED]).mean())} times as large at rate {lr:g}")
        to_control.append(f"{number((final[CENTRED] / final[CONTROL]).mean())} times at rate {lr:g}")
        loss = {arm: losses(table, arm, factor) for arm in (CENTRED, SCALED, "batch", CONTROL)}
        centred, scaled, bn, control = (number(of_arm.iloc[-1].mean()) for of_arm in loss.values())
        ends.append(
            f"at rate {lr:g} at {centred} with the mean outside, {scaled} with mean and variance outside, "
            f"{bn} with BN and {control} without normalisation"
        )
    start = number(losses(table, CENTRED).iloc[0].mean())
    return (
        f"The paper says that it can get worse with scaling: with it the biases end {', '.join(ratios)} as without it "
        f"(above 1: worse, below 1: the reverse). With the mean outside they end {', '.join(to_control)} as large as "
        f"without normalisation. The loss begins at {start} with the mean outside and ends, "
        f"mean over the seeds, {'; '.join(ends)}."
    )


def population(table: pd.DataFrame) -> str:
    """Say by how much moving averages are off, over training at the paper's mini-batch and over mini-batches."""
    pair = table.pivot(index=["batch_size", "step", "seed"], columns="population", values=["accuracy", "loss"])
    gap = pd.DataFrame({of: pair[of]["moving"] - pair[of]["exact"] for of in ("accuracy", "loss")})
    sizes = sorted(table["batch_size"].unique())
    size, last = 60 if 60 in sizes else sizes[-1], table["step"].max()
    steps = [f"{_mean(gap.loc[size, step])} at step {step}" for step in sorted(table["step"].unique())]
    ends = [f"{_interval(gap.loc[other, last]['accuracy'])} at batch {other}" for other in sizes]
    return (
        f"Moving minus exact at batch {size}, accuracy (loss): {', '.join(steps)}. Accuracy at step {last}, mean and "
        f"interval: {', '.join(ends)}."
    )


def _mean(gap: pd.DataFrame) -> str:
    return f"{number(gap['accuracy'].mean())} ({number(gap['loss'].mean())})"


def _interval(values: pd.Series) -> str:
    e = estimate(values)
    return f"{number(e.value)} ({number(e.low)} to {number(e.high)})"
