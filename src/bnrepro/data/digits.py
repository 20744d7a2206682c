"""The embedded data set: 1,797 handwritten digits of 8x8 pixels (Alpaydin & Kaynak 1998, UCI) of scikit-learn.

They lie beside this file, for importing scikit-learn takes as long as a small run. A test compares with it, and
``PYTHONPATH=tests python tests/data/test_data.py`` writes the file from it.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnrepro.errors import BadInput
from bnrepro.files import sha256

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]
FILE = Path(__file__).with_name("digits.npz")
SHA256 = "910327f7bb1eca3547996bfe0070251ca06e784435ac7886031db5af4ce9bb6d"


def read() -> tuple[Part, Part]:
    """Return (pixels, labels) of 1,437 training and 360 test digits: a fixed split with equal shares of each class.

    Raises:
        BadInput: the file is not the one that is meant.
    """
    content = FILE.read_bytes()
    if sha256(content) != SHA256:
        raise BadInput(f"{FILE} is damaged; install the package anew")
    with np.load(io.BytesIO(content)) as file:
        parts = [(file[f"{part}_pixels"], file[f"{part}_labels"].astype(np.int64)) for part in ("train", "test")]
    return parts[0], parts[1]
