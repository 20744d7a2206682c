"""Which figures the report shows, and what a reader must know to read each."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from bnrepro.claims.fig2_readings import EQUAL_DECAY, INITS, PAPER_RATES, READINGS
from bnrepro.report import (
    fig2_figures,
    figures,
    jacobian_figures,
    rates_figures,
    samples,
    theory_figures,
    theory_findings,
)


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


_OVER = "with and without BN, mean over the seeds and 95 % Student t interval, over"
_CROSSES = (
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
        f"Held-out accuracy at the end of training {_OVER} learning rates, from three initial scales, the middle one "
        f"that of Fig. 1. {_CROSSES}",
        ("higher-lr",),
    ),
    Picture(
        "initial_scale",
        ("initial_scale",),
        rates_figures.initial_scale,
        f"Held-out accuracy at the end of training {_OVER} initial scales of the weights (Sec. 3.3). {_CROSSES}",
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
FIGURE_2 = ("bn-half", "x5-", "x30-", "max-order", "sigmoid-")
INCEPTION = [
    Picture(
        "fig2_samples",
        ("fig2_samples",),
        samples.distortions,
        "Training images as they are stored, and as the networks see them: two draws of the random crop and mirror "
        "without photometric distortion, with the strength 0.5 of BN-x5 and BN-x30, and with the strength 1 of the "
        "others (brightness, contrast and saturation change by up to 40 % at strength 1).",
    ),
    Picture(
        "fig2",
        ("fig2_accuracy",),
        fig2_figures.figure_2,
        "Test accuracy of the Inception networks over training (Fig. 2), single crop, smoothed by a centred running "
        "mean of five evaluations (at either end of those that there are): mean over the seeds, and their range. "
        "Dashed: the mean of Inception's maxima, those of this number of steps: where its curve still rises at the "
        "end, more steps would raise them. A diamond marks the mean number of steps after which a network reaches it, "
        "where every seed does. Right: the paper's own curves.",
        FIGURE_2,
    ),
    Picture(
        "fig2_base_rate",
        ("fig2_base_rate",),
        fig2_figures.base_rate,
        "The rate that x5 and x30 are multiples of: accuracy of Inception without BN on training images that it does"
        " not train on. Points are seeds. The best rate by the mean at the end is taken.",
    ),
    Picture(
        "fig2_equal_decay",
        ("fig2_equal_decay_accuracy", "fig2_accuracy"),
        fig2_figures.equal_decay,
        "The same where the rates of BN-x5, BN-x30 and BN-x5-Sigmoid decay as Inception's does, by a factor of 4 over "
        "the training, and not 6 times faster; the other networks are those of Fig. 2 above.",
        FIGURE_2,
        (EQUAL_DECAY,),
    ),
    Picture(
        "fig2_paper_rates",
        ("fig2_paper_rates_accuracy",),
        fig2_figures.figure_2,
        "The same networks at the paper's own rates: 0.0015 for Inception and BN-Baseline, 5 and 30 times that for the "
        "others, where Fig. 2 above starts from the rate that is best for Inception here.",
        FIGURE_2,
        (PAPER_RATES,),
    ),
    Picture(
        "fig2_init",
        ("fig2_accuracy", "fig2_init"),
        fig2_figures.initial_weights,
        "Inception and BN-Baseline from three schemes of initial weights: he, that of Figure 2 (He et al. 2015; "
        "standard deviation √(2/n) for n inputs), xavier (√(1/n)) and gaussian (0.01 everywhere). Mean of the "
        "smoothed test accuracy over the seeds, and their range. The rate is the one that suits Inception with he.",
        ("bn-half-steps", "max-order"),
        INITS,
    ),
    Picture(
        "higher_lr_inception",
        ("higher_lr_inception",),
        rates_figures.higher_lr_inception,
        f"Held-out accuracy of Inception {_OVER} learning rates, after fewer steps than in Fig. 2. {_CROSSES}",
        ("higher-lr",),
    ),
    Picture(
        "fig2_blocks",
        ("fig2_blocks",),
        fig2_figures.blocks,
        "The 15th, 50th and 85th percentile of the inputs of a block's last nonlinearities over training, all "
        "positions and maps together, with BN (blue) and without (vermilion), all else equal. With BN the inputs are "
        "normalised by the statistics of the images watched.",
    ),
    Picture(
        "fig2_drift",
        ("fig2_drift",),
        fig2_figures.drift,
        "The stability measure of Fig. 1b,c for every block: how far the median and the spread of an input move over"
        " training, in units of the mean spread; the median over 16 maps of the block, mean and range of the seeds.",
    ),
    Picture(
        "ablations",
        ("ablations",),
        fig2_figures.ablations,
        "Each of the seven changes of Sec. 4.2.1 alone: what it does to the maximum of the smoothed test accuracy, "
        "paired by seed, mean and 95 % Student t interval. Left: BN-Baseline with it minus without. Right: BN-x5 minus "
        "BN-x5 without it. To the right of the dashed line the change helps.",
        ("abl-",),
    ),
    Picture(
        "ensemble",
        ("ensemble",),
        fig2_figures.ensemble,
        "Six networks based on BN-x30 (Sec. 4.2.3) and the mean of their probabilities, from the centre of an image "
        "and from 18 crops: mean over the seeds and 95 % Student t interval.",
        ("multicrop", "ensemble"),
    ),
]
