"""The order of examples: every replica goes through its own permutations of the training set."""

from typing import Any

import torch
from torch import Tensor

from bnrepro.data.dataset import Examples
from bnrepro.errors import BadInput
from bnrepro.seeding import ORDER, generator


class Sampler:
    """Mini-batches without replacement, an epoch's last incomplete mini-batch dropped.

    A seed's order does not depend on the network nor on the other seeds, so that comparisons are paired.

    Args:
        train: the training set.
        batch_size: examples in each replica's mini-batch.
        seeds: one a replica.
        stream: what the examples are for; orders of different streams are independent.

    Raises:
        BadInput: a mini-batch is larger than the training set.
    """

    def __init__(self, train: Examples, batch_size: int, seeds: list[int], stream: int = ORDER) -> None:
        if batch_size > len(train):
            raise BadInput(f"batch_size is {batch_size}: there are {len(train)} training examples, take fewer")
        self.train = train
        self.batch_size = batch_size
        self.generators = [generator(seed, stream) for seed in seeds]
        self.position = 0
        self._shuffle()

    def _shuffle(self) -> None:
        orders = [torch.randperm(len(self.train), generator=g) for g in self.generators]
        self.permutations = torch.stack(orders).to(self.train.labels.device)
        self.position = 0

    def next(self) -> Examples:
        """Return the next mini-batch of every replica: images (R, B, features), labels (R, B)."""
        if self.position + self.batch_size > len(self.train):
            self._shuffle()
        index = self.permutations[:, self.position : self.position + self.batch_size]
        self.position += self.batch_size
        flat = index.reshape(-1)
        images = self.train.images.index_select(0, flat).view(*index.shape, -1)
        return Examples(images, self.train.labels.index_select(0, flat).view(index.shape))

    def state_dict(self) -> dict[str, Any]:
        """Return all that the following mini-batches depend on."""
        states = torch.stack([g.get_state() for g in self.generators])
        return {"permutations": self.permutations, "position": self.position, "generators": states}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Go on where ``state`` was taken."""
        assert isinstance(state["permutations"], Tensor)
        assert isinstance(state["generators"], Tensor)
        self.permutations = state["permutations"].to(self.permutations.device)
        self.position = int(state["position"])
        for g, generator_state in zip(self.generators, state["generators"], strict=True):
            g.set_state(generator_state.cpu().clone())  # a view into the stack is refused
