"""An Inception network: ours beside the eager one behind a DataLoader, and its convolutions alone."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from bnrepro import data
from bnrepro.bench import peers, rows
from bnrepro.bench.floors import convolutions
from bnrepro.bench.rounds import OTHERWISE, THREADS, WORKERS, Variant, better, take_turns
from bnrepro.bench.same import change, in_double, require_as_large, require_near, require_same, require_same_loss
from bnrepro.compose import load
from bnrepro.config import RunConfig
from bnrepro.data import Dataset
from bnrepro.models import Inception
from bnrepro.state import State, initial
from bnrepro.train import advance, allow_tf32

STEPS = 10  # in a round
CHECKED = 5  # steps, before anything is timed
PEER, RESIDENT, FLOOR = "DataLoader image by image", "eager, images resident and not distorted", "convolutions alone"
CHANNELS_LAST = "eager, images resident and not distorted, channels-last"
LAUNCHED = "ours, launched kernel by kernel"
WHAT = "the Inception network's step"
SINGLE = 0.03  # that a step may be apart from another way to compute it in single precision
ROUNDED, AS_LARGE = 0.4, 0.1  # that steps in bfloat16 may be apart from the eager network's, and other in length,
MINI_BATCHES = 16  # over so many added up: a step alone is half its size away, for the network magnifies rounding
GOALS = {  # ours over each of these, at least
    "cpu": {"float32": {PEER: 1.4, FLOOR: 0.55}, "bfloat16": {PEER: 1.8, FLOOR: 0.55}},
    "cuda": {"float32": {RESIDENT: 4.0}, "tf32": {RESIDENT: 4.0}, "bfloat16": {RESIDENT: 4.0}},
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
    """Return the rows for each precision."""
    return pd.concat([_precision(images, device, precision) for precision in precisions(device)], ignore_index=True)


def precisions(device: str) -> list[str]:
    """List the precisions that are timed; a CPU without bfloat16's instructions would only be seen to lack them."""
    if device == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return [precision for precision in GOALS[device] if precision != "bfloat16"]
    return list(GOALS[device])


def _precision(images: str, device: str, precision: str) -> pd.DataFrame:
    config = setting(images, device, f"runtime.precision={precision}")
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(torch.device(device))

    def start() -> State:
        return initial(config, dataset, torch.device(device))

    state = start()
    if precision == "float32":
        check(start(), start())
    check_as_timed(state, start, precision)
    variants = _variants(config, dataset, state)
    if device == "cuda":
        launched = replace(start(), recorded=False)  # as it is on a CPU
        variants.append(Variant(LAUNCHED, lambda: advance(launched), config.batch_size, 1, 1, precision))
    variants, measured = better(variants, take_turns(variants, STEPS * config.batch_size), device)
    case = f"Inception network on {images}, {precision}"
    table = rows.speeds(case, variants, measured, rows.a_second("images", device), peer=PEER, floor=FLOOR)
    goals = [
        rows.goal(case, f"ours ÷ {name}", measured["ours"] / measured[name], least)
        for name, least in GOALS[device][precision].items()
    ]
    return pd.concat([table, *goals], ignore_index=True)


