"""What the run asks of every network."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Network(nn.Module, ABC):
    """A stack of R networks: input (R, B, ...), output logits (R, B, classes)."""

    @abstractmethod
    def weights(self) -> dict[str, list[Tensor]]:
        """Return the weights of each layer, as parameters whose first or only axis is the replicas'."""

    @abstractmethod
    def watched(self) -> dict[str, list[nn.Module]]:
        """Return, for each layer, the nonlinearities whose inputs are watched."""
