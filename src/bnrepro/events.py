"""TensorBoard's view of a run: a sink beside the record, never the source of a number."""

import threading
from pathlib import Path

import pandas as pd
from torch.utils.tensorboard import SummaryWriter

from bnrepro.config import MLPConfig, RunConfig, flatten
from bnrepro.config.run import NOT_IDENTITY
from bnrepro.curves import final_accuracy, typical_bands
from bnrepro.probes import Measurement

_BAND = [f"p{percentile}" for percentile in (50, 15, 85)]  # a Margin chart takes value, lower, upper


def _layout(layers: list[str], maps: bool) -> dict[str, dict[str, list[str | list[str]]]]:
    def band(kind: str, layer: str) -> list[str | list[str]]:
        return ["Margin", [f"{kind}/{layer}/{name}" for name in _BAND]]

    accuracy: list[str | list[str]] = [
        "Margin",
        [f"test_accuracy/{name}" for name in ("mean", "lowest", "highest")],
    ]
    g = "unit" if maps else "sigmoid"
    bands, curve = ("", "Figure 2") if maps else (" (Fig. 1b,c)", "Fig. 1a")
    whole = {"Input of a block, all maps": {f"{x} whole": band("block", x) for x in layers}} if maps else {}
    return {
        f"Input of the typical {g}{bands}, first seed": {layer: band("typical", layer) for layer in layers},
        f"Input of the {g}s, median over the layer, first seed": {layer: band("layer", layer) for layer in layers},
        **whole,
        f"Test accuracy ({curve}): mean, lowest and highest seed": {"accuracy": accuracy},
    }


class Events:
    """Writes scalars as they are measured; the typical unit is known, and drawn, when the run has ended."""

    def __init__(self, folder: Path, config: RunConfig, layers: list[str], start: int) -> None:
        self.config = config
        self.hook, threading.excepthook = threading.excepthook, self._failed
        try:
            self.writer = SummaryWriter(str(folder), purge_step=start + 1)  # an earlier start's too
            self.writer.add_custom_scalars(_layout(layers, maps=not isinstance(config.model, MLPConfig)))
        except BaseException:
            threading.excepthook = self.hook
            raise

    def add(self, step: int, measurements: list[Measurement]) -> None:
        """Write the mean over the replicas, and for percentiles the first one's median over the layer's units."""
        for m in measurements:
            if m.metric.startswith("block_input_p"):
                name = m.metric.removeprefix("block_input_")
                self.writer.add_scalar(f"block/{m.layer}/{name}", m.values[0].item(), step)
                continue
            if m.metric.startswith("input_p"):
                name = m.metric.removeprefix("input_")
                self.writer.add_scalar(f"layer/{m.layer}/{name}", m.values[0].median().item(), step)
                continue
            tag = f"{m.metric}/{m.layer}" if m.layer else f"{m.split}_{m.metric}/mean"
            self.writer.add_scalar(tag, m.values.mean().item(), step)
            if m.metric == "accuracy":
                self.writer.add_scalar(f"{m.split}_accuracy/lowest", m.values.min().item(), step)
                self.writer.add_scalar(f"{m.split}_accuracy/highest", m.values.max().item(), step)

    def finish(self, metrics: pd.DataFrame) -> None:
        """Draw the typical unit of each layer and write the run's row of the HParams page.

        A folder has one row there, so a run with several rates, ``optim.rates``, has none.
        """
        replica = self.config.replicas[0]
        first = metrics[(metrics["seed"] == replica.seed) & (metrics["lr"] == replica.lr)]
        bands = typical_bands(first, self.config.steps)
        for layer, percentile, step, value in bands[["layer", "percentile", "step", "value"]].to_numpy():
            self.writer.add_scalar(f"typical/{layer}/p{percentile}", value, step)
        if not self.config.optim.rates:
            chosen = {key: value for key, value in flatten(self.config).items() if key not in NOT_IDENTITY}
            settings = {key: value for key, value in chosen.items() if not isinstance(value, list)}
            accuracy = float(final_accuracy(metrics).mean())
            self.writer.add_hparams(settings, {"final_test_accuracy": accuracy}, run_name=".")
        self.close()

    def close(self) -> None:
        """Flush what was written."""
        try:
            self.writer.close()
        finally:
            threading.excepthook = self.hook

    def _failed(self, failure: threading.ExceptHookArgs) -> None:
        """Leave it to the next write to say that the writer's thread has failed, as on a full disk."""
        if type(failure.thread).__name__ != "_AsyncWriterThread":
            self.hook(failure)
