"""The embedded data set: scikit-learn's 1,797 handwritten digits of 8x8 pixels (Alpaydin & Kaynak 1998, UCI)."""

import numpy as np
from numpy.typing import NDArray

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read() -> tuple[Part, Part]:
    """Return (pixels, labels) of 1,437 training and 360 test digits: a fixed split with equal shares of each class."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    pixels = np.round(bunch.data * (255 / 16)).astype(np.uint8)  # the source counts ink from 0 to 16
    labels = bunch.target.astype(np.int64)
    split = train_test_split(pixels, labels, test_size=360, stratify=labels, random_state=0)
    train_pixels, test_pixels, train_labels, test_labels = split
    return (train_pixels, train_labels), (test_pixels, test_labels)
