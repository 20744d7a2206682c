"""run(config) -> record: the only wiring."""

import os
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import torch

from bnrepro import checkpoint, data, distributed, probes, theory
from bnrepro.config import HandwrittenConfig, RunConfig, SamplesConfig, StatisticsConfig, TrainingConfig
from bnrepro.data import Dataset
from bnrepro.data.samples import samples
from bnrepro.door import lacks_memory, output_gone
from bnrepro.dry_run import cost_of, describe
from bnrepro.errors import BadInput
from bnrepro.events import Events
from bnrepro.files import cannot_write
from bnrepro.metrics import MetricsTable
from bnrepro.predictions import predictions
from bnrepro.progress import ProgressReport
from bnrepro.provenance import provenance
from bnrepro.record import Record, from_parquet, to_parquet
from bnrepro.state import State, initial
from bnrepro.stopping import StopRequest
from bnrepro.train import Sink, allow_tf32, train

TOGETHER = 10  # steps after which several processes ask each other whether one was told to stop: it costs a message


def run(config: RunConfig) -> Record:
    """Train the stack that ``config`` describes, or go on where it stopped, or do nothing where it has ended.

    With ``config.dry_run`` say only what would be done. Under torchrun the processes train it together, and the first
    one writes the record.

    Raises:
        BadInput: the data, the device, the processes or the run's folder do not fit the config.
    """
    config = here(config)
    device = torch.device(config.runtime.device)
    record = Record.of(config)
    record.check(config)
    with distributed.together(device):
        first = distributed.rank() == 0
        if first and not config.dry_run:
            record.mend()
        if config.dry_run or not distributed.any_says(first and not record.ended, device):
            if first:
                nothing = f"{record.name}: {record.status['status']} already, nothing to do"
                print(describe(config, record) if config.dry_run else nothing, flush=True)
            return record
        set_up_torch(config.runtime.threads)
        if isinstance(config.study, TrainingConfig) and not isinstance(config.data, HandwrittenConfig):
            cost_of(config)  # refuses a width, stem or crop that does not fit before any image is decoded
        dataset = _load(config, device) if theory.needs_data(config.study) else None
        if isinstance(config.study, TrainingConfig):
            assert dataset is not None
            state = initial(config, dataset, device)
            with record.locked() if first else nullcontext():
                # another process may have ended it before this one had the lock
                if not distributed.any_says(first and record.ended, device):
                    _train(config, record, dataset, state, device)
        else:
            with record.locked():
                if not record.ended:
                    _measure(config, record, dataset, device)
    return record


def _load(config: RunConfig, device: torch.device) -> Dataset:
    return data.load(config.data, Path(config.data_root), config.augment.crop).to(device)


def here(config: RunConfig) -> RunConfig:
    """Return the same run on this machine: its device (``auto`` is CUDA where it is there) and torchrun's processes.

    Raises:
        BadInput: cuda is asked for and not there, or the processes do not fit.
    """
    name, there = config.runtime.device, torch.cuda.is_available()
    if name == "cuda" and not there:
        raise BadInput("runtime.device is cuda: this machine has none that torch can use; take cpu or auto")
    device = "cuda" if name != "cpu" and there else "cpu"
    if device == "cpu" and config.runtime.precision == "tf32":
        raise BadInput("runtime.precision is tf32: only NVIDIA's GPUs have it; take float32 or bfloat16")
    processes = distributed.started()
    if device == "cuda" and distributed.started_here() > torch.cuda.device_count():
        raise BadInput(
            f"torchrun has started {distributed.started_here()} processes here: there are {torch.cuda.device_count()} "
            "GPUs, one for each; give --nproc-per-node that many, or runtime.device=cpu"
        )
    if config.runtime.processes not in (1, processes):
        raise BadInput(
            f"runtime.processes is {config.runtime.processes}: torchrun has started {processes}; leave it out"
        )
    _check_share(config, processes)
    step = config.runtime.step if processes == 1 else "autograd"
    return replace(config, runtime=replace(config.runtime, device=device, processes=processes, step=step))


def _check_share(config: RunConfig, processes: int) -> None:
    """Refuse more processes than a mini-batch can be divided among."""
    if processes == 1:
        return
    if not isinstance(config.study, TrainingConfig):
        raise BadInput(f"study {config.study.name} runs in one process: start it without torchrun")
    least = 2 if isinstance(config.norm, StatisticsConfig) else 1
    if config.batch_size % processes or config.batch_size // processes < least:
        raise BadInput(
            f"batch_size is {config.batch_size}, of all {processes} processes together: it must be a multiple of "
            f"{processes}, {least * processes} or more"
        )


def set_up_torch(threads: int) -> None:
    """Make the arithmetic repeatable: fixed threads, deterministic kernels."""
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms imports torch's compiler
    allow_tf32(False)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time; nothing here reads such memory


