"""What a run costs, against closed forms, and that asking does nothing."""

import subprocess
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from bnrepro import models, reproduce
from bnrepro.compose import load
from bnrepro.dry_run import cost_of, describe
from bnrepro.errors import BadInput
from bnrepro.models.units import LocalResponseNorm
from bnrepro.record import Record
from bnrepro.run import run

SMALL = ["data=digits", "steps=4", "probes.evaluate_every=2", "probes.activation_steps=1", "runtime.device=cpu"]


def test_the_mlp_costs_what_its_formulas_say() -> None:
    cost = cost_of(load(["network=mlp", "data=mnist", "steps=50000", "seeds=[0,1,2]"]))
    one = 784 * 100 + 100 * 100 + 100 * 100 + 100 * 10
    parameters = one + 100 + 100 + 100 + 10
    assert cost.counts.parameters == 3 * parameters
    assert cost.images == 3 * 60 * 50_000
    assert cost.multiply_adds == 3 * one * cost.images  # 26.4 MFLOP a step, forward and backward: 2 a multiply-add
    kept = 4 * 3 * 60 * (784 + 100 + 100 + 100)  # each layer's input: the images, and what the sigmoids give
    assert cost.counts.kept == kept
    assert cost.memory == 4 * 2 * 3 * parameters + kept


def test_the_inception_costs_what_the_framework_counts() -> None:
    settings = load(["network=inception", "data=cifar10"])
    model = models.build(settings.model, None, (3, 32, 32), 10, seeds=[0]).eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 2, 3, 32, 32))
    bands = [m.band for m in model.modules() if isinstance(m, LocalResponseNorm)]  # a 1x1 convolution in disguise
    positions = (16 * 16, 16 * 16)  # where the stem has its two: the paper counts no normalisation
    lrn = sum(band.numel() * n for band, n in zip(bands, positions, strict=True))
    cost = cost_of(settings)
    assert counter.get_total_flops() == 2 * 2 * (cost.counts.multiply_adds + lrn)
    assert cost.counts.parameters == sum(p.numel() for p in model.parameters())
    assert cost.images == settings.steps * 32
    assert cost.multiply_adds == 3 * cost.counts.multiply_adds * cost.images


def test_asking_writes_nothing_and_says_how_far_a_run_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load([*SMALL, f"runs_root={tmp_path / 'runs'}"])
    asked = load([*SMALL, f"runs_root={tmp_path / 'runs'}", "dry_run=true"])
    record = run(asked)
    assert "not begun; 4 steps" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    assert run(settings).folder == record.folder  # the same run, whether it was asked for or not
    capsys.readouterr()
    run(asked)
    assert "finished already; 4 steps" in capsys.readouterr().out
    (record.folder / "metrics.parquet").unlink()
    record.write_status("running", 2, 0.1, {})
    assert "stopped at step 2" in describe(asked, record)
    with FileLock(record.folder / ".lock"):
        assert "running in another process" in describe(asked, record)


def test_the_papers_size_says_its_cost_before_the_images_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = ["--scale", "paper", "--experiment", "fig2", "--images", "imagenet", "--dry-run"]
    assert reproduce.main(wanted) == 0
    printed = capsys.readouterr().out
    assert printed.count("31,000,000 steps, 992,000,000 images, 11,278,528 parameters") == 4 * 3
    assert printed.count("data/imagenet is not there") == 7 * 3
    assert "21 runs, 21 of them to go; nothing was started" in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "dry"), [("1", True), ("True", True), ("0", False), ("", False)])
def test_make_passes_a_dry_run_on(given: str, dry: bool) -> None:
    make = ["make", "-n", "reproduce", f"DRY_RUN={given}", "SCALE=smoke"]
    said = subprocess.run(make, cwd=Path(__file__).resolve().parents[1], capture_output=True, text=True, check=True)
    assert ("--dry-run" in said.stdout) == dry


def test_of_a_tree_it_is_said_that_images_are_only_listed(tmp_path: Path) -> None:
    for path in (tmp_path / f"images/{split}/{name}/0.png" for split in ("train", "val") for name in "ab"):
        path.parent.mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(path)
    settings = load(["network=inception", "data=image_folder", f"data_root={tmp_path}", "model.width=0.125"])
    assert describe(settings, Record.of(settings)).endswith("; the images are listed, not decoded")
    settings.data.folder = "images/train/a/0.png"
    with pytest.raises(BadInput, match=r"0.png is a file: data.folder must name a folder"):
        describe(settings, Record.of(settings))


def test_of_an_unknown_tree_nothing_can_be_said(tmp_path: Path) -> None:
    settings = load(["network=inception", "data=image_folder", f"data_root={tmp_path}"])
    with pytest.raises(BadInput, match="images is not there: put the tree"):
        describe(settings, Record.of(settings))