def _variants(config: RunConfig, dataset: Dataset, state: State) -> list[Variant]:
    """Return ours and the peers, on a CPU each with one thread and with two, and the floor."""
    device, batch_size, precision = config.runtime.device, config.batch_size, config.runtime.precision
    images, labels = dataset.train.images, dataset.train.labels
    network = state.model
    assert isinstance(network, Inception)

    otherwise, threads = OTHERWISE[device][1], THREADS[device]

    inputs = dataset.train.inputs

    def peer(name: str, other: bool) -> Variant:
        layout = torch.channels_last if name == CHANNELS_LAST else torch.contiguous_format
        model = peers.EagerInception(network, layout).to(device)
        optimiser = torch.optim.SGD(
            model.parameters(), config.optim.initial, config.optim.momentum, weight_decay=config.optim.l2
        )
        if name == PEER:
            transform = peers.augmentation(config.augment, images.shape[-1])
            files = peers.per_image(config.data, Path(config.data_root), dataset.train, transform)
            source = peers.batches(files, batch_size, device, WORKERS[device] if other else 0)
        else:
            source = peers.permuted(inputs, labels, batch_size)
        called = f"{name}, {otherwise}" if other else name
        call = peers.stepping(model, optimiser, source, precision)
        return Variant(called, call, batch_size, threads if other else 1, 1, precision)

    sample = state.sampler.next().images
    allow_tf32(precision == "tf32")  # the floor is recorded now
    floor = convolutions(deepcopy(network), sample, torch.bfloat16 if precision == "bfloat16" else torch.float32)
    ours = Variant("ours", lambda: advance(state), batch_size, 1, 1, precision)
    return [
        *(
            peer(name, other)
            for name in (PEER, RESIDENT, CHANNELS_LAST)
            for other in (False, True)
            if device == "cpu" or name == PEER or not other
        ),
        ours,
        *([replace(ours, name=f"ours, {otherwise}", threads=threads)] if device == "cpu" else []),
        Variant("ours, mini-batches alone", state.sampler.next, batch_size, 1, 1, precision),
        Variant(FLOOR, floor, batch_size, 1, 1, precision),
    ]


def check(ours: State, other: State) -> None:
    """Hold our step against the eager network's, which takes over ``other``'s weights and mini-batches."""
    in_double(ours)
    other.model.double()
    theirs, step = _theirs(other)
    for _ in range(CHECKED):
        advance(ours)
        require_same_loss(WHAT, ours.loss, step())
    assert isinstance(ours.model, Inception)
    require_same(WHAT, peers.EagerInception(ours.model), theirs)


def check_as_timed(timed: State, start: Callable[[], State], precision: str) -> None:
    """Hold a step of the state that is ``timed`` against the eager network's, which has the weights of ``start``.

    Raises:
        BadInput: it is another.
    """
    rounds = precision != "float32"
    steps = MINI_BATCHES if rounds else 1
    assert isinstance(timed.model, Inception)
    ours = _in_their_order(timed.model, change((timed.model, lambda: advance(timed)), steps))
    reference = change(_theirs(start(), precision), steps)
    require_near(WHAT, ours, reference, ROUNDED if rounds else SINGLE)
    require_as_large(WHAT, ours, reference, AS_LARGE if rounds else SINGLE)


def _in_their_order(model: Inception, numbers: Tensor) -> Tensor:
    """Return one number for each parameter of ``model``, such as its change, in the eager network's order."""
    filled = deepcopy(model)
    vector_to_parameters(numbers, filled.parameters())
    return parameters_to_vector(peers.EagerInception(filled).parameters()).detach()


def _theirs(other: State, precision: str = "float32") -> tuple[nn.Module, Callable[[], Tensor]]:
    """Return the eager network with ``other``'s weights, and what does a step on its mini-batches, giving the loss."""
    assert isinstance(other.model, Inception)
    dtype = other.model.output.weight.dtype
    theirs = peers.EagerInception(other.model, torch.channels_last)  # as ours: in bfloat16 a layout rounds otherwise
    theirs.model.dropout = other.model.dropout  # with the framework's own other maps would be dropped out
    parts = [[p for p in theirs.parameters() if (p.dim() > 1) == weights] for weights in (True, False)]
    ours = other.optimiser
    groups = [{"params": part, "weight_decay": own.l2} for part, own in zip(parts, ours.groups, strict=True)]
    optimiser = torch.optim.SGD(groups, float(ours.lr), ours.momentum)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, ours.decay)

    def step() -> Tensor:
        batch = other.sampler.next()
        images = batch.images[0].to(dtype)
        allow_tf32(precision == "tf32")  # our step has set it back
        optimiser.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = theirs(images)
        logits = logits.float() if precision == "bfloat16" else logits
        loss = functional.cross_entropy(logits, batch.labels[0])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        return loss

    return theirs, step
