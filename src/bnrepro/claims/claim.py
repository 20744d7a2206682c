"""What a claim is, and how a list of them becomes the rows of claims.csv."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps

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
    """What was measured and what follows; a ``note`` says in the statement what the number leaves open."""

    estimate: Estimate
    verdict: Verdict
    note: str = ""


NOT_RUN = Outcome(Estimate(np.nan, np.nan, np.nan, 0), "not run")
Check = Callable[..., Outcome]


def needs(*networks: str) -> Callable[[Check], Check]:
    """Make a check of a table's rows say ``not run`` where one of these networks has none."""

    def decorate(check: Check) -> Check:
        @wraps(check)
        def checked(table: pd.DataFrame) -> Outcome:
            return check(table) if set(networks) <= set(table["network"]) else NOT_RUN

        return checked

    return decorate


@dataclass(frozen=True)
class Claim:
    """One statement of the paper and the program that checks it.

    Attributes:
        id: as in the report; what follows a colon tells two readings of one claim apart.
        section: where the paper says it.
        statement: what is claimed, and of which quantity the numbers speak.
        paper: the paper's number.
        threshold: what the verdict compares with, in words; committed before the runs that it judges.
        table: the table that the check reads, or several; where one is missing the claim is ``not run``.
        check: from these tables to the outcome.
    """

    id: str
    section: str
    statement: str
    paper: float
    threshold: str
    table: str | tuple[str, ...]
    check: Callable[..., Outcome]


def worst_case(values: pd.Series, most: float) -> Outcome:
    """Judge an exact statement: the largest of its residuals, one a trial or seed, must lie below ``most``."""
    worst = float(values.max(skipna=False))  # NaN stays, and does not pass
    e = Estimate(worst, float(values.min()), worst, len(values))
    return Outcome(e, "reproduced" if worst < most else "not reproduced")


def judge(claims: Iterable[Claim], tables: Tables, data: str) -> pd.DataFrame:
    """Return one row of claims.csv for each claim, judged on the tables of one data set."""
    rows = []
    for claim in claims:
        names = (claim.table,) if isinstance(claim.table, str) else claim.table
        there = [tables[name] for name in names if name in tables]
        outcome = claim.check(*there) if len(there) == len(names) else NOT_RUN
        scale = " ".join(there[0]["scale"].unique()) if outcome.verdict != "not run" else ""
        e, statement = outcome.estimate, claim.statement + outcome.note
        values = (claim.id, claim.section, statement, claim.paper, e.value, e.low, e.high, e.seeds)
        rows.append([*values, claim.threshold, outcome.verdict, data, scale])
    return pd.DataFrame(rows, columns=COLUMNS)
