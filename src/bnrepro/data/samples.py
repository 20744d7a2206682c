"""Some training images beside what the augmentation makes of them, for the report."""

import base64
import io
from dataclasses import replace

import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from bnrepro.config import AugmentConfig
from bnrepro.data.augment import Augment
from bnrepro.data.dataset import Dataset

DRAWS = 2  # of each strength
STRENGTHS = (0.0, 0.5, 1.0)  # none; as in BN-x5, which distorts less (Sec. 4.2.1); as in Inception
AS_STORED = "as stored"


def samples(dataset: Dataset, config: AugmentConfig, images: int, seed: int) -> pd.DataFrame:
    """Distort the first training image of each of the first ``images`` classes.

    Crop and mirror are ``config``'s, the photometric distortion each of :data:`STRENGTHS`.

    Returns:
        example (row of the training set), label, version (as stored, or strength and its number), draw, png (base64).
    """
    labels = dataset.train.labels.tolist()
    first = sorted({label: row for row, label in reversed(list(enumerate(labels)))}.items())[:images]
    chosen = dataset.train.take(torch.tensor([row for _, row in first])).images.cpu()
    pictures = [(AS_STORED, 0, chosen)]
    for strength in STRENGTHS:
        distort = Augment(replace(config, photometric=strength), seed)
        pictures += [(f"strength {strength:g}", draw, distort(chosen)) for draw in range(DRAWS)]
    rows = [
        (row, label, version, draw, _png(image))
        for version, draw, distorted in pictures
        for (label, row), image in zip(first, distorted, strict=True)
    ]
    return pd.DataFrame(rows, columns=["example", "label", "version", "draw", "png"])


def _png(image: Tensor) -> str:
    """Encode a (3, H, W) image, bytes or float32 in [0, 1]."""
    whole = image if image.dtype == torch.uint8 else (image * 255).round().to(torch.uint8)
    buffer = io.BytesIO()
    Image.fromarray(whole.permute(1, 2, 0).numpy()).save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
