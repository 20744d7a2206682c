"""run(config) -> record: the only wiring."""

import os
import time
from dataclasses import replace
from pathlib import Path

import torch

from bnrepro import checkpoint, data, probes, theory
from bnrepro.config import RunConfig, SamplesConfig, TrainingConfig
from bnrepro.data import Dataset
from bnrepro.data.samples import samples
from bnrepro.dry_run import describe
from bnrepro.errors import BadInput
from bnrepro.events import Events
from bnrepro.metrics import MetricsTable
from bnrepro.predictions import predictions
from bnrepro.progress import ProgressReport
from bnrepro.provenance import provenance
from bnrepro.record import Record
from bnrepro.state import State, initial
from bnrepro.train import train


def run(config: RunConfig) -> Record:
    """Train the stack that ``config`` describes, or go on where it stopped, or do nothing where it has ended.

    With ``config.dry_run`` say only what would be done.

    Raises:
        BadInput: the data, the device or the run's folder do not fit the config.
    """
    device = choose_device(config.runtime.device)
    config = replace(config, runtime=replace(config.runtime, device=device.type))
    record = Record.of(config)
    record.check(config)
    if config.dry_run:
        print(describe(config, record), flush=True)
        return record
    if record.ended:
        print(f"{record.name}: {record.status['status']} already, nothing to do", flush=True)
        return record
    set_up_torch(config.runtime.threads)
    dataset = _load(config, device) if theory.needs_data(config.study) else None
    if isinstance(config.study, TrainingConfig):
        assert dataset is not None
        state = initial(config, dataset, device)
        with record.locked():
            _train(config, record, dataset, state, device)
    else:
        with record.locked():
            _measure(config, record, dataset, device)
    return record


def _load(config: RunConfig, device: torch.device) -> Dataset:
    return data.load(config.data, Path(config.data_root), config.augment.crop).to(device)


def choose_device(name: str) -> torch.device:
    """Return the device that ``runtime.device`` names; auto is CUDA where it is there.

    Raises:
        BadInput: cuda is asked for and not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("runtime.device is cuda: this machine has none that torch can use; take cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def set_up_torch(threads: int) -> None:
    """Make the arithmetic repeatable: fixed threads, deterministic kernels."""
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time; nothing here reads such memory


def _train(config: RunConfig, record: Record, dataset: Dataset, state: State, device: torch.device) -> None:
    earlier, spent = None, 0.0
    if record.begun and record.checkpoint.exists():
        checkpoint.restore(record.checkpoint, state)
        earlier, spent = record.read_metrics(up_to_step=state.step), float(record.status.get("seconds", 0.0))
        print(f"{record.name}: going on from step {state.step:,}", flush=True)
    else:
        record.begin(config, provenance(device, dataset.sha256, dataset.classes))
    table = MetricsTable(record.name, config.replicas, earlier)
    events = Events(record.folder, config, list(state.model.watched()), state.step)
    began = time.monotonic()

    def save(status: str) -> None:
        record.write_metrics(table.table())  # first: rows after the checkpoint's step are dropped on resuming
        checkpoint.save(record.checkpoint, state)
        record.write_status(status, state.step, spent + time.monotonic() - began, diverged(config, state))

    def after_step(state: State) -> None:
        progress.at(state.step)
        if state.step % config.runtime.checkpoint_every == 0 and state.step < config.steps:
            save("running")

    progress = ProgressReport(record.name, state.step, config.steps, config.runtime.progress_seconds)
    try:
        with progress:
            train(state, config.steps, probes.build(config, dataset), [table, events, progress], after_step)
        events.finish(table.table())
        if config.probes.predictions:
            record.write_predictions(predictions(config, dataset, state))
        save("diverged" if diverged(config, state) else "finished")
        for seed, step in diverged(config, state).items():
            print(f"{record.name}: seed {seed} diverged, its loss is not finite from step {step:,} on", flush=True)
    except Exception:
        record.write_status("failed", state.step, spent + time.monotonic() - began, diverged(config, state))
        raise
    finally:
        events.close()


def _measure(config: RunConfig, record: Record, dataset: Dataset | None, device: torch.device) -> None:
    """Do a study, of the images or of theory/: under a minute, so it has no checkpoint; interrupted, it starts anew."""
    began = time.monotonic()
    record.begin(config, provenance(device, *((dataset.sha256, dataset.classes) if dataset else ("", 0))))
    print(f"{record.name}: measuring", flush=True)
    try:
        if isinstance(config.study, SamplesConfig):
            assert dataset is not None
            record.write_metrics(samples(dataset, config.augment, config.study.images, config.seeds[0]))
        else:
            record.write_metrics(theory.measure(config, dataset, device))
    except Exception:
        record.write_status("failed", 0, time.monotonic() - began, {})
        raise
    record.write_status("finished", config.steps, time.monotonic() - began, {})
    print(f"{record.name}: finished in {time.monotonic() - began:.0f} s", flush=True)


def diverged(config: RunConfig, state: State) -> dict[str, int]:
    """Return the first step with a loss that is not finite, for each replica that has one, by its seed (and rate)."""
    named = {f"{r.seed} lr {r.lr:g}" if config.optim.rates else str(r.seed): r for r in config.replicas}
    return {name: step for name, step in zip(named, state.diverged_at.tolist(), strict=True) if step}
