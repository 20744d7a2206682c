"""A run's folder: every file name, the tidy table of measurements, status, lock and provenance. No torch.

runs/<experiment>/<name>-<hash of the config>/
    config.json       every setting
    provenance.json   commit, versions, device, data; where it was resumed by others, from which step
    status.json       of which run; running, stopped, finished, diverged or failed; the step; the seconds spent; the
                      SHA-256 of the tables
    metrics.parquet   long form: run, seed, lr, step, split, layer, unit, metric, value
    predictions.parquet  where it is asked for: example, label, crops, class, probability
    checkpoint.pt     the state of the run (checkpoint.py); checkpoint.before.pt the one before
    holder.json       which process works on it, or was the last to
    events.out.*      for TensorBoard, never the source of a number
Each of the JSON files has the SHA-256 of what is in it (files.py), a checkpoint that of its own.
"""

import io
import json
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from bnrepro import lock
from bnrepro.config import RunConfig, identity
from bnrepro.errors import BadInput
from bnrepro.files import cannot_read, put_aside, read_bytes, read_json, sha256, write_bytes, write_json

FINAL = ("finished", "diverged")
MADE_BY = ("commit", "dirty", "python", "versions", "device", "threads")  # of provenance: what may change in between
KEYS = ["run", "seed", "lr", "step", "split", "layer", "unit", "metric"]


def digest(config: RunConfig) -> str:
    """Hash a run's identity to eight hex digits."""
    return sha256_of(identity(config))[:8]


def sha256_of(settings: dict[str, Any]) -> str:
    """Hash the settings under dotted keys."""
    return sha256(json.dumps(settings, sort_keys=True).encode())


def refuse_other(where: Path, stored: dict[str, Any], config: RunConfig) -> None:
    """Refuse what was made with other settings than ``config`` has.

    Raises:
        BadInput: the message lists the keys that differ.
    """
    ours = identity(config)
    keys = sorted(key for key in stored.keys() | ours.keys() if stored.get(key) != ours.get(key))
    if keys:
        listed = ", ".join(f"{key} is {stored.get(key)} there and {ours.get(key)} here" for key in keys)
        raise BadInput(f"{where} is of a run with another config: {listed}; give the run another name=, or remove it")


