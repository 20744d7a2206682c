"""From runs' records to the tables in results/: tidy, small enough to commit, without torch.

Every row names its data and scale. A table belongs to one data set and one experiment and lies in
``results/<data>/``, so that results on other data never overwrite MNIST's.
"""

from collections.abc import Callable

from bnrepro.record import Record
from bnrepro.tables.base import (
    BENCH,
    HANDWRITTEN,
    MADE_BY,
    RANDOM,
    SUMS,
    Tables,
    as_csv,
    data_of,
    fingerprint,
    present,
    rank,
    read,
    read_all,
    runs,
    write,
)
from bnrepro.tables.fig1 import (
    calibration,
    fig1,
    fig1_calibrate,
    fig1_tuned,
    first_evaluation,
    rms_point_by_point,
    rms_to_paper,
    theory,
)
from bnrepro.tables.fig2 import (
    ablations,
    ensemble,
    fig2,
    fig2_base_rate,
    fig2_equal_decay,
    fig2_init,
    fig2_paper_rates,
    fig2_samples,
    small_inception,
)
from bnrepro.tables.rates import higher_lr, higher_lr_inception, initial_scale

__all__ = [
    "BENCH",
    "BUILDERS",
    "HANDWRITTEN",
    "MADE_BY",
    "RANDOM",
    "SUMS",
    "Tables",
    "ablations",
    "as_csv",
    "calibration",
    "data_of",
    "ensemble",
    "experiment_of",
    "fig1",
    "fig1_calibrate",
    "fig1_tuned",
    "fig2",
    "fig2_base_rate",
    "fig2_equal_decay",
    "fig2_init",
    "fig2_paper_rates",
    "fig2_samples",
    "fingerprint",
    "first_evaluation",
    "higher_lr",
    "higher_lr_inception",
    "initial_scale",
    "present",
    "rank",
    "read",
    "read_all",
    "rms_point_by_point",
    "rms_to_paper",
    "runs",
    "small_inception",
    "theory",
    "write",
]

BUILDERS: dict[str, Callable[[list[Record]], Tables]] = {
    "ablations": ablations,
    "ensemble": ensemble,
    "fig1": fig1,
    "fig1_calibrate": fig1_calibrate,
    "fig1_tuned": fig1_tuned,
    "fig2": fig2,
    "fig2_base_rate": fig2_base_rate,
    "fig2_equal_decay": fig2_equal_decay,
    "fig2_init": fig2_init,
    "fig2_paper_rates": fig2_paper_rates,
    "fig2_samples": fig2_samples,
    "higher_lr": higher_lr,
    "higher_lr_inception": higher_lr_inception,
    "initial_scale": initial_scale,
    "small_inception": small_inception,
    "theory": theory,
}


def experiment_of(table: str) -> str:
    """Name the experiment that a table comes from, by which its name begins."""
    return max((name for name in BUILDERS if table.startswith(name)), key=len)
