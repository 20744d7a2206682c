"""The order of examples: every replica goes through its own permutations of the training set."""

from typing import Any

import torch
from torch import Tensor

from bnrepro import distributed
from bnrepro.config import AugmentConfig
from bnrepro.data.augment import Augment, as_input
from bnrepro.data.dataset import Examples
from bnrepro.errors import BadInput
from bnrepro.seeding import AUGMENTATION, ORDER, generator

AS_THEY_ARE = AugmentConfig(shuffle="full", crop=0, crop_at="random", pad=0, flip=False, photometric=0.0)
TRAINING = (ORDER, AUGMENTATION)


class Sampler:
    """Mini-batches without replacement, an epoch's last incomplete mini-batch dropped.

    A seed's order and distortions do not depend on the network nor on the other seeds, so that comparisons are paired.
    Where several processes train together, each takes its share of every mini-batch.

    Args:
        train: the training set.
        batch_size: examples in each replica's mini-batch, those of all processes together.
        seeds: one a replica.
        augment: how examples are ordered and distorted.
        streams: of the order and of the distortions, by what the examples are for; different ones are independent.

    Raises:
        BadInput: a mini-batch is larger than the training set.
    """

    def __init__(
        self,
        train: Examples,
        batch_size: int,
        seeds: list[int],
        augment: AugmentConfig = AS_THEY_ARE,
        streams: tuple[int, int] = TRAINING,
    ) -> None:
        if batch_size > len(train):
            raise BadInput(
                f"batch_size is {batch_size}: there are {len(train)} training examples, take {len(train)} or fewer"
            )
        self.train = train
        self.batch_size = batch_size
        order, distortions = streams
        self.generators = [generator(seed, order) for seed in seeds]
        self.augment = [Augment(augment, seed, distortions) for seed in seeds] if augment.distorts else []
        self.groups = [self._permuted(g) for g in self.generators] if augment.shuffle == "shard" else None
        self.position = 0
        self._shuffle()

    def _permuted(self, stream: torch.Generator) -> Tensor:
        return torch.randperm(len(self.train), generator=stream)

    def _shuffle(self) -> None:
        if self.groups is None:
            orders = [self._permuted(g) for g in self.generators]
        else:
            orders = [self._regrouped(*pair) for pair in zip(self.groups, self.generators, strict=True)]
        self.permutations = torch.stack(orders).to(self.train.labels.device)
        self.position = 0

    def _regrouped(self, groups: Tensor, stream: torch.Generator) -> Tensor:
        """Put the fixed groups of one mini-batch each into a new order; what fills none comes last, unused."""
        count = len(groups) // self.batch_size
        whole, rest = groups[: count * self.batch_size], groups[count * self.batch_size :]
        order = torch.randperm(count, generator=stream)
        return torch.cat([whole.view(count, self.batch_size)[order].view(-1), rest])

    def next(self) -> Examples:
        """Return the next mini-batch of every replica: images (R, B, ...) as a network takes them, labels (R, B)."""
        if self.position + self.batch_size > len(self.train):
            self._shuffle()
        mini_batch = self.permutations[:, self.position : self.position + self.batch_size]
        index = mini_batch[:, distributed.share(self.batch_size)]
        self.position += self.batch_size
        batch = self.train.take(index)
        if not self.augment:
            return Examples(as_input(batch.images), batch.labels)
        distorted = [augment(images) for augment, images in zip(self.augment, batch.images, strict=True)]
        return Examples(torch.stack(distorted), batch.labels)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the following mini-batches depend on; the fixed groups follow from the seeds."""
        states = torch.stack([g.get_state() for g in self.generators])
        distortions = [augment.generator.get_state() for augment in self.augment]
        return {
            "permutations": self.permutations,
            "position": self.position,
            "generators": states,
            "distortions": distortions,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.permutations = state["permutations"].to(self.permutations.device)
        self.position = int(state["position"])
        ours = [*self.generators, *(augment.generator for augment in self.augment)]
        for g, generator_state in zip(ours, [*state["generators"], *state["distortions"]], strict=True):
            g.set_state(generator_state.cpu().clone())  # a view into the stack is refused