def refuse_other_data(where: Path, theirs: str, ours: str) -> None:
    """Refuse what was made on data whose SHA-256 is not ``ours``.

    Raises:
        BadInput: the message gives both.
    """
    if theirs != ours:
        raise BadInput(
            f"{where} is of other data: their SHA-256 is {theirs} there and {ours} now; bring those back, or remove "
            "the run's folder to make it anew"
        )


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
        self._sums: dict[str, str] = {}  # of the tables that this process has written

    @classmethod
    def of(cls, config: RunConfig) -> "Record":
        """Return the record that belongs to ``config``."""
        return cls(Path(config.runs_root) / config.experiment / f"{config.name}-{digest(config)}")

    @property
    def name(self) -> str:
        """The run's name: experiment/folder, with what is no UTF-8 written out."""
        return os.fsencode(f"{self.folder.parent.name}/{self.folder.name}").decode(errors="backslashreplace")

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

        Where the file is missing, damaged or another run's nothing is known: the checkpoint says where the run goes on.
        """
        try:
            status = self._read(self._status, "run", "status", "step", "seconds", "diverged", "tables")
            return status if status["run"] == self._whose() else {"status": "missing"}
        except BadInput:
            return {"status": "missing"}

    def _whose(self) -> str:
        """Hash what was run and where: one config may have been run on other data."""
        return sha256_of({"config": self.config, "provenance": self.provenance})

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
        return self.status["status"] in FINAL and all(path.exists() for path in self._tables)

    @property
    def _tables(self) -> list[Path]:
        return [self.metrics, *([self.predictions] if self.config.get("probes.predictions") else [])]

    def mend(self) -> None:
        """Put the damaged tables of a run that has ended aside: it then goes on from its checkpoint and writes them.

        Raises:
            BadInput: its config or provenance is damaged.
        """
        if not self.ended or not self.provenance:
            return
        if all(self._whole(path) for path in self._tables):
            return
        with self.locked():
            still = self.ended  # another process may have mended it
            damaged = [path for path in self._tables if path.exists() and not self._whole(path)] if still else []
            for path in damaged:
                aside = put_aside(path)
                self._status.unlink(missing_ok=True)
                print(f"{path} is not what the run wrote: it is kept as {aside.name} and made anew", flush=True)

    def _whole(self, path: Path) -> bool:
        try:
            self._table(path)
            return True
        except BadInput:
            return False

    @property
    def held(self) -> bool:
        """Whether another process is working on the run."""
        return lock.is_held(self.folder)

    def check(self, config: RunConfig) -> None:
        """Refuse to resume or skip a run that was made with other settings.

        Raises:
            BadInput: the stored config is another; the message lists the keys that differ.
        """
        if self._config.exists():
            refuse_other(self.folder, self.config, config)

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder for this process, and make it if it is new; raises BadInput where another one does."""
        a_moment = 1.0  # who only asks whether it is held (see held) holds it for that
        return lock.held(self.folder, a_moment, ", or choose another runs_root=")

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
        refuse_other_data(self.folder, begun["data_sha256"], provenance["data_sha256"])
        parts = [begun, *begun.get("resumed", [])]
        if any(parts[-1][key] != provenance[key] for key in MADE_BY):
            made_by = {key: provenance[key] for key in MADE_BY}
            begun["resumed"] = [*begun.get("resumed", []), {"step": step, **made_by}]
            write_json(self._provenance, begun)

    def name_damaged(self, metrics: bytes) -> None:
        """Name the table and the status where they are not what was written; ``metrics`` is the checkpoint's table."""
        status = self.status
        written = (sha256(metrics), status.get("tables", {}).get(self.metrics.name))
        with suppress(OSError):  # whatever keeps it from being read keeps it from being written, and is said then
            if self.metrics.exists() and sha256(read_bytes(self.metrics)) not in written:
                print(f"{self.metrics} is damaged: it is made anew", flush=True)
        if status["status"] == "missing" and self._status.exists():
            print(f"{self._status} is damaged: it is made anew", flush=True)

    def write_status(self, status: str, step: int, seconds: float, diverged: dict[str, int]) -> None:
        """Write down how far the run is, and the SHA-256 of the tables that were written before."""
        value = {"status": status, "step": step, "seconds": round(seconds, 1), "diverged": diverged}
        write_json(self._status, {**value, "run": self._whose(), "tables": self._sums})

    def write_metrics(self, content: bytes) -> None:
        """Write the table of measurements, as :func:`to_parquet` gives it, atomically."""
        self._write(self.metrics, content)

    def write_predictions(self, table: pd.DataFrame) -> None:
        """Write the probabilities of the test images' classes, atomically."""
        self._write(self.predictions, to_parquet(table))

    def _write(self, path: Path, content: bytes) -> None:
        write_bytes(path, content)
        self._sums[path.name] = sha256(content)

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
        """Read a table that is the one of which the status has the SHA-256: parquet's own sums leave its footer out."""
        try:
            content = read_bytes(path)
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise BadInput(cannot_read(path, error)) from error
        if sha256(content) != self.status.get("tables", {}).get(path.name):
            raise BadInput(f"{path} is missing or damaged; the run's command, given again, makes it anew")
        return from_parquet(content)

    def _read(self, path: Path, *keys: str) -> dict[str, Any]:
        """Read a JSON object that has ``keys``."""
        try:
            value = read_json(path)
            for key in keys:
                value[key]
            return value
        except (FileNotFoundError, ValueError, LookupError) as error:
            raise BadInput(f"{path} is missing or damaged; remove {self.folder} to make the run anew") from error
        except OSError as error:
            raise BadInput(cannot_read(path, error)) from error


def to_parquet(table: pd.DataFrame) -> bytes:
    """Return what a table's file holds."""
    return table.to_parquet(index=False, compression="zstd", write_page_checksum=True)


def from_parquet(content: bytes) -> pd.DataFrame:
    """Return the table that ``content`` was made from; raises OSError or ValueError where it is damaged."""
    return pd.read_parquet(io.BytesIO(content), page_checksum_verification=True)
