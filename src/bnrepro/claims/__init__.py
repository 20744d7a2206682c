"""The paper's claims, judged from the tables by program: ``judge(tables, data) -> rows of claims.csv``. No torch."""

from bnrepro.claims.claim import COLUMNS, Claim, Outcome, judge
from bnrepro.claims.fig1 import CLAIMS

__all__ = ["CLAIMS", "COLUMNS", "Claim", "Outcome", "judge"]
