"""Which figures the report shows, and what a reader must know to read each; the Inception networks' are apart."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from bnrepro.claims.fig2_readings import READINGS
from bnrepro.report import figures, jacobian_figures, rates_figures, theory_figures, theory_findings


@dataclass(frozen=True)
class Picture:
    """A figure, the tables that it needs, what a reader must know to read it, and what is judged by its numbers.

    ``found`` says from the tables what the figure shows, behind the caption, which holds for any data.
    ``claims`` are the beginnings of the ids of the claims whose verdicts stand beside the figure, ``readings`` which
    of their readings (:data:`bnrepro.claims.fig2_readings.READINGS`; empty: the first).
    """

    name: str
    tables: tuple[str, ...]
    draw: Callable[..., Figure]
    caption: str
    claims: tuple[str, ...] = ()
    readings: tuple[str, ...] = ("",)
    found: Callable[..., str] | None = None

    def judged_by(self, claim: str) -> bool:
        """Say whether a claim's verdict stands beside the figure."""
        reading = claim.rpartition(":")[2]
        return claim.startswith(self.claims) and (reading if reading in READINGS else "") in self.readings


OVER = "with and without BN, mean over the seeds and 95 % Student t interval, over"
CROSSES = (
    "Crosses: seeds that diverged or ended at chance; a loss that is not finite counts as accuracy 0. Of a network "
    "that still trains at an end of the grid, the range is at least what is given."
)
TRAINED = [
    Picture(
        "fig1a",
        ("fig1_accuracy",),
        figures.figure_1a,
        "Test accuracy of the network with and without BN over training (Fig. 1a): mean over the seeds, the 95 % "
        "Student t interval of the mean as a band, the paper's printed curves dashed. For the claims, curves are "
        "smoothed by a running mean of the last five evaluations, which delays a crossing by two of them. "
        "Circles: ours where the print was evaluated, as far as its lines show; without BN the first lies where it "
        "suits the curve. BN is evaluated with moving averages.",
        ("fig1a-",),
    ),
    Picture(
        "fig1bc",
        ("fig1_percentiles",),
        figures.figure_1bc,
        "The 15th, 50th and 85th percentile of the input of one typical sigmoid of the last hidden layer over "
        "training (Fig. 1b,c). Typical is the unit whose median drifts as much as the median of its layer. With BN "
        "the inputs are normalised by the statistics of the examples watched. Coloured: the first seed; grey: the "
        "typical units of the others. The paper's unit is one of another network.",
        ("fig1b-", "fig1c-"),
    ),
    Picture(
        "fig1_drift",
        ("fig1_drift",),
        figures.drift,
        "How far the median and the spread (85th minus 15th percentile) of every last-hidden-layer sigmoid's input "
        "move over training: their range over 100 points of training, divided by the mean spread. All seeds together; "
        "the axes leave out the most extreme half per cent. Dashed: the same measure on the printed sigmoids.",
    ),
    Picture(
        "fig1_calibrate_grid",
        ("fig1_calibrate_curves",),
        figures.calibration_grid,
        "The settings that the paper does not give: root mean square distance between the mean test accuracy of the "
        "network without BN and its printed curve, ours joined by straight lines between the print's evaluations, as "
        "the print is. Without BN the first evaluation lies at or before the left end of the printed line: it is taken "
        "where it suits each setting best. The square marks the nearest setting, which Figure 1 uses. Darker is "
        "nearer, on a logarithmic scale. A first measure, at every point, took the print's straight lines for "
        "accuracies and so preferred slower settings.",
        found=figures.calibrated,
    ),
    Picture(
        "fig1_calibrate_curves",
        ("fig1_calibrate_curves",),
        figures.calibration_curves,
        "The curves behind the grid.",
    ),
    Picture(
        "fig1_tuned",
        ("fig1_tuned",),
        figures.tuned,
        "Final accuracy at each learning rate, on training images kept aside (dotted) and on the test set "
        "(solid): mean and 95 % Student t interval over the seeds; dots: each seed on the test set. "
        "Each network's rate is chosen on the images kept "
        "aside; the test set is read there. Only the rate is chosen: the initial scale stays that of Figure 1.",
    ),
    Picture(
        "higher_lr",
        ("higher_lr",),
        rates_figures.higher_lr,
        f"Held-out accuracy at the end of training {OVER} learning rates, from three initial scales, the middle one "
        f"that of Fig. 1. {CROSSES}",
        ("higher-lr",),
    ),
    Picture(
        "initial_scale",
        ("initial_scale",),
        rates_figures.initial_scale,
        f"Held-out accuracy at the end of training {OVER} initial scales of the weights (Sec. 3.3). {CROSSES}",
        ("initial-scale",),
    ),
    Picture(
        "theory_naive_drift",
        ("theory_naive_drift",),
        theory_figures.naive_drift,
        "Section 2's mistake. Left: a layer that adds b to its input and subtracts the mean, the mean kept outside the "
        "gradient; b grows by the same amount at every step and the loss does not change (first seed). Middle and "
        "right: the same in the network of Fig. 1, norm of all hidden layers' biases and training loss, mean and 95 % "
        "interval over seeds, beside BN and, as the control, no normalisation. In the arm BN a bias is kept before BN: "
        "what it has is rounding. A model counts as blown up where its loss ends above its first value: a generous "
        "reading, for such a loss is still finite.",
        ("naive-drift",),
        found=theory_findings.drift,
    ),
    Picture(
        "theory_jacobian",
        ("theory_jacobian",),
        jacobian_figures.jacobian,
        "Section 3.3's conjecture. Left and middle: singular values of the layer Jacobians at single examples, for "
        "each depth at the start and at the end of training (the steps under the depth), all layers watched together; "
        "quartiles (bars) and 5 to 95 % (lines), mean over the seeds. Normalised: from one layer's normalised "
        "activation to the next one's, the mini-batch's statistics held, which gives the network without BN what BN "
        "would supply. Its own Jacobian: from one nonlinearity's input to the next one's, which its gradients pass "
        "through. A dagger: an activation of a layer watched does not vary in float32, so that the normalised Jacobian "
        "does not exist. Half of a ReLU's values are 0 and lie below the axis; of a square Gaussian matrix 69 % are "
        "within [1/2, 2]. Right: squared norm of the gradient with respect to the nonlinearity's input, relative to "
        "the last layer's, and the factor per layer towards the input; dashed π/(π-1), which later theory finds for "
        "wide ReLU layers with BN (Yang et al. 2019, arXiv 1902.08129).",
        ("jacobian",),
    ),
    Picture(
        "theory_jacobian_training",
        ("theory_jacobian",),
        jacobian_figures.along_training,
        "The share of singular values near 1 over training, in the readings of the figure above: at the start, after a "
        "hundredth and a tenth of the steps where these are one or more, and at the end. A line is missing where the "
        "normalised Jacobian does not exist.",
    ),
    Picture(
        "theory_population",
        ("theory_population",),
        theory_figures.population,
        "Algorithm 2's exact population statistics, from training mini-batches, against moving averages, which early "
        "in training still hold their initial values; mean and 95 % interval over seeds.",
        ("alg2-population",),
        found=theory_findings.population,
    ),
]
RANDOM = [
    Picture(
        "theory_scale_invariance",
        ("theory_exact",),
        theory_figures.scale_invariance,
        "Section 3.3: with ε = 0 the scale a of the weights changes nothing but rounding. With ε above 0 BN(Wu) itself "
        "has ε in it and BN(aWu) less of it the larger a is, so the change levels off for large a and grows where the "
        "variance of aWu comes near ε. At a = 1 there is none. Median and range over random weights and inputs.",
        ("scale-invariance",),
    ),
    Picture(
        "theory_whitening_cost",
        ("theory_whitening_cost",),
        theory_figures.whitening_cost,
        "What Sec. 2 gives as the reason against full whitening. Left: forward and backward pass of the layer alone; "
        "dotted: the fitted powers of the width. The times still grow faster at the largest widths. "
        "Right: Algorithm 2's last line, BN at inference folded into the linear layer before it, modules both.",
        ("whitening-cost", "alg2-affine"),
    ),
]
