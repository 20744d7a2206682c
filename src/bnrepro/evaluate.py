"""Accuracy and loss of a stack on a whole set of examples, in inference mode."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bnrepro import distributed
from bnrepro.config import AugmentConfig
from bnrepro.data import Examples, Sampler
from bnrepro.norm import exact_population
from bnrepro.seeding import POPULATION, POPULATION_AUGMENTATION

CHUNK = 250  # examples at once: few enough to stay in a CPU's cache; changes nothing


@torch.no_grad()
def evaluate(model: nn.Module, examples: Examples, replicas: int) -> tuple[Tensor, Tensor]:
    """Return each replica's share of right answers and mean cross-entropy, both (R,) float64.

    A replica whose outputs are not finite is right about nothing. Of several processes, each does its share.
    """
    was_training = model.training
    model.eval()
    right = torch.zeros(replicas, dtype=torch.float64, device=examples.labels.device)
    loss = torch.zeros_like(right)
    starts = range(distributed.rank() * CHUNK, len(examples), distributed.size() * CHUNK)
    for chunk in (examples[start : start + CHUNK] for start in starts):
        images, labels = chunk.inputs, chunk.labels
        logits = model(images.expand(replicas, *images.shape))  # (R, N, classes)
        targets = labels.expand(replicas, -1)
        finite = torch.isfinite(logits).all(dim=2)
        right += ((logits.argmax(dim=2) == targets) & finite).sum(dim=1)
        loss += functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").double().sum(dim=1)
    model.train(was_training)
    distributed.mean_([right, loss])
    count = len(examples) / distributed.size()
    return right / count, loss / count


@dataclass(frozen=True)
class Population:
    """Whose moments a network is evaluated with: Algorithm 2's exact ones, or as they stand, moving averages.

    The exact ones come from the same ``batches`` training mini-batches of ``batch_size`` whenever they are asked for,
    an order and distortions of their own for each seed.
    """

    exact: bool
    train: Examples
    batch_size: int
    batches: int
    seeds: list[int]
    augment: AugmentConfig

    def of(self, model: nn.Module) -> AbstractContextManager[None]:
        """Return the context in which ``model`` has these moments."""
        return exact_population(model, self._mini_batches()) if self.exact else nullcontext()

    def _mini_batches(self) -> Iterator[Tensor]:
        streams = POPULATION, POPULATION_AUGMENTATION
        sampler = Sampler(self.train, self.batch_size, self.seeds, self.augment, streams)
        return (sampler.next().images for _ in range(self.batches))
