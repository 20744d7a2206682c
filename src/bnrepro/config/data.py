"""A data set's settings, and what is done to its images in training."""

from dataclasses import dataclass

from omegaconf import MISSING

from bnrepro.config.require import require


@dataclass
class DataConfig:
    """What every data set has.

    ``held_out`` training examples are kept aside; ``choosing`` is how many an experiment that chooses something keeps.
    """

    name: str = MISSING
    held_out: int = MISSING
    choosing: int = MISSING

    def __post_init__(self) -> None:
        require(self.held_out >= 0, "data.held_out", self.held_out, "0 or more examples")
        require(self.choosing >= 1, "data.choosing", self.choosing, "1 example or more")

    def require_name(self, *names: str) -> None:
        """Refuse a name that is another data set's."""
        require(self.name in names, "data.name", self.name, f"{' or '.join(names)}; choose a data set with data=")


@dataclass
class HandwrittenConfig(DataConfig):
    """Digits: their ink in [0, 1] (``grey``), or 1 where it is above ``threshold`` (``binary``)."""

    encoding: str = MISSING
    threshold: float = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.encoding in ("binary", "grey"), "data.encoding", self.encoding, "binary or grey")
        require(0 <= self.threshold < 1, "data.threshold", self.threshold, "at least 0 and below 1")


@dataclass
class MNISTConfig(HandwrittenConfig):
    """MNIST (LeCun et al. 1998), downloaded where it is missing and ``download`` allows it."""

    download: bool = MISSING
    download_seconds: float = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_name("mnist")
        require_download(self.download_seconds)


@dataclass
class DigitsConfig(HandwrittenConfig):
    """The embedded 8x8 digits: always there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_name("digits")


@dataclass
class ColourConfig(DataConfig):
    """Colour images, of which at most ``train_examples`` are trained on, the first of a fixed random order.

    At most ``test_examples`` likewise are tested on. All where there are fewer, and 0: all.
    """

    train_examples: int = MISSING
    test_examples: int = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("train_examples", "test_examples"):
            require(getattr(self, key) >= 0, f"data.{key}", getattr(self, key), "0 (all) or more examples")


@dataclass
class ShapesConfig(ColourConfig):
    """Ten classes of shapes, drawn by the program from ``seed``: always there."""

    seed: int = MISSING
    train_images: int = MISSING
    test_images: int = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_name("shapes")
        require(0 <= self.seed < 2**32, "data.seed", self.seed, "from 0 to 4294967295")
        for key in ("train_images", "test_images"):
            require(10 <= getattr(self, key) <= 10**6, f"data.{key}", getattr(self, key), "from 10 to 1000000 images")


@dataclass
class TorchvisionConfig(ColourConfig):
    """CIFAR-10 and CIFAR-100 (Krizhevsky 2009) by torchvision."""

    download: bool = MISSING
    download_seconds: float = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_name("cifar10", "cifar100")
        require_download(self.download_seconds)


@dataclass
class ImageFolderConfig(ColourConfig):
    """Any tree of class folders: ``data_root/folder/{train,test}/<class>/<image>``.

    Attributes:
        folder: of the tree, under data_root, or a whole path.
        train: the folder of the training images in the tree.
        test: the folder of the images to test on.
        size: side in pixels to which images are brought: the shorter side scaled, the centre cut out; 0: they are
            square and equal already.
        damaged: stop at an image that does not decode, or skip it and say so.
        source: where the tree comes from: folder (it is there), imagenette or tiny_imagenet (fetched where missing).
    """

    folder: str = MISSING
    train: str = MISSING
    test: str = MISSING
    size: int = MISSING
    damaged: str = MISSING
    source: str = MISSING
    download: bool = MISSING
    download_seconds: float = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.name) and self.name.replace("_", "").isalnum(), "data.name", self.name, "letters, digits, _")
        require(bool(self.folder), "data.folder", self.folder, "a folder with train and test images in class folders")
        require(self.train != self.test, "data.test", self.test, "another folder than data.train")
        require(self.size == 0 or 8 <= self.size <= 1024, "data.size", self.size, "from 8 to 1024 pixels, or 0")
        require(self.damaged in ("stop", "skip"), "data.damaged", self.damaged, "stop or skip")
        sources = ("folder", "imagenette", "tiny_imagenet")
        require(self.source in sources, "data.source", self.source, ", ".join(sources))
        require_download(self.download_seconds)


def require_download(seconds: float) -> None:
    """Check a time limit."""
    require(0 < seconds <= 86_400, "data.download_seconds", seconds, "above 0 and at most 86400 seconds")


@dataclass
class AugmentConfig:
    """How training examples are ordered and distorted.

    Attributes:
        shuffle: full: every epoch in a new order; shard: in fixed groups, so that the same examples always meet in a
            mini-batch, the groups in a new order (what Sec. 4.2.1 improves on).
        crop: side of the square that the network sees, cut out of the image; 0: the whole image.
        crop_at: where it is cut out in training: at random, or the centre as in evaluation.
        pad: pixels of black put around an image before a square of its own size or ``crop`` is cut out at random.
        flip: mirror half of the images.
        photometric: strength of random changes of brightness, contrast and saturation, at 1 up to 40 % each; 0: none.
    """

    shuffle: str = MISSING
    crop: int = MISSING
    pad: int = MISSING
    flip: bool = MISSING
    photometric: float = MISSING
    crop_at: str = MISSING

    def __post_init__(self) -> None:
        require(self.shuffle in ("full", "shard"), "augment.shuffle", self.shuffle, "full or shard")
        require(self.crop == 0 or 4 <= self.crop <= 1024, "augment.crop", self.crop, "from 4 to 1024 pixels, or 0")
        require(self.crop_at in ("random", "centre"), "augment.crop_at", self.crop_at, "random or centre")
        require(0 <= self.pad <= 256, "augment.pad", self.pad, "from 0 to 256 pixels")
        require(0 <= self.photometric <= 2, "augment.photometric", self.photometric, "from 0 to 2")

    @property
    def distorts(self) -> bool:
        """Whether images are changed at all."""
        return bool(self.crop or self.pad or self.flip or self.photometric)
