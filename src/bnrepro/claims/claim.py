"""What a claim is, and how a list of them becomes the rows of claims.csv."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bnrepro.claims.verdict import Estimate, Verdict
from bnrepro.tables import Tables

COLUMNS = [
    *("id", "section", "statement", "paper", "ours", "low", "high", "seeds"),
    *("threshold", "verdict", "data", "scale"),
]
ADDED = "(added after the first measurement)"  # ends the threshold of a reading that was; all others came before


@dataclass(frozen=True)
class Outcome:
    """What was measured and what follows."""

    estimate: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class Claim:
    """One statement of the paper and the program that checks it.

    Attributes:
        id: as in the report; what follows a colon tells two readings of one claim apart.
        section: where the paper says it.
        statement: what is claimed, and of which quantity the numbers speak.
        paper: the paper's number.
        threshold: what the verdict compares with, in words; committed before the runs that it judges.
        table: the table, one per experiment, that the check reads; without it the claim is ``not run``.
        check: from that table to the outcome.
    """

    id: str
    section: str
    statement: str
    paper: float
    threshold: str
    table: str
    check: Callable[[pd.DataFrame], Outcome]


def worst_case(values: pd.Series, most: float) -> Outcome:
    """Judge an exact statement: the largest of its residuals, one a trial or seed, must lie below ``most``."""
    worst = float(values.max(skipna=False))  # NaN stays, and does not pass
    e = Estimate(worst, float(values.min()), worst, len(values))
    return Outcome(e, "reproduced" if worst < most else "not reproduced")


def judge(claims: Iterable[Claim], tables: Tables, data: str) -> pd.DataFrame:
    """Return one row of claims.csv for each claim, judged on the tables of one data set."""
    rows = []
    for claim in claims:
        if claim.table in tables:
            table = tables[claim.table]
            outcome, scale = claim.check(table), " ".join(table["scale"].unique())
        else:
            outcome, scale = Outcome(Estimate(np.nan, np.nan, np.nan, 0), "not run"), ""
        e = outcome.estimate
        values = (claim.id, claim.section, claim.statement, claim.paper, e.value, e.low, e.high, e.seeds)
        rows.append([*values, claim.threshold, outcome.verdict, data, scale])
    return pd.DataFrame(rows, columns=COLUMNS)
