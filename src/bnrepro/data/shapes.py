"""The embedded colour images: ten classes of shapes, drawn from a seed; always there.

Hard enough that colour and position alone say nothing: shape, background, angle, size and place are random in every
image, a second, smaller shape of another class stands in the way, and noise lies over all.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
SIDE = 32
CLASSES = ("disc", "ring", "square", "frame", "triangle", "cross", "star", "crescent", "bars", "checks")
_GRID = (np.indices((SIDE, SIDE)).astype(np.float64) - (SIDE - 1) / 2)[::-1]  # x, y of each pixel
_SOFT = 0.7  # pixels over which an edge fades


@lru_cache(maxsize=2)  # a training and a test set, for the runs of a sweep: it takes seconds
def draw(count: int, seed: tuple[int, ...]) -> tuple[Images, NDArray[np.int64]]:
    """Draw ``count`` images (N, 3, 32, 32) and their classes (N,), as many of each class as possible."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % len(CLASSES)).astype(np.int64)
    return np.stack([_image(int(label), rng) for label in labels]), labels


def _image(label: int, rng: np.random.Generator) -> Images:
    colour = rng.uniform(0, 1, (3, 1, 1))
    canvas = _background(colour, rng)
    other = (label + rng.integers(1, len(CLASSES))) % len(CLASSES)
    for shape, radius, reach in ((int(other), rng.uniform(2, 4), 12), (label, rng.uniform(7, 12), 4)):
        mask = _mask(shape, radius, rng.uniform(0, 2 * np.pi), rng.uniform(-reach, reach, 2))
        canvas = canvas * (1 - mask) + _apart(colour, rng) * mask
    canvas = canvas + rng.normal(0, rng.uniform(0.02, 0.1), canvas.shape)
    return (canvas.clip(0, 1) * 255).round().astype(np.uint8)


def _apart(colour: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a colour that differs from another by 0.3 to 0.7 in each channel, whichever way."""
    return (colour + rng.uniform(0.3, 0.7, colour.shape)) % 1.0


def _background(colour: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Two colours near ``colour`` that run into each other along waves of random direction and length."""
    first, second = colour + rng.uniform(-0.15, 0.15, (2, 3, 1, 1))
    direction, length = rng.uniform(0, 2 * np.pi), rng.uniform(6, 40)
    x, y = _GRID
    wave = (1 + np.sin((x * np.cos(direction) + y * np.sin(direction)) * 2 * np.pi / length + rng.uniform(0, 6))) / 2
    return np.asarray(first * wave + second * (1 - wave))


def _mask(shape: int, radius: float, angle: float, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cover (32, 32) from 0 to 1: the signed distance to the shape's edge, softened."""
    x0, y0 = _GRID[0] - centre[0], _GRID[1] - centre[1]
    x, y = x0 * np.cos(angle) - y0 * np.sin(angle), x0 * np.sin(angle) + y0 * np.cos(angle)
    r, side = np.hypot(x, y), np.maximum(abs(x), abs(y))
    a = 0.85 * radius  # half a square's side, for about a disc's area
    stripes = abs((x + radius) % (radius * 0.8) - radius * 0.4) - radius * 0.2
    inside = {
        "disc": lambda: r - radius,
        "ring": lambda: abs(r - 0.75 * radius) - 0.22 * radius,
        "square": lambda: side - a,
        "frame": lambda: abs(side - 0.8 * a) - 0.2 * a,
        "triangle": lambda: np.maximum(y, 0.87 * abs(x) - 0.5 * y) - 0.6 * radius,
        "cross": lambda: np.maximum(np.minimum(abs(x), abs(y)) - 0.28 * radius, side - radius),
        "star": lambda: r - radius * (0.65 + 0.35 * np.cos(5 * np.arctan2(y, x))),
        "crescent": lambda: np.maximum(r - radius, 0.8 * radius - np.hypot(x - 0.5 * radius, y)),
        "bars": lambda: np.maximum(side - a, stripes),
        "checks": lambda: np.maximum(side - a, np.where((x > 0) == (y > 0), -1.0, 1.0)),
    }[CLASSES[shape]]()
    return np.asarray((0.5 - inside / _SOFT).clip(0, 1))
