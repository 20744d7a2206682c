"""The probabilities that a trained network gives the test images' classes, from one crop and from several."""

from collections.abc import Iterator

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from bnrepro.config import RunConfig
from bnrepro.data import Dataset, as_input, centre
from bnrepro.evaluate import CHUNK
from bnrepro.probes import population
from bnrepro.state import State


def predictions(config: RunConfig, dataset: Dataset, state: State) -> pd.DataFrame:
    """Return example, label, crops, class, probability: a row for each test image, number of crops and class.

    The crops are the centre (1), or 18: nine places, three by three over the image with ``augment.pad`` black pixels
    around it, each as it is and mirrored. The paper's 144 are of larger images (Sec. 4.2.3).
    """
    state.model.eval()
    pieces = []
    with population(config, dataset).of(state.model):
        for start in range(0, len(dataset.whole_test), CHUNK):
            chunk = dataset.whole_test[start : start + CHUNK]
            images, side = as_input(chunk.images), config.augment.crop or chunk.images.shape[-1]
            for views in ([centre(images, side)], list(_crops(images, config.augment.pad, side))):
                wide = pd.DataFrame(_probabilities(state.model, views).cpu().numpy())
                labels = chunk.labels.cpu().numpy()
                wide = wide.assign(example=range(start, start + len(labels)), label=labels, crops=len(views))
                pieces.append(wide.melt(["example", "label", "crops"], var_name="class", value_name="probability"))
    return pd.concat(pieces, ignore_index=True).astype({"class": "int64"})


@torch.no_grad()
def _probabilities(model: nn.Module, views: list[Tensor]) -> Tensor:
    """Return the mean over the views of each class's probability, (B, classes) float64."""
    return torch.stack([model(view.unsqueeze(0))[0].double().softmax(dim=1) for view in views]).mean(dim=0)


def _crops(images: Tensor, pad: int, side: int) -> Iterator[Tensor]:
    padded = functional.pad(images, (pad, pad, pad, pad))
    room = padded.shape[-1] - side
    for top in (0, room // 2, room):
        for left in (0, room // 2, room):
            view = padded[..., top : top + side, left : left + side]
            yield from (view, view.flip(-1))
