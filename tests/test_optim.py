"""The optimiser, against the framework's own."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR

from bnrepro import models, norm, optim
from bnrepro.config import RunConfig
from bnrepro.models import Network
from bnrepro.optim import SGD
from conftest import load

SETTINGS = [
    ["optim.lr=0.3"],
    ["optim.momentum=0.9"],
    ["optim.momentum=0.9", "optim.l2=0.01", "optim.half_life=0.2", "optim.decay_speed=2"],
]


def built(config: RunConfig) -> tuple[Network, SGD]:
    model = models.build(config.model, norm.build(config.norm, 2), (7,), 3, [0, 1])
    return model, optim.build(config.optim, model, [config.optim.lr] * 2, config.steps)


def take_gradients(model: Network, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


@pytest.mark.parametrize("settings", SETTINGS, ids=" ".join)
def test_steps_are_the_frameworks_bit_for_bit(settings: list[str]) -> None:
    config = load(["network=mlp_bn", "model.hidden=[6,5]", "steps=10", *settings])
    (ours, optimiser), (theirs, _) = built(config), built(config)
    named = dict(theirs.named_parameters())
    weights = [named.pop(f"{layer}.weight") for layer in ("linears.0", "linears.1", "output")]
    groups = [{"params": weights, "weight_decay": config.optim.l2}, {"params": list(named.values())}]
    peer = torch.optim.SGD(groups, config.optim.lr, config.optim.momentum, fused=True)
    schedule = ExponentialLR(peer, 2 ** (-2 / 0.2 / 10) if config.optim.half_life else 1.0)
    for step in range(6):
        for model in (ours, theirs):
            take_gradients(model, step)
        optimiser.step()
        optimiser.lower_rate()
        peer.step()
        schedule.step()
        assert optimiser.lr == peer.param_groups[0]["lr"]
        assert all(torch.equal(p, other) for p, other in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_each_replicas_rate_is_the_frameworks_for_it_alone() -> None:
    config = load(["network=mlp_bn", "model.hidden=[6,5]", "steps=10", *SETTINGS[2], "optim.rates=[0.3,0.05]"])
    model = models.build(config.model, norm.build(config.norm, 2), (7,), 3, [0, 1])
    optimiser = optim.build(config.optim, model, config.optim.rates, config.steps)
    peers = []
    for replica, lr in enumerate(config.optim.rates):
        own = {name: p.detach()[replica].clone().requires_grad_() for name, p in model.named_parameters()}
        weights = [p for name, p in own.items() if "norm" not in name and name.endswith("weight")]
        others = [p for p in own.values() if not any(p is weight for weight in weights)]
        groups = [{"params": weights, "weight_decay": config.optim.l2}, {"params": others}]
        peer = torch.optim.SGD(groups, lr, config.optim.momentum)
        peers.append((own, peer, ExponentialLR(peer, 2 ** (-2 / 0.2 / 10))))
    for step in range(6):
        take_gradients(model, step)
        gradients = {name: p.grad for name, p in model.named_parameters()}
        before = {name: g.clone() for name, g in gradients.items() if g is not None}
        optimiser.step()
        optimiser.lower_rate()
        for replica, (own, peer, schedule) in enumerate(peers):
            for name, p in own.items():
                p.grad = before[name][replica]
            peer.step()
            schedule.step()
            assert optimiser.rates_now(torch.zeros(2))[replica].item() == pytest.approx(peer.param_groups[0]["lr"])
            for name, p in model.named_parameters():
                assert p.grad is gradients[name]
                torch.testing.assert_close(p[replica], own[name])
        for name, p in model.named_parameters():
            assert torch.equal(p.grad, before[name])  # type: ignore[arg-type]


def test_what_is_loaded_goes_on_bit_for_bit_and_another_networks_is_refused() -> None:
    config = load(["network=mlp_bn", "model.hidden=[6,5]", "optim.momentum=0.9", "optim.half_life=0.2"])
    (model, optimiser), (other, loaded) = built(config), built(config)
    take_gradients(model, 0)
    optimiser.step()
    optimiser.lower_rate()
    other.load_state_dict(model.state_dict())
    loaded.load_state_dict(optimiser.state_dict())
    for network, its in ((model, optimiser), (other, loaded)):
        take_gradients(network, 1)
        its.step()
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
    for hidden in ("[6]", "[5,6]"):
        _, another = built(load(["network=mlp_bn", f"model.hidden={hidden}", "optim.momentum=0.9"]))
        with pytest.raises(ValueError, match=r"zip|momenta"):
            another.load_state_dict(optimiser.state_dict())


@pytest.mark.parametrize(
    "settings",
    [
        ["network=mlp_bn", "data=digits"],
        ["network=mlp_bn", "data=digits", "optim.momentum=0.9", "runtime.step=autograd"],
    ],
)
def test_a_run_of_the_mnist_network_does_not_import_torchs_compiler(settings: list[str], tmp_path: Path) -> None:
    """It takes as long as importing torch."""
    settings = [*settings, "scale=smoke", "steps=2", "seeds=[0]", f"runs_root={tmp_path}"]
    code = (
        "import sys\nfrom bnrepro import compose\nfrom bnrepro.run import run\n"
        f"run(compose.load({settings}))\n"
        "assert sys.modules['torch'].are_deterministic_algorithms_enabled()\n"
        "assert 'torch' in sys.modules\nassert not {'torch._dynamo', 'torch._inductor'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
