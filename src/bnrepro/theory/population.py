"""Algorithm 2's exact population statistics against the moving averages that Sec. 3.1 allows in their place."""

from dataclasses import replace

import pandas as pd
import torch

from bnrepro.config import BatchNormConfig, PopulationConfig, RunConfig
from bnrepro.data import Dataset
from bnrepro.errors import BadInput
from bnrepro.evaluate import Population, evaluate
from bnrepro.state import initial
from bnrepro.train import advance

POINTS = 7  # steps at which the network is evaluated, early and late


def measure(config: RunConfig, study: PopulationConfig, dataset: Dataset, device: torch.device) -> pd.DataFrame:
    """Return columns batch_size, step, population (exact, moving), seed, accuracy, loss; both on held-out examples.

    Raises:
        BadInput: nothing is held out.
    """
    if not len(dataset.held_out):
        raise BadInput("data.held_out is 0: this study is judged on held-out examples, keep 1 or more aside")
    assert isinstance(config.norm, BatchNormConfig)
    rows = []
    for batch_size in study.batch_sizes:
        state = initial(replace(config, batch_size=batch_size), dataset, device)
        populations = {
            name: Population(
                name == "exact",
                dataset.train,
                batch_size,
                config.norm.population_batches,
                config.seeds,
                config.augment,
            )
            for name in ("exact", "moving")
        }
        for step in sorted(_steps(config.steps)):
            while state.step < step:
                advance(state)
            for name, population in populations.items():
                with population.of(state.model):
                    accuracy, loss = evaluate(state.model, dataset.held_out, len(config.seeds))
                measured = zip(config.seeds, accuracy.tolist(), loss.tolist(), strict=True)
                rows += [(batch_size, step, name, *values) for values in measured]
    return pd.DataFrame(rows, columns=["batch_size", "step", "population", "seed", "accuracy", "loss"])


def _steps(steps: int) -> set[int]:
    """Choose steps that are spread evenly on a logarithmic scale."""
    return {round(steps ** (i / (POINTS - 1))) for i in range(POINTS)}
