"""The paper's claims, judged from the tables by program: ``judge(tables, data) -> rows of claims.csv``. No torch."""

from bnrepro.claims import ablations, architecture, exact, fig1, fig2_readings, jacobian, rates, theory
from bnrepro.claims.claim import COLUMNS, Claim, Outcome, judge
from bnrepro.tables import HANDWRITTEN, RANDOM

__all__ = ["COLUMNS", "Claim", "Outcome", "about", "judge"]


def about(data: str) -> list[Claim]:
    """Return the claims that speak of a data set, in the paper's order; ``random``: the exact statements.

    Of MNIST alone there is a printed curve to be near to.
    """
    if data == RANDOM:
        return [*exact.CLAIMS, *architecture.CLAIMS]
    if data in HANDWRITTEN:
        of_fig1 = [claim for claim in fig1.CLAIMS if data == "mnist" or not claim.id.startswith("fig1a-curve")]
        return [*of_fig1, *rates.ON_DIGITS, *theory.CLAIMS, *jacobian.CLAIMS]
    return [*fig2_readings.CLAIMS, *rates.ON_IMAGES, *ablations.CLAIMS]
