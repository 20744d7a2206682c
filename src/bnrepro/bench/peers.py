"""What a person would otherwise run: torchvision's transforms image by image, a DataLoader, an eager model, SGD.

torchvision's MNIST and CIFAR10 keep the images in memory; its ImageFolder decodes them, from files that the system has
in memory once they were read.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets, transforms

from bnrepro.config import AugmentConfig, DataConfig, ImageFolderConfig, MNISTConfig, TorchvisionConfig
from bnrepro.data import Examples
from bnrepro.data.augment import STRONGEST
from bnrepro.models import Inception
from bnrepro.models.units import Beside, ConvUnit, Dropout, LocalResponseNorm
from bnrepro.norm import BatchNorm, Norm

Transform = Callable[[Image.Image], Tensor]
Batch = tuple[Tensor, Tensor]
MNIST_TRANSFORM: Transform = transforms.Compose(  # of PyTorch's own MNIST example
    [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
)


class FromMemory(Dataset[tuple[Tensor, int]]):
    """The images that the program draws, given as torchvision's CIFAR10 gives its own: one by one, as PIL images."""

    def __init__(self, examples: Examples, transform: Transform) -> None:
        images = examples.images if examples.rows is None else examples.images[examples.rows]
        self.arrays = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = examples.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return an image and its class."""
        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index]


def per_image(config: DataConfig, root: Path, drawn: Examples, transform: Transform) -> Dataset[Any]:
    """Return torchvision's own class for the training images; ``drawn`` is for the data that it has none for."""
    own: Any
    match config:
        case MNISTConfig():
            own = datasets.MNIST(root, train=True, transform=transform)
        case ImageFolderConfig():
            own = datasets.ImageFolder(root / config.folder / "train", transform)
        case TorchvisionConfig() if config.name == "cifar10":
            own = datasets.CIFAR10(root, train=True, transform=transform)
        case _:
            own = FromMemory(drawn, transform)
    return cast("Dataset[Any]", own)


def augmentation(config: AugmentConfig, side: int) -> Transform:
    """Return torchvision's transforms for what data/augment.py does to a mini-batch."""
    strength = config.photometric * STRONGEST
    composed: Transform = transforms.Compose(
        [
            transforms.RandomCrop(config.crop or side, padding=config.pad or None),
            *([transforms.RandomHorizontalFlip()] if config.flip else []),
            *([transforms.ColorJitter(strength, strength, strength)] if strength else []),
            transforms.ToTensor(),
        ]
    )
    return composed


def batches(dataset: Dataset[Any], batch_size: int, device: str, workers: int = 0) -> Iterator[Batch]:
    """Go through a shuffled DataLoader, which has so many worker processes, again and again."""
    loader = DataLoader(
        *(dataset, batch_size),
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        pin_memory=device == "cuda",
        persistent_workers=workers > 0,
    )
    while True:
        for images, labels in loader:
            yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


def permuted(images: Tensor, labels: Tensor, batch_size: int) -> Iterator[Batch]:
    """Go through images that are on the device already, by permutations."""
    while True:
        order = torch.randperm(len(labels), device=labels.device)
        for start in range(0, len(labels) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            yield images[rows], labels[rows]


def mlp(widths: list[int], bn: bool) -> nn.Sequential:
    """Return the network of Sec. 4.1 as one writes it."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs, bias=not bn), *([nn.BatchNorm1d(outputs)] if bn else []), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


class EagerInception(nn.Module):
    """An Inception network as one writes it, which begins with the numbers of ``model``.

    Its layers are the framework's own, each convolution is computed by itself, and maps are laid out as is usual, or as
    ``layout`` has it: a convolution gives channels-last maps where its weights or its input are.
    """

    def __init__(self, model: Inception, layout: torch.memory_format = torch.contiguous_format) -> None:
        super().__init__()
        self.model = _with_own_layers(deepcopy(model)).to(memory_format=layout)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of (B, colours, H, W)."""
        u = (images - 0.5) / 0.25
        for block in self.model.blocks.values():
            u = block(u)
        logits: Tensor = self.model.output(self.model.dropout(u.mean(dim=(2, 3))))
        return logits


def _with_own_layers(module: Any) -> Any:
    for name, child in module.named_children():
        match child:
            case BatchNorm():
                own = nn.BatchNorm2d(child.shape.numel(), child.eps, child.momentum).to(child.weight)
                own.load_state_dict(child.state_dict(), strict=False)
                setattr(module, name, own)
            case Dropout():
                setattr(module, name, nn.Dropout(child.p))
            case LocalResponseNorm():
                setattr(module, name, nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75))
            case Beside(first=ConvUnit()):
                setattr(module, name, _with_own_layers(_apart(child)))
            case _:
                _with_own_layers(child)
    return module


def _apart(block: Beside) -> Beside:
    """Return the block with each of its convolutions computed by itself."""
    first, branches = block.first, list(block.branches)
    assert first
    conv, whole = first.conv, first.norm
    assert isinstance(conv, nn.Conv2d)
    norm = None
    if whole:
        assert isinstance(whole, BatchNorm)
        norm = Norm(lambda maps: BatchNorm((maps,), whole.eps, whole.momentum), bias=conv.bias is not None)
    for i, maps in enumerate(block.dealt):
        unit = ConvUnit(conv.in_channels, maps, 1, stride=1, multiplier=0, norm=norm, nonlinearity=None)
        unit.to(conv.weight).load_state_dict({key: v.split(block.dealt)[i] for key, v in first.state_dict().items()})
        branches[i] = nn.Sequential(unit, branches[i])
    return Beside(*branches)


def stepping(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Iterator[Batch],
    precision: str = "float32",
) -> Callable[[], object]:
    """Return what does one step, as the tutorials have it."""

    def step() -> None:
        images, labels = next(batches)
        optimiser.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(images)
        functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step
