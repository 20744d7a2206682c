"""The tables of Figure 1 and of the studies of Sections 2 and 3."""

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import pandas as pd

from bnrepro.curves import accuracy_curves, drifts, final_accuracy, last_layer, typical_bands
from bnrepro.paper import BETWEEN_EVALUATIONS, EVALUATIONS, figure_1a
from bnrepro.record import Record
from bnrepro.stability import Floats
from bnrepro.tables.base import Tables, labelled, settings

BASELINE = "mlp"  # the network without BN, whose curve is fitted
SETTINGS = ["encoding", "init_std", "lr"]  # what the paper does not give


def first_evaluation(network: str, curve: pd.Series) -> int | None:
    """Return where the first evaluation of the print suits ``curve`` best; None where the print shows it.

    Without BN it lies at or before the left end of the printed line, which is straight from there to the first bend.
    """
    begin, bend = _left_end(network), EVALUATIONS[network][0]
    least, most = BETWEEN_EVALUATIONS
    if bend <= begin:
        return None
    places: list[int] = [*range(bend - most, min(bend - least, begin), 50), begin]
    alone = curve.to_frame("accuracy")
    distances = [rms_to_paper(network, alone, place)[0] for place in places]
    return places[int(np.argmin(distances))]


def rms_to_paper(network: str, curves: pd.DataFrame, first: int | None = None) -> Floats:
    """Return each column's root mean square distance from the printed curve (Fig. 1a).

    The print joins its evaluations by straight lines, which cut off the bend of early training. So ours is read at
    these evaluations and joined by straight lines too.

    Args:
        network: mlp or mlp_bn.
        curves: accuracy, indexed by step, one column per seed or setting.
        first: the evaluation before those whose places are known (:func:`first_evaluation`); None: compare from the
            first of these on.
    """
    printed = _printed(network)
    *located, last = EVALUATIONS[network]
    begin, end = max(printed["step"].iloc[0], located[0] if first is None else 0), printed["step"].iloc[-1]
    later = np.linspace(last, end, 1 + round((end - last) / np.mean(BETWEEN_EVALUATIONS)))
    seen = [*([] if first is None else [first]), *located, *later]
    return _joined(printed[printed["step"] >= begin], curves, seen)


def _joined(printed: pd.DataFrame, curves: pd.DataFrame, evaluations: list[float]) -> Floats:
    joined = [np.interp(evaluations, curves.index, accuracy) for accuracy in curves.to_numpy().T]
    return _rms(printed, evaluations, joined)


def rms_point_by_point(network: str, curves: pd.DataFrame) -> Floats:
    """Return the distance of ``curves`` as they are, though the print joins evaluations 4,000 steps apart."""
    return _rms(_printed(network), list(curves.index), curves.to_numpy().T)


def _rms(printed: pd.DataFrame, steps: Sequence[float], accuracies: Iterable[Floats]) -> Floats:
    ours = np.stack([np.interp(printed["step"], steps, accuracy) for accuracy in accuracies])
    distances: Floats = np.sqrt(np.mean((ours - printed["test_accuracy"].to_numpy()) ** 2, axis=1))
    return distances


def _left_end(network: str) -> int:
    return int(_printed(network)["step"].min())


@cache
def _printed(network: str) -> pd.DataFrame:
    printed = figure_1a()
    return printed[printed["network"] == network]


def calibration(curves: pd.DataFrame) -> pd.DataFrame:
    """Return each setting's distance from the printed curve without BN, the nearest first.

    Args:
        curves: the table fig1_calibrate_curves: the mean accuracy of every setting.

    Returns:
        The columns of ``SETTINGS``; rms (:func:`rms_to_paper`) and first_evaluation, which is each setting's own;
        from_left_end: the same with the first evaluation at the left end of the printed line; from_first_bend: from
        there on alone; point_by_point (:func:`rms_point_by_point`).
    """
    by_setting = curves.pivot(index="step", columns=SETTINGS, values="accuracy").sort_index()
    firsts = [first_evaluation(BASELINE, by_setting[setting]) for setting in by_setting]
    pairs = zip(by_setting, firsts, strict=True)
    table = by_setting.columns.to_frame(index=False).assign(
        rms=[rms_to_paper(BASELINE, by_setting[[setting]], first)[0] for setting, first in pairs],
        first_evaluation=pd.Series(firsts),
        from_left_end=rms_to_paper(BASELINE, by_setting, _left_end(BASELINE)),
        from_first_bend=rms_to_paper(BASELINE, by_setting),
        point_by_point=rms_point_by_point(BASELINE, by_setting),
    )
    return table.sort_values("rms", kind="stable", ignore_index=True)


def fig1(records: list[Record]) -> Tables:
    """Figure 1: accuracy of every seed, the typical sigmoid's percentiles, every sigmoid's drift."""
    accuracy, percentiles, drift = [], [], []
    for record in records:
        metrics, config = record.read_metrics(), record.config
        curves = accuracy_curves(metrics)
        long = curves.reset_index().melt(id_vars="step", var_name="seed", value_name="accuracy")
        accuracy.append(labelled(long, record))
        bands = last_layer(typical_bands(metrics, config["steps"]))
        bands = bands.assign(fraction=bands["step"] / config["steps"])
        percentiles.append(labelled(bands, record))
        drift.append(labelled(drifts(metrics, config["steps"]), record))
    return {
        "fig1_accuracy": pd.concat(accuracy, ignore_index=True),
        "fig1_percentiles": pd.concat(percentiles, ignore_index=True),
        "fig1_drift": pd.concat(drift, ignore_index=True),
    }


def fig1_calibrate(records: list[Record]) -> Tables:
    """Build the mean curve of each setting of the calibration's grid; :func:`calibration` judges them."""
    curves = []
    for record in records:
        mean = accuracy_curves(record.read_metrics()).mean(axis=1).rename("accuracy").reset_index()
        keys = {key: settings(record)[key] for key in SETTINGS}
        curves.append(labelled(mean.assign(**keys), record))
    return {"fig1_calibrate_curves": pd.concat(curves, ignore_index=True)}


def fig1_tuned(records: list[Record]) -> Tables:
    """Build final accuracies on held-out and test examples for each network, learning rate and seed."""
    pieces = []
    for record in records:
        metrics = record.read_metrics()
        final = {f"{split}_accuracy": final_accuracy(metrics, split) for split in ("held_out", "test")}
        pieces.append(labelled(pd.DataFrame(final).reset_index().assign(lr=record.config["optim.lr"]), record))
    return {"fig1_tuned": pd.concat(pieces, ignore_index=True)}


def theory(records: list[Record]) -> Tables:
    """Sections 2 and 3: a table for each study, as it was measured."""
    return {f"theory_{r.config['study.name']}": labelled(r.read_metrics(), r, network=False) for r in records}
