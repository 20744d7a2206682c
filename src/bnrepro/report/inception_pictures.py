"""The figures of the Inception networks (Sec. 4.2) that the report shows."""

from bnrepro.claims.fig2_readings import EQUAL_DECAY, INITS, PAPER_RATES
from bnrepro.report import fig2_figures, rates_figures, samples
from bnrepro.report.pictures import CROSSES, OVER, Picture

_CENTRED = (
    "a centred running mean of five evaluations, at most a tenth of the training's (at either end of those there are)"
)
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
        f"Test accuracy of the Inception networks over training (Fig. 2), single crop, smoothed by {_CENTRED}: thin "
        "each seed, thick their mean. "
        "Dashed: the mean of Inception's maxima, those of this number of steps: where its curve still rises at the "
        "end, more steps would raise them. A diamond marks the mean number of steps after which a network reaches the "
        "maximum of the same seed's Inception; a network without one does not reach it on every seed. Right: the "
        "paper's own curves.",
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
        "the training, and not 6 times faster; Inception and BN-Baseline are those of Fig. 2 above.",
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
        "standard deviation √(2/n) for n inputs; left out where Figure 2 was trained at another scale), xavier "
        f"(√(1/n)) and gaussian (0.01 everywhere). Test accuracy, smoothed by {_CENTRED}: mean over the seeds, and "
        "their range. The rate is the one that suits Inception with he.",
        ("bn-half-steps", "max-order"),
        INITS,
    ),
    Picture(
        "higher_lr_inception",
        ("higher_lr_inception",),
        rates_figures.higher_lr_inception,
        f"Held-out accuracy of Inception {OVER} learning rates, after fewer steps than in Fig. 2. {CROSSES}",
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
        " training, in units of the mean spread; the median over 16 maps of the block, mean and range of the seeds. "
        "Left out: networks that diverged, or an input of which does not vary, on any seed.",
    ),
    Picture(
        "ablations",
        ("ablations",),
        fig2_figures.ablations,
        "Each of the seven changes of Sec. 4.2.1 alone: what it does to the maximum of the test accuracy, smoothed by "
        f"{_CENTRED}, paired by seed, mean and 95 % Student t interval. Left: BN-Baseline with it minus without. "
        "Right: BN-x5 minus BN-x5 without it. To the right of the dashed line the change helps.",
        ("abl-",),
    ),
    Picture(
        "ensemble",
        ("ensemble",),
        fig2_figures.ensemble,
        "Six networks based on BN-x30 (Sec. 4.2.3) and the mean of their probabilities, from the centre of an image "
        "and from 18 crops: mean over the seeds and 95 % Student t interval. A network whose probabilities are not "
        "finite is right about nothing, and so is a mean with one.",
        ("multicrop", "ensemble"),
    ),
]
