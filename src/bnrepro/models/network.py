"""What the run asks of every network."""

from torch import Tensor, nn


class Network(nn.Module):
    """A stack of R networks: input (R, B, ...), output logits (R, B, classes)."""

    def weights(self) -> dict[str, list[Tensor]]:
        """Return the weights of each layer, as parameters whose first or only axis is the replicas'."""
        raise NotImplementedError

    def watched(self) -> dict[str, list[nn.Module]]:
        """Return, for each layer, the nonlinearities whose inputs are watched."""
        raise NotImplementedError
