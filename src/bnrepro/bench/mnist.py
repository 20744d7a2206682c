"""The network of Sec. 4.1: our stack beside a resident loop, two DataLoaders, and its matrix products alone."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import TensorDataset
from torchvision import transforms

from bnrepro import data
from bnrepro.bench import peers, rows
from bnrepro.bench.floors import matrix_products
from bnrepro.bench.processes import in_processes
from bnrepro.bench.rounds import OTHERWISE, THREADS, WORKERS, Variant, better, take_turns
from bnrepro.bench.same import Trained, change, in_double, require_near, require_same, require_same_loss
from bnrepro.compose import load
from bnrepro.config import BatchNormConfig, MLPConfig, RunConfig
from bnrepro.data import Dataset
from bnrepro.errors import BadInput
from bnrepro.run import set_up_torch
from bnrepro.state import State, initial
from bnrepro.train import advance

OURS, COMPILED, LAUNCHED = "ours", "ours, compiled", "ours, launched kernel by kernel"
PER_IMAGE, TENSORS, RESIDENT = "DataLoader image by image", "DataLoader of tensors", "resident loop"
AS_OURS = "DataLoader image by image, not normalised"  # as ours are; the tutorials' transforms take twice as long
FLOOR = "matrix products alone"
REPLICAS = {"cpu": 10, "cuda": 64}  # 10: of Figure 1 at scale cpu; a GPU has room for more at once
WORK = 300  # model-steps in a round
CHECKED = 20  # steps
SINGLE = 1e-3  # that a step may be apart from another way to compute it in single precision
GOALS = {  # ours over each of these, at least
    "cpu": {RESIDENT: 1.9, TENSORS: 4.5, PER_IMAGE: 11.0, AS_OURS: 11.0, FLOOR: 0.65},
    "cuda": {PER_IMAGE: 50.0},
}


def setting(network: str, device: str, *overrides: str) -> RunConfig:
    """Compose the run that is timed."""
    seeds = ",".join(map(str, range(REPLICAS[device])))
    return load([f"network={network}", f"seeds=[{seeds}]", f"runtime.device={device}", *overrides])


def measure(device: str) -> pd.DataFrame:
    """Return the rows of both networks, with and without BN."""
    return pd.concat([_network(network, device) for network in ("mlp", "mlp_bn")], ignore_index=True)


def _network(network: str, device: str) -> pd.DataFrame:
    config, slow = setting(network, device), setting(network, device, "runtime.step=autograd")
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(torch.device(device))

    def start(of: RunConfig) -> State:
        return initial(of, dataset, torch.device(device))

    def launched(of: RunConfig) -> State:
        return replace(start(of), recorded=False)  # as it is on a CPU

    check(start(config), launched(slow))
    timed = start(config)
    require_near("the step written out", change(_trained(timed)), change(_trained(launched(slow))), SINGLE)
    variants = _variants(config, dataset, device, timed)
    case = f"MNIST network {'with' if network == 'mlp_bn' else 'without'} BN"
    compiling = pd.DataFrame(columns=rows.COLUMNS)
    if device == "cpu" and (compiled := _compiled(start(config), start(slow))):
        variants.append(compiled)
        compiling = rows.seconds(case, "compiling ours", in_processes(_seconds_to_compile, (config,)))
    if device == "cuda":
        variants.append(_stack(LAUNCHED, launched(config)))
    variants, measured = better(variants, take_turns(variants, WORK), device)
    table = rows.speeds(case, variants, measured, rows.a_second("model-steps", device), peer=PER_IMAGE, floor=FLOOR)
    goals = [
        rows.goal(case, f"{OURS} ÷ {name}", measured[OURS] / measured[name], least)
        for name, least in GOALS[device].items()
    ]
    return pd.concat([table, *goals, compiling], ignore_index=True)


def check(fast: State, by_autograd: State) -> None:
    """Hold the step written out against autograd's, over the same mini-batches."""
    assert fast.written_out
    assert not by_autograd.written_out
    for state in (fast, by_autograd):
        in_double(state)
    for _ in range(CHECKED):
        advance(fast, gradients=False)
        advance(by_autograd, gradients=False)
        require_same_loss("the step written out", fast.loss, by_autograd.loss)
    require_same("the step written out", fast.model, by_autograd.model)


