"""A run's folder: every file name, the tidy table of measurements, status, lock and provenance. No torch.

runs/<experiment>/<name>-<hash of the config>/
    config.json       every setting
    provenance.json   commit, versions, device, data; where it was resumed by others, from which step
    status.json       running, stopped, finished, diverged or failed; the step; the seconds spent
    metrics.parquet   long form: run, seed, lr, step, split, layer, unit, metric, value
    predictions.parquet  where it is asked for: example, label, crops, class, probability
    checkpoint.pt     the state of the run (checkpoint.py); checkpoint.before.pt the one before
    holder.json       which process works on it, or was the last to
    events.out.*      for TensorBoard, never the source of a number
"""

import hashlib
import io
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import pandas as pd
from filelock import FileLock, Timeout

from bnrepro.config import RunConfig, identity
from bnrepro.errors import BadInput
from bnrepro.files import cannot_write, remove_parts, write_bytes, write_json

FINAL = ("finished", "diverged")
MADE_BY = ("commit", "dirty", "python", "versions", "device", "threads")  # of provenance: what may change in between
KEYS = ["run", "seed", "lr", "step", "split", "layer", "unit", "metric"]


def digest(config: RunConfig) -> str:
    """Hash a run's identity to eight hex digits."""
    return hashlib.sha256(json.dumps(identity(config), sort_keys=True).encode()).hexdigest()[:8]


