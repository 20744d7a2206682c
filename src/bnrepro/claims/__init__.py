"""The paper's claims, judged from the tables by program: ``judge(tables, data) -> rows of claims.csv``. No torch."""

from bnrepro.claims import ablations, architecture, exact, fig1, fig2_readings, jacobian, rates, theory
from bnrepro.claims.claim import COLUMNS, Claim, Outcome, judge
from bnrepro.tables import HANDWRITTEN, RANDOM

__all__ = ["COLUMNS", "Claim", "Outcome", "about", "judge"]


def about(data: str) -> list[Claim]:
    """Return the claims that speak of a data set, in the paper's order; ``random``: the exact statements."""
    if data == RANDOM:
        return [*exact.CLAIMS, *architecture.CLAIMS]
    if data in HANDWRITTEN:
        return [*fig1.CLAIMS, *rates.ON_DIGITS, *theory.CLAIMS, *jacobian.CLAIMS]
    return [*fig2_readings.CLAIMS, *rates.ON_IMAGES, *ablations.CLAIMS]