def _train(config: RunConfig, record: Record, dataset: Dataset, state: State, device: torch.device) -> None:
    """Train; of several processes the first one keeps the record."""
    first = distributed.rank() == 0
    begun = _begin(config, record, dataset, state, device)
    spent = begun.seconds if begun else 0.0
    table = MetricsTable(record.name, config.replicas, from_parquet(begun.metrics) if begun else None)
    events: Events | None = None
    progress = ProgressReport(record.name, state.step, config.steps, config.runtime.progress_seconds)
    asked_every = 1 if distributed.size() == 1 else TOGETHER
    began = time.monotonic()

    def write_status(status: str) -> None:
        record.write_status(status, state.step, spent + time.monotonic() - began, diverged(config, state))

    def save(status: str) -> None:
        if first:
            metrics = to_parquet(table.table())
            done = checkpoint.Progress(metrics, spent + time.monotonic() - began)
            checkpoint.save(record.checkpoint, config, state, done)
            record.write_metrics(metrics)
            write_status(status)

    def after_step(state: State) -> None:
        if first:
            progress.at(state.step)
        if state.step == config.steps:
            return
        if state.step % asked_every == 0 and distributed.any_says(stop.came(), device):
            save("stopped")
            stop.obey()
        if state.step % config.runtime.checkpoint_every == 0:
            save("running")

    try:
        events = Events(record.folder, config, list(state.model.watched()), state.step) if first else None
        sinks: list[Sink] = [table, events, progress] if events else []
        with progress if first else nullcontext(), StopRequest() as stop:
            train(state, config.steps, probes.build(config, dataset), sinks, after_step)
            save("running")  # what follows may take minutes, or be ended
            _end(config, record, dataset, state, events=events, table=table)
            save("diverged" if diverged(config, state) else "finished")
        if stop.came():  # in the last step: the run has ended, but no other may begin
            stop.obey()
    except Exception as error:
        if first:
            with suppress(BadInput):  # the disk may be full
                write_status("failed")
        if isinstance(error, OSError) and not output_gone(error) and not lacks_memory(error):  # TensorBoard's
            raise BadInput(cannot_write(record.folder, error)) from error
        raise
    finally:
        if events:
            with suppress(OSError):  # they show a run, they do not keep it
                events.close()


def _begin(
    config: RunConfig, record: Record, dataset: Dataset, state: State, device: torch.device
) -> checkpoint.Progress | None:
    """Bring ``state`` to where the run stopped, or begin its record; return what it had, None where it is new."""
    first, begun = distributed.rank() == 0, None
    if distributed.any_says(first and record.begun, device):
        begun = checkpoint.restore(record.checkpoint, config, state)
    _check_agreed(record, state, device)
    if first:
        made_by = provenance(device, data_sha256=dataset.sha256, classes=dataset.classes)
        if begun:
            record.resume(state.step, made_by)
            record.name_damaged(begun.metrics)
            record.write_metrics(begun.metrics)
            record.write_status("running", state.step, begun.seconds, diverged(config, state))
            print(f"{record.name}: going on from step {state.step:,}", flush=True)
        else:
            record.begin(config, made_by)
    return begun


def _check_agreed(record: Record, state: State, device: torch.device) -> None:
    """Refuse processes that would go on from different steps: each read a checkpoint of its own machine."""
    mean = torch.tensor([state.step], dtype=torch.float64, device=device)  # float32 ends at 17 million
    distributed.mean_([mean])
    if distributed.any_says(bool(mean.item() != state.step), device):
        raise BadInput(
            f"the processes found different checkpoints in {record.folder}: runs_root must be a folder that all of "
            "them share"
        )


def _end(
    config: RunConfig, record: Record, dataset: Dataset, state: State, *, events: Events | None, table: MetricsTable
) -> None:
    """Do what is done once, with the trained networks; ``events`` is the first process' alone."""
    given = predictions(config, dataset, state) if config.probes.predictions else None
    if events is None:
        return
    events.finish(table.table())
    if given is not None:
        record.write_predictions(given)
    for seed, step in diverged(config, state).items():
        print(f"{record.name}: seed {seed} diverged, its loss is not finite from step {step:,} on", flush=True)


def _measure(config: RunConfig, record: Record, dataset: Dataset | None, device: torch.device) -> None:
    """Do a study, of the images or of theory/: under a minute, so it has no checkpoint; interrupted, it starts anew."""
    began = time.monotonic()
    sha256, classes = (dataset.sha256, dataset.classes) if dataset else ("", 0)
    record.begin(config, provenance(device, data_sha256=sha256, classes=classes))
    print(f"{record.name}: measuring", flush=True)
    try:
        if isinstance(config.study, SamplesConfig):
            assert dataset is not None
            measured = samples(dataset, config.augment, config.study.images, config.seeds[0])
        else:
            measured = theory.measure(config, dataset, device)
        record.write_metrics(to_parquet(measured))
    except Exception:
        with suppress(BadInput):  # the disk may be full
            record.write_status("failed", 0, time.monotonic() - began, {})
        raise
    record.write_status("finished", config.steps, time.monotonic() - began, {})
    print(f"{record.name}: finished in {time.monotonic() - began:.0f} s", flush=True)


def diverged(config: RunConfig, state: State) -> dict[str, int]:
    """Return the first step with a loss that is not finite, for each replica that has one, by its seed (and rate)."""
    named = {f"{r.seed} lr {r.lr:g}" if config.optim.rates else str(r.seed): r for r in config.replicas}
    return {name: step for name, step in zip(named, state.diverged_at.tolist(), strict=True) if step}
