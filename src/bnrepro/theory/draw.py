"""What the exact statements are checked on: random shapes and values in float64, and how far two results are apart."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bnrepro.norm import batch_norm


@dataclass(frozen=True)
class Draw:
    """Random numbers of one trial."""

    generator: torch.Generator

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number from low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers, float64."""
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def activations(self) -> Tensor:
        """Draw activations (B, C) or maps (B, C, H, W) of some mean and spread."""
        B, C = self.whole(4, 64), self.whole(1, 16)
        spatial = [self.whole(1, 6), self.whole(1, 6)] if self.whole(0, 1) else []
        per_map = [1, C, *(1 for _ in spatial)]
        return self.normal(*per_map) + self.normal(*per_map).exp() * self.normal(B, C, *spatial)

    def parameters(self, C: int) -> tuple[Tensor, Tensor]:
        """Draw γ and β."""
        return self.normal(C), self.normal(C)


def residual(ours: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest expected value (or to 1, where that is less)."""
    return float((ours - expected).detach().abs().max() / max(1.0, float(expected.detach().abs().max())))


def plain(x: Tensor, eps: float) -> Tensor:
    """Normalise with γ = 1 and β = 0."""
    one = torch.ones(x.shape[1], dtype=x.dtype)
    return batch_norm(x, one, torch.zeros_like(one), eps)[0]


def over_mini_batch(x: Tensor) -> tuple[int, ...]:
    """Return all dimensions but that of the activations."""
    return tuple(d for d in range(x.dim()) if d != 1)
