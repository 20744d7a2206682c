"""What the paper prints: S. Ioffe, C. Szegedy, Batch Normalization, ICML 2015 (arXiv 1502.03167v3).

The curves were measured on the vector paths of the published figures, to about one line width: ±0.002 in accuracy,
±0.05 in a sigmoid's input.
"""

from functools import cache
from pathlib import Path

import pandas as pd

CITATION = (
    "S. Ioffe, C. Szegedy. Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate "
    "Shift. ICML 2015, arXiv 1502.03167v3"
)
STEPS = 50_000  # Sec. 4.1
FINAL_ACCURACY = {"mlp": 0.972, "mlp_bn": 0.982}  # Fig. 1a, at the right end
# Fig. 1a joins evaluations by straight lines, so it was evaluated where these bend, as located by a fit of straight
# pieces to some 200 steps, and with BN at the line's left end. Later bends are flat: where they lie matters little.
EVALUATIONS = {"mlp": (7_410, 12_090, 16_100), "mlp_bn": (4_020, 8_000, 12_100, 16_100)}
BETWEEN_EVALUATIONS = (3_680, 4_680)  # steps from one to the next, the least and the most of these
STEPS_TO_BASELINE = 15_500  # Fig. 1a: where the curve with BN crosses the other's final accuracy

INCEPTION = {  # Fig. 3: steps to Inception's maximum (in millions; None: never) and the maximum itself
    "inception": (31.0, 0.722),
    "bn_baseline": (13.3, 0.727),
    "bn_x5": (2.1, 0.730),
    "bn_x30": (2.7, 0.748),
    "bn_x5_sigmoid": (None, 0.698),
}
SHUFFLING = 0.01  # Sec. 4.2.1: "about 1% improvements in the validation accuracy"
TOP1_ERROR = {"single": 0.252, "multicrop": 0.2199, "ensemble": 0.201}  # Fig. 4: BN-Inception, and six of them
TOP5_ERROR = {"single": 0.0782, "multicrop": 0.0582, "ensemble": 0.049}
SMALL_INCEPTION = {"small_inception": 0.82, "small_inception_bn": 0.8575}  # Zhang et al. 2017, arXiv 1611.03530
INCEPTION_PARAMETERS = 13.6e6  # Sec. 4.2
GROWTH = {"layers": 9, "parameters": 1.25, "multiply_adds": 1.3}  # appendix: over GoogLeNet, by two 3x3 for a 5x5
AT_1M = {"bn_x5": 0.697, "bn_x30": 0.664}  # Fig. 2, accuracy at 1 million steps, read off the curves
CHANCE = 0.001  # of ImageNet's 1,000 classes

_NETWORKS = {"without_bn": "mlp", "with_bn": "mlp_bn"}


@cache
def figure_1a() -> pd.DataFrame:
    """Return the printed test accuracy: network, step, test_accuracy."""
    return _read("fig1a_test_accuracy.csv")


@cache
def figure_1bc() -> pd.DataFrame:
    """Return the printed percentiles: network, percentile, fraction_of_training, input_value."""
    return _read("fig1bc_sigmoid_input_percentiles.csv")


@cache
def figure_2() -> pd.DataFrame:
    """Return the printed single-crop validation accuracy: network, step, validation_accuracy."""
    return pd.read_csv(Path(__file__).parent / "fig2_validation_accuracy.csv")


def _read(name: str) -> pd.DataFrame:
    table = pd.read_csv(Path(__file__).parent / name)
    return table.assign(network=table["network"].map(_NETWORKS))
