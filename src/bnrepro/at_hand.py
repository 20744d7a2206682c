"""Which data a reproduction takes: what is asked for, what is there, or what is always there, with a banner."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.panel import Panel

from bnrepro.compose import CONFIGS, load
from bnrepro.config import ColourConfig, DataConfig, ImageFolderConfig, MNISTConfig, TorchvisionConfig
from bnrepro.errors import BadInput
from bnrepro.mnist_files import check_mnist, missing_mnist

DATA_ROOT = Path("data")
OF_SCALE = {"smoke": "shapes", "paper": "imagenet"}


@dataclass(frozen=True)
class Banner:
    """Tells, so that it cannot be missed, that results are not on the data that they should be on."""

    headline: str
    reason: str

    def show(self) -> None:
        """Print it."""
        text = f"{self.headline}\n{self.reason}\nEvery table, figure and claim made from it names it."
        Console(width=100).print(Panel(text, title="ATTENTION", border_style="bold red", style="bold"))


def handwritten(asked: str | None) -> tuple[str, Banner | None]:
    """Return the data set of Sec. 2 to 4.1, and the banner where it is not the one that the paper needs.

    Raises:
        BadInput: MNIST's files are damaged, or it was asked for by name and is not to be had.
    """
    if asked == "digits":
        return "digits", None
    if missing_mnist(DATA_ROOT):
        from bnrepro.data.mnist import fetch

        if reason := _failure(fetch, "mnist", asked):
            headline = "MNIST COULD NOT BE HAD: THESE ARE RESULTS ON digits (1,797 images, 8x8 pixels)."
            return "digits", Banner(headline, reason)
    check_mnist(DATA_ROOT)
    return "mnist", None


def images(asked: str | None, scale: str) -> tuple[str, Banner | None]:
    """Return the colour images of Sec. 4.2: CIFAR-10, as it is or as JPEG, else what the program draws.

    Raises:
        BadInput: what was asked for by name is not to be had, or does not fit the scale.
    """
    if asked or scale == "paper":
        name = images_wanted(asked, scale)
        _check(name)
        return name, None
    if there := images_wanted(asked, scale):
        return there, None
    from bnrepro.data.cifar import fetch

    if reason := _failure(fetch, "cifar10", asked):
        return "shapes", Banner(
            "CIFAR-10 COULD NOT BE HAD: THESE ARE RESULTS ON shapes (drawn by the program).", reason
        )
    return "cifar10", None


def images_wanted(asked: str | None, scale: str) -> str:
    """Name the images that are asked for, that a scale stands for, or CIFAR-10 in the form that is there; else ''.

    Raises:
        BadInput: there are none of this name, or not at this scale: the paper's takes ImageNet's alone.
    """
    if scale == "paper" and asked not in (None, "imagenet"):
        raise BadInput(f"scale paper has the steps and the crops of ImageNet: for {asked} take SCALE=gpu or cpu")
    if asked:
        _check_known(asked)
    if asked or scale in OF_SCALE:
        return asked or OF_SCALE[scale]
    folders = {"cifar10": "cifar-10-batches-py", "cifar10_jpeg": "cifar10-jpeg"}
    return next((name for name, folder in folders.items() if (DATA_ROOT / folder).is_dir()), "")


def _failure(fetch: Callable[[Path, float], None], name: str, asked: str | None) -> str:
    """Download a data set; return why it could not be, or raise that where it was asked for."""
    config = _config(name)
    assert isinstance(config, MNISTConfig | TorchvisionConfig)
    seconds = config.download_seconds
    print(f"{name} is not in {DATA_ROOT}; downloading it ({seconds:.0f} s at most)", flush=True)
    try:
        fetch(DATA_ROOT, seconds)
    except BadInput as error:
        if asked:
            raise
        return str(error)
    return ""


def _check_known(name: str) -> None:
    known = sorted(path.stem for path in (CONFIGS / "data").glob("*.yaml"))
    if name not in known:
        raise BadInput(f"unknown images {name!r}; allowed: {', '.join(known)}")


def _check(name: str) -> None:
    config = _config(name)
    if not isinstance(config, ColourConfig):
        raise BadInput(f"{name} has no colour images; IMAGES takes cifar10, cifar10_jpeg, shapes, ...")
    if isinstance(config, ImageFolderConfig) and config.source == "folder":
        folder = DATA_ROOT / config.folder
        if not folder.is_dir():
            raise BadInput(f"{folder} is not there: put the tree of images there, or take other IMAGES")


def _config(name: str) -> DataConfig:
    network = "mlp" if name in ("mnist", "digits") else "inception"
    return load([f"network={network}", f"data={name}"]).data
