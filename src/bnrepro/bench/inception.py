"""An Inception network: ours beside the eager one behind a DataLoader, and its convolutions alone."""

from copy import deepcopy
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional

from bnrepro import data
from bnrepro.bench import peers, rows
from bnrepro.bench.floors import convolutions
from bnrepro.bench.rounds import Variant, best_threads, take_turns
from bnrepro.bench.same import in_double, require_same
from bnrepro.compose import load
from bnrepro.config import RunConfig
from bnrepro.data import Dataset
from bnrepro.models import Inception
from bnrepro.state import State, initial
from bnrepro.train import advance

STEPS = 10  # in a round
CHECKED = 5  # steps, before anything is timed
PEER, RESIDENT, FLOOR = "DataLoader image by image", "eager, images resident and not distorted", "convolutions alone"
GOALS = {  # ours over each of these, at least
    "cpu": {"float32": {PEER: 1.4, FLOOR: 0.55}, "bfloat16": {PEER: 1.8, FLOOR: 0.55}},
    "cuda": {"float32": {RESIDENT: 4.0}, "bfloat16": {RESIDENT: 4.0}},
}


def setting(images: str, device: str, *overrides: str) -> RunConfig:
    """Compose the run that is timed: BN-Baseline at scale cpu."""
    return load(
        [
            *("experiment=fig2", "scale=cpu", "network=bn_baseline", f"data={images}", "seeds=[0]"),
            *(f"runtime.device={device}", *overrides),
        ]
    )


def measure(images: str, device: str) -> pd.DataFrame:
    """Return the rows for both precisions."""
    return pd.concat([_precision(images, device, precision) for precision in GOALS[device]], ignore_index=True)


def _precision(images: str, device: str, precision: str) -> pd.DataFrame:
    config = setting(images, device, f"runtime.precision={precision}")
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(torch.device(device))
    state = initial(config, dataset, torch.device(device))
    if precision == "float32":
        check(*(initial(config, dataset, torch.device(device)) for _ in range(2)))
    variants = _variants(config, dataset, state)
    variants, measured = best_threads(variants, take_turns(variants, STEPS * config.batch_size))
    case = f"Inception network on {images}, {precision}"
    table = rows.speeds(case, variants, measured, "images/s and core", peer=PEER, floor=FLOOR)
    goals = [
        rows.goal(case, f"ours ÷ {name}", measured["ours"] / measured[name], least)
        for name, least in GOALS[device][precision].items()
    ]
    return pd.concat([table, *goals], ignore_index=True)


def _variants(config: RunConfig, dataset: Dataset, state: State) -> list[Variant]:
    """Return ours, the peers with one thread and with two, and the floor."""
    device, batch_size, precision = config.runtime.device, config.batch_size, config.runtime.precision
    images, labels = dataset.train.images, dataset.train.labels
    network = state.model
    assert isinstance(network, Inception)

    def peer(threads: int, distorted: bool) -> Variant:
        model = peers.EagerInception(deepcopy(network)).to(device)
        optimiser = torch.optim.SGD(
            model.parameters(), config.optim.initial, config.optim.momentum, weight_decay=config.optim.l2
        )
        if distorted:
            transform = peers.augmentation(config.augment, images.shape[-1])
            files = peers.per_image(config.data, Path(config.data_root), dataset.train, transform)
            source = peers.batches(files, batch_size, device)
        else:
            source = peers.permuted(dataset.train.inputs, labels, batch_size)
        name = (PEER if distorted else RESIDENT) + (", two threads" if threads == 2 else "")
        return Variant(name, peers.stepping(model, optimiser, source, precision), batch_size, threads, 1, precision)

    sample = state.sampler.next().images
    floor = convolutions(deepcopy(network), sample, getattr(torch, precision))
    return [
        *(peer(threads, distorted) for distorted in (True, False) for threads in (1, 2)),
        Variant("ours", lambda: advance(state), batch_size, 1, 1, precision),
        Variant("ours, mini-batches alone", state.sampler.next, batch_size, 1, 1, precision),
        Variant(FLOOR, floor, batch_size, 1, 1, precision),
    ]


def check(ours: State, other: State) -> None:
    """Hold our step against the eager network's, which takes over ``other``'s weights and mini-batches."""
    in_double(ours)
    assert isinstance(other.model, Inception)
    theirs = peers.EagerInception(other.model).double()
    settings = [
        {key: group[key] for key in ("lr", "momentum", "weight_decay")} for group in ours.optimiser.param_groups
    ]
    parts = [[p for p in theirs.parameters() if (p.dim() > 1) == weights] for weights in (True, False)]
    optimiser = torch.optim.SGD([{"params": part, **own} for part, own in zip(parts, settings, strict=True)])
    assert ours.schedule
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, ours.schedule.gamma)
    for _ in range(CHECKED):
        advance(ours)
        batch = other.sampler.next()
        optimiser.zero_grad()
        functional.cross_entropy(theirs(batch.images[0].double()), batch.labels[0]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    require_same("the Inception network's step", ours.model, theirs.model)