class Record:
    """The folder of one run. Opening it writes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = folder / "checkpoint.pt"
        self.metrics = folder / "metrics.parquet"
        self.predictions = folder / "predictions.parquet"
        self._config = folder / "config.json"
        self._provenance = folder / "provenance.json"
        self._status = folder / "status.json"
        self._holder = folder / "holder.json"
        self._lock = folder / ".lock"

    @classmethod
    def of(cls, config: RunConfig) -> "Record":
        """Return the record that belongs to ``config``."""
        return cls(Path(config.runs_root) / config.experiment / f"{config.name}-{digest(config)}")

    @property
    def name(self) -> str:
        """The run's name: experiment/folder."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def config(self) -> dict[str, Any]:
        """The stored settings under dotted keys."""
        return self._read(self._config, "experiment")

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from."""
        return self._read(self._provenance, "data_sha256", *MADE_BY)

    @property
    def status(self) -> dict[str, Any]:
        """How far the run is: ``status``, ``step``, ``seconds``, ``diverged`` (seed to step).

        Where the file is missing or damaged nothing is known: the checkpoint says where the run goes on.
        """
        try:
            return self._read(self._status, "status", "step", "seconds", "diverged")
        except BadInput:
            return {"status": "missing"}

    @property
    def begun(self) -> bool:
        """Whether it is written down what is run.

        Raises:
            BadInput: there is a checkpoint, but not written down of what.
        """
        if any(self.folder.glob("checkpoint*.pt")):
            return bool(self.config and self.provenance)
        return self._config.exists() and self._provenance.exists()

    @property
    def ended(self) -> bool:
        """Whether the run went through all its steps and has the tables that were asked for."""
        if self.status["status"] not in FINAL or not self.metrics.exists():
            return False
        return self.predictions.exists() or not self.config.get("probes.predictions")

    def mend(self) -> None:
        """Put the damaged tables of a run that has ended aside: it then goes on from its checkpoint and writes them.

        Raises:
            BadInput: its config or provenance is damaged.
        """
        if not self.ended or not self.config or not self.provenance:
            return
        damaged = [path for path in (self.metrics, self.predictions) if path.exists() and not self._whole(path)]
        with self.locked() if damaged else nullcontext():
            for path in damaged:
                aside = path.replace(path.with_name(f"{path.name}.damaged"))
                self._status.unlink(missing_ok=True)
                print(f"{path} is damaged: it is kept as {aside.name} and made anew", flush=True)

    def _whole(self, path: Path) -> bool:
        try:
            return not self._table(path).empty
        except BadInput:
            return False

    @property
    def held(self) -> bool:
        """Whether another process is working on the run."""
        if not self._lock.exists():
            return False
        try:
            with FileLock(self._lock, timeout=0):
                return False
        except Timeout:
            return True

    def check(self, config: RunConfig) -> None:
        """Refuse to resume or skip a run that was made with other settings.

        Raises:
            BadInput: the stored config is another; the message lists the keys that differ.
        """
        if not self._config.exists():
            return
        stored, ours = self.config, identity(config)
        keys = sorted(key for key in stored.keys() | ours.keys() if stored.get(key) != ours.get(key))
        if keys:
            listed = ", ".join(f"{key} is {stored.get(key)} there and {ours.get(key)} here" for key in keys)
            raise BadInput(f"{self.folder} holds a run with another config: {listed}; give the run another name=")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process, and make it if it is new.

        Raises:
            BadInput: another process holds it, or it cannot be written.
        """
        lock = FileLock(self._lock, timeout=1)  # who only asks whether it is held (see held) holds it for a moment
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise BadInput(
                f"another process is working on {self.folder}: {self._who()}; wait for it or stop it"
            ) from error
        except OSError as error:
            raise BadInput(f"{cannot_write(self.folder, error)}, or choose another runs_root=") from error
        with lock:  # the kernel lets go of it when this process dies, however it does
            remove_parts(self.folder)
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            write_json(self._holder, {"pid": os.getpid(), "host": socket.gethostname(), "since": now})
            yield

    def _who(self) -> str:
        try:
            holder = self._read(self._holder, "pid")
            return f"number {holder['pid']} on {holder['host']} since {holder['since']}"
        except (BadInput, LookupError):
            return "it has not said which"

    def begin(self, config: RunConfig, provenance: dict[str, Any]) -> None:
        """Write down what is run and where."""
        write_json(self._config, identity(config))
        write_json(self._provenance, provenance)

    def resume(self, step: int, provenance: dict[str, Any]) -> None:
        """Write down where a run goes on, if code, versions, machine or threads are not those it had.

        Raises:
            BadInput: the data are others than the run began with.
        """
        begun = self.provenance
        if begun["data_sha256"] != provenance["data_sha256"]:
            raise BadInput(
                f"{self.folder} began with other data: their SHA-256 is {provenance['data_sha256']} now and was "
                f"{begun['data_sha256']}; bring them back, or remove the folder to make the run anew"
            )
        parts = [begun, *begun.get("resumed", [])]
        if any(parts[-1][key] != provenance[key] for key in MADE_BY):
            made_by = {key: provenance[key] for key in MADE_BY}
            begun["resumed"] = [*begun.get("resumed", []), {"step": step, **made_by}]
            write_json(self._provenance, begun)

    def write_status(self, status: str, step: int, seconds: float, diverged: dict[str, int]) -> None:
        """Write down how far the run is."""
        value = {"status": status, "step": step, "seconds": round(seconds, 1), "diverged": diverged}
        write_json(self._status, value)

    def write_metrics(self, content: bytes) -> None:
        """Write the table of measurements, as :func:`to_parquet` gives it, atomically."""
        write_bytes(self.metrics, content)

    def write_predictions(self, table: pd.DataFrame) -> None:
        """Write the probabilities of the test images' classes, atomically."""
        write_bytes(self.predictions, to_parquet(table))

    def read_metrics(self) -> pd.DataFrame:
        """Read the table of measurements.

        Raises:
            BadInput: the file is missing or damaged.
        """
        return self._table(self.metrics)

    def read_predictions(self) -> pd.DataFrame:
        """Read the probabilities.

        Raises:
            BadInput: the file is missing or damaged.
        """
        return self._table(self.predictions)

    def _table(self, path: Path) -> pd.DataFrame:
        try:
            return from_parquet(path.read_bytes())
        except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are the first two
            raise BadInput(f"{path} is missing or damaged; the run's command, given again, makes it anew") from error

    def _read(self, path: Path, *keys: str) -> dict[str, Any]:
        """Read a JSON object that has ``keys``."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            for key in keys:
                value[key]
            return cast(dict[str, Any], value)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise BadInput(f"{path} is missing or damaged; remove {self.folder} to make the run anew") from error


def to_parquet(table: pd.DataFrame) -> bytes:
    """Return what a table's file holds."""
    return table.to_parquet(index=False, compression="zstd", write_page_checksum=True)


def from_parquet(content: bytes) -> pd.DataFrame:
    """Return the table that ``content`` was made from; raises OSError or ValueError where it is damaged."""
    return pd.read_parquet(io.BytesIO(content), page_checksum_verification=True)