def _trained(state: State) -> Trained:
    return state.model, lambda: advance(state, gradients=False)


def _compiled(state: State, by_autograd: State) -> Variant | None:
    """Return the step compiled, held against autograd's; None, and a line, where it cannot be or is something else."""
    try:
        compile_step(state)
        advance(by_autograd, gradients=False)
        require_near("the step compiled", change(_trained(state)), change(_trained(by_autograd)), SINGLE)
        require_same("the step compiled", state.model, by_autograd.model, SINGLE)
        require_same_loss("the step compiled", state.loss, by_autograd.loss, SINGLE)
    except (torch._dynamo.exc.BackendCompilerFailed, BadInput) as error:
        print(f"not compiled: {str(error).splitlines()[0]}", flush=True)
        return None
    return _stack(COMPILED, state)


def _stack(name: str, state: State, threads: int = 1) -> Variant:
    replicas = len(state.diverged_at)
    return Variant(name, _trained(state)[1], replicas, threads=threads, replicas=replicas)


def compile_step(state: State) -> float:
    """Have the step written out compiled, doing one; return the seconds that it takes without what a cache kept."""
    assert state.written_out
    torch.use_deterministic_algorithms(True)  # tells the compiler too, as set_up_torch does not
    state.written_out = torch.compile(state.written_out, dynamic=False, options={"force_disable_caches": True})
    began = time.perf_counter()
    advance(state, gradients=False)
    return time.perf_counter() - began


def _seconds_to_compile(config: RunConfig) -> float:
    """Time it in a process that has compiled nothing yet, as a run would be."""
    set_up_torch(1)
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop)
    return compile_step(initial(config, dataset, torch.device("cpu")))


def _variants(config: RunConfig, dataset: Dataset, device: str, timed: State) -> list[Variant]:
    """Return ours, ``timed``, and the peers, each with one thread and with two, and the floor."""
    assert isinstance(config.model, MLPConfig)
    widths = [dataset.train.images.shape[1], *config.model.hidden, dataset.classes]
    images, labels = dataset.train.inputs, dataset.train.labels
    batch_size, replicas = config.batch_size, len(config.replicas)

    def per_image(transform: peers.Transform, workers: int) -> Iterator[peers.Batch]:
        files = peers.per_image(config.data, Path(config.data_root), dataset.train, transform)
        return peers.batches(files, batch_size, device, workers)

    in_memory = TensorDataset(images.cpu().view(-1, 1, 28, 28), labels.cpu())
    sources: dict[str, Callable[[int], Iterator[peers.Batch]]] = {
        PER_IMAGE: lambda workers: per_image(peers.MNIST_TRANSFORM, workers),
        AS_OURS: lambda workers: per_image(transforms.ToTensor(), workers),
        TENSORS: lambda workers: peers.batches(in_memory, batch_size, device, workers),
        RESIDENT: lambda _: peers.permuted(images, labels, batch_size),
    }

    def peer(source: Callable[[int], Iterator[peers.Batch]], workers: int = 0) -> Callable[[], object]:
        model = peers.mlp(widths, isinstance(config.norm, BatchNormConfig)).to(device)
        return peers.stepping(model, torch.optim.SGD(model.parameters(), config.optim.lr), source(workers))

    by_autograd = initial(setting(config.network, device, "runtime.step=autograd"), dataset, torch.device(device))
    ours = {"ours by autograd": by_autograd, OURS: timed}
    threads, otherwise = THREADS[device], OTHERWISE[device][1]
    more = sources if device == "cpu" else {name: sources[name] for name in (PER_IMAGE, AS_OURS, TENSORS)}
    return [
        *(Variant(name, peer(source), 1) for name, source in sources.items()),
        *(Variant(f"{name}, {otherwise}", peer(source, WORKERS[device]), 1, threads) for name, source in more.items()),
        *(_stack(name, state) for name, state in ours.items()),
        *([_stack(f"{OURS}, {otherwise}", timed, threads)] if device == "cpu" else []),
        Variant(FLOOR, matrix_products(widths, batch_size, replicas, device), replicas, replicas=replicas),
    ]
