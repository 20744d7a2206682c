"""The exact statements that no figure shows: a sentence each, of what was drawn and how it came out."""

from typing import Any

import pandas as pd

from bnrepro.report.cells import interval, number

_ACTIVATIONS = "4 to 64 examples of 1 to 16 units, or of as many maps of up to 6×6, means normal and spreads log-normal"
_BACKWARD = f"{_ACTIVATIONS}; γ, β and the gradient with respect to y normal"
_POPULATION = "populations of 2 to 5 vectors, every mini-batch of m = 2 to 4 of them"
_MATES = "an example and 59 batch-mates, normal numbers; the mates are drawn anew 20 times"
DRAWN = {
    "alg1-moments": _ACTIVATIONS,
    "alg1-moments:eps": _ACTIVATIONS,
    "alg1-backward:autograd": _BACKWARD,
    "alg1-backward:differences": f"{_BACKWARD}; differences along a random direction",
    "alg1-backward:framework": _BACKWARD,
    "alg1-identity": _ACTIVATIONS,
    "alg2-population:exact": _POPULATION,
    "alg2-population:bessel": _POPULATION,
    "bias-redundant:output": f"{_ACTIVATIONS}; biases normal",
    "bias-redundant:gradient": _BACKWARD,
    "conv-shared": "2 to 8 examples of 1 to 8 maps of up to 5×5, means normal; γ and β normal",
    "batch-coupling:inference": _MATES,
    "batch-coupling:training": _MATES,
    "bn-two-parameters": "fully connected and convolutional networks of 1 to 4 hidden layers of 1 to 64 units or maps",
}


def exact_statements(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """Return id and sentence of each that was run; ``claims`` are rows of claims.csv."""
    run = claims[claims["id"].isin(DRAWN) & (claims["verdict"] != "not run")]
    return [{"id": claim["id"], "sentence": _sentence(claim)} for claim in run.to_dict("records")]


def _sentence(claim: dict[Any, Any]) -> str:
    if claim["paper"] == 0:  # of a residual
        found = f"worst residual {number(claim['ours'])}"
    else:
        found = f"mean {number(claim['ours'])} ({interval(claim)})"
    drawn, threshold = DRAWN[claim["id"]], claim["threshold"]
    return (
        f"{claim['statement']}. Drawn: {drawn}. {found[0].upper()}{found[1:]} in {claim['seeds']} trials; threshold: "
        f"{threshold}; {claim['verdict']}."
    )
