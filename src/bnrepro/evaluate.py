"""Accuracy and loss of a stack on a whole set of examples, in inference mode."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bnrepro.data import Examples

CHUNK = 2000  # examples at once: bounds the memory, changes nothing


@torch.no_grad()
def evaluate(model: nn.Module, examples: Examples, replicas: int) -> tuple[Tensor, Tensor]:
    """Return each replica's share of right answers and mean cross-entropy, both (R,) float64.

    A replica whose outputs are not finite is right about nothing.
    """
    was_training = model.training
    model.eval()
    right = torch.zeros(replicas, dtype=torch.float64, device=examples.labels.device)
    loss = torch.zeros_like(right)
    for chunk in (examples[start : start + CHUNK] for start in range(0, len(examples), CHUNK)):
        images, labels = chunk.images, chunk.labels
        logits = model(images.expand(replicas, *images.shape))  # (R, N, classes)
        targets = labels.expand(replicas, -1)
        finite = torch.isfinite(logits).all(dim=2)
        right += ((logits.argmax(dim=2) == targets) & finite).sum(dim=1)
        loss += functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").double().sum(dim=1)
    model.train(was_training)
    return right / len(examples), loss / len(examples)
