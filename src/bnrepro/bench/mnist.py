"""The network of Sec. 4.1: our stack beside a resident loop, two DataLoaders, and its matrix products alone."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import TensorDataset

from bnrepro import data
from bnrepro.bench import peers, rows
from bnrepro.bench.floors import matrix_products
from bnrepro.bench.rounds import Variant, best_threads, take_turns
from bnrepro.bench.same import in_double, require_same
from bnrepro.compose import load
from bnrepro.config import BatchNormConfig, MLPConfig, RunConfig
from bnrepro.data import Dataset
from bnrepro.state import State, initial
from bnrepro.train import advance

OURS, COMPILED = "ours", "ours, compiled"
PER_IMAGE, TENSORS, RESIDENT = "DataLoader image by image", "DataLoader of tensors", "resident loop"
FLOOR = "matrix products alone"
REPLICAS = 10  # of Figure 1 at scale cpu
WORK = 300  # model-steps in a round
CHECKED = 20  # steps
GOALS = {  # ours over each of these, at least
    "cpu": {RESIDENT: 1.9, TENSORS: 4.5, PER_IMAGE: 11.0, FLOOR: 0.65},
    "cuda": {PER_IMAGE: 50.0},
}


def setting(network: str, device: str, *overrides: str) -> RunConfig:
    """Compose the run that is timed."""
    seeds = ",".join(map(str, range(REPLICAS)))
    return load([f"network={network}", f"seeds=[{seeds}]", f"runtime.device={device}", *overrides])


def measure(device: str) -> pd.DataFrame:
    """Return the rows of both networks, with and without BN."""
    return pd.concat([_network(network, device) for network in ("mlp", "mlp_bn")], ignore_index=True)


def _network(network: str, device: str) -> pd.DataFrame:
    config = setting(network, device)
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(torch.device(device))
    slow = setting(network, device, "runtime.step=autograd")
    check(initial(config, dataset, torch.device(device)), initial(slow, dataset, torch.device(device)))
    variants = _variants(config, dataset, device)
    compiling = _compiled(config, slow, dataset) if device == "cpu" else None
    if compiling:
        variants.append(compiling[0])
    variants, measured = best_threads(variants, take_turns(variants, WORK))
    case = f"MNIST network {'with' if network == 'mlp_bn' else 'without'} BN"
    table = rows.speeds(case, variants, measured, "model-steps/s and core", peer=PER_IMAGE, floor=FLOOR)
    goals = [
        rows.goal(case, f"ours ÷ {name}", measured[OURS] / measured[name], least)
        for name, least in GOALS[device].items()
    ]
    taken = [rows.seconds(case, "compiling ours", [compiling[1]])] if compiling else []
    return pd.concat([table, *goals, *taken], ignore_index=True)


def check(fast: State, by_autograd: State, compiled: bool = False) -> None:
    """Hold the step written out against autograd's, over the same mini-batches."""
    for state in (fast, by_autograd):
        in_double(state)
    if compiled:
        compile_step(fast)
        advance(by_autograd, gradients=False)
    for state in (fast, by_autograd):
        for _ in range(CHECKED):
            advance(state, gradients=False)
    require_same("the step written out", fast.model, by_autograd.model)


def compile_step(state: State) -> float:
    """Have the step written out compiled, doing one; return the seconds that it takes without what a cache kept."""
    assert state.written_out
    state.written_out = torch.compile(state.written_out, dynamic=False, options={"force_disable_caches": True})
    began = time.perf_counter()
    advance(state, gradients=False)
    return time.perf_counter() - began


def _compiled(config: RunConfig, slow: RunConfig, dataset: Dataset) -> tuple[Variant, float] | None:
    """Return ours compiled, and the seconds that this takes; None, and a line, where there is no compiler."""
    state, fast, by_autograd = (initial(one, dataset, torch.device("cpu")) for one in (config, config, slow))
    try:
        check(fast, by_autograd, compiled=True)
        seconds = compile_step(state)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        print(f"not compiled: {str(error).splitlines()[0]}", flush=True)
        return None
    return Variant(COMPILED, lambda: advance(state, gradients=False), REPLICAS, replicas=REPLICAS), seconds


def _variants(config: RunConfig, dataset: Dataset, device: str) -> list[Variant]:
    """Return ours, the peers with one thread and with two, and the floor."""
    assert isinstance(config.model, MLPConfig)
    widths = [dataset.train.images.shape[1], *config.model.hidden, dataset.classes]
    images, labels, batch_size = dataset.train.inputs, dataset.train.labels, config.batch_size
    per_image = peers.per_image(config.data, Path(config.data_root), dataset.train, peers.MNIST_TRANSFORM)
    in_memory = TensorDataset(images.cpu().view(-1, 1, 28, 28), labels.cpu())
    sources: dict[str, Callable[[], Iterator[peers.Batch]]] = {
        PER_IMAGE: lambda: peers.batches(per_image, batch_size, device),
        TENSORS: lambda: peers.batches(in_memory, batch_size, device),
        RESIDENT: lambda: peers.permuted(images, labels, batch_size),
    }

    def peer(source: Callable[[], Iterator[peers.Batch]]) -> Callable[[], object]:
        model = peers.mlp(widths, isinstance(config.norm, BatchNormConfig)).to(device)
        return peers.stepping(model, torch.optim.SGD(model.parameters(), config.optim.lr), source())

    def ours(*overrides: str) -> Callable[[], object]:
        state = initial(setting(config.network, device, *overrides), dataset, torch.device(device))
        return lambda: advance(state, gradients=False)

    return [
        *(Variant(name, peer(source), 1) for name, source in sources.items()),
        *(Variant(f"{name}, two threads", peer(source), 1, threads=2) for name, source in sources.items()),
        Variant("ours by autograd", ours("runtime.step=autograd"), REPLICAS, replicas=REPLICAS),
        Variant(OURS, ours(), REPLICAS, replicas=REPLICAS),
        Variant(FLOOR, matrix_products(widths, batch_size, REPLICAS, device), REPLICAS, replicas=REPLICAS),
    ]
