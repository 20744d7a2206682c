"""``make reproduce``: run an experiment's jobs side by side, then tables, claims and report."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bnrepro import at_hand, door, results
from bnrepro.at_hand import Banner
from bnrepro.errors import BadInput
from bnrepro.jobs import Job, announce, ended_with, list_runs, plan, run_all
from bnrepro.machine import cores

ON_DIGITS = ["theory", "fig1_calibrate", "fig1_tuned", "fig1", "higher_lr", "initial_scale"]
WHOLE = [*ON_DIGITS, "fig2_base_rate", "fig2_samples", "fig2"]
LATER = [  # hours more, one by one with EXPERIMENT=
    *("fig2_equal_decay", "fig2_paper_rates", "fig2_init", "higher_lr_inception"),
    *("ablations", "ensemble", "small_inception"),
]
EXPERIMENTS = {  # what a scale runs
    "smoke": ["fig1", "fig2_samples", "fig2"],
    "quick": ["theory", "fig1", "higher_lr", "initial_scale", "fig2_samples", "fig2"],
    "cpu": WHOLE,
    "gpu": [*WHOLE, "fig2_equal_decay"],  # all of LATER would take hours there too
    "paper": [*WHOLE, "fig2_equal_decay", "fig2_init", "ablations", "ensemble"],  # its rates are the paper's anyway
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what a scale asks for and write the results; return the exit code (0, 1 a run failed, 2 bad input)."""
    parser = argparse.ArgumentParser(description="Run the experiments, judge the claims, write the report.")
    parser.add_argument("--scale", choices=list(EXPERIMENTS), help="default: gpu where CUDA is there, else quick")
    parser.add_argument("--data", choices=["mnist", "digits"], help="default: mnist; digits where it cannot be had")
    parser.add_argument("--images", help="default: cifar10, or cifar10_jpeg where it is there; else shapes")
    parser.add_argument("--experiment", choices=WHOLE + LATER, help="default: all that the scale has")
    parser.add_argument("--dry-run", action="store_true", help="list the runs, how far each is and its cost")
    given = parser.parse_args(arguments)
    return door.command(
        lambda: reproduce(given.scale, given.data, given.images, given.experiment, given.dry_run),
        "stopped; the same command goes on from the last checkpoints",
    )


def reproduce(
    scale: str | None, data: str | None, images: str | None, experiment: str | None, dry_run: bool = False
) -> int:
    """Do what :func:`main` says.

    Raises:
        BadInput: data are asked for and cannot be had, or files are damaged.
    """
    device = "cuda" if cuda_is_there() else "cpu"
    scale = scale or ("gpu" if device == "cuda" else "quick")
    chosen = [experiment] if experiment else EXPERIMENTS[scale]
    runs_root = Path("runs/smoke" if scale == "smoke" else "runs")
    if dry_run:
        pictures = at_hand.images_wanted(images, scale) or "cifar10"
        named = {name: pictures if name not in ON_DIGITS else (data or "mnist") for name in chosen}
        return list_runs(plan(scale, named, device, runs_root))
    data_of, banners = choose_data(chosen, scale, data, images)
    if not data_of:
        raise BadInput(f"{experiment} needs MNIST: only its curves can be compared with the printed ones")
    target = runs_root / "results" if scale == "smoke" else Path("results")
    for banner in banners:
        banner.show()
    jobs = plan(scale, data_of, device, runs_root)
    for job in jobs:
        job.record.check(job.config)
        job.record.mend()
    missing = [job for job in jobs if not job.record.ended]
    names = " and ".join(dict.fromkeys(data_of.values()))
    print(f"scale {scale}, data {names}: {len(jobs)} runs, {len(jobs) - len(missing)} finished already", flush=True)
    with results.alone(target):  # refused now rather than after hours
        pass
    failed = []
    if missing:
        _try_to_publish(target, jobs, list(data_of))
        announce(missing)
        failed = run_all(missing, min(cores(), 8), lambda job: _try_to_publish(target, jobs, [job.experiment]))
    else:
        print("every run is finished: tables, claims and report are made from them anew", flush=True)
    if publish(target, jobs, list(data_of)):
        print(f"results are in {target}: report.html, README.md, claims.csv", flush=True)
    for job, code in failed:
        door.tell(f"failed with {ended_with(code)}: {job.command}")
    if failed:
        door.tell("their experiments' results stay as they were; the same command tries these runs again")
    for banner in banners:
        banner.show()
    return 1 if failed else 0


def publish(target: Path, jobs: list[Job], experiments: list[str]) -> bool:
    """Write the tables of those whose runs have all ended, and the report; return whether there were any.

    Raises:
        BadInput: they cannot be written, or a table that another experiment made is missing or was touched.
    """
    written = False
    for experiment in experiments:
        of_it = [job for job in jobs if job.experiment == experiment]
        if all(job.record.ended for job in of_it):
            results.add(target, experiment, [job.record for job in of_it], [job.command for job in of_it])
            written = True
    if written:
        results.refresh(target)
    return written


def _try_to_publish(target: Path, jobs: list[Job], experiments: list[str]) -> None:
    """Publish while other runs go on: what comes after cannot lose it, and no run waits for a table that was touched.

    It may be one that they make anew.
    """
    try:
        publish(target, jobs, experiments)
    except BadInput as error:
        door.tell(f"the report waits: {error}")


def cuda_is_there() -> bool:
    """Ask torch for a CUDA device."""
    import torch

    return torch.cuda.is_available()


def choose_data(
    experiments: list[str], scale: str, data: str | None, images: str | None
) -> tuple[dict[str, str], list[Banner]]:
    """Return the data set of each experiment, and what must be said where it is not the one that it should be.

    Raises:
        BadInput: data are asked for and cannot be had, or files are damaged.
    """
    chosen: dict[str, str] = {}
    banners: list[Banner] = []
    for needs_images in (False, True):
        names = [name for name in experiments if (name not in ON_DIGITS) == needs_images]
        if names:
            found, banner = at_hand.images(images, scale) if needs_images else at_hand.handwritten(data)
            banners += [banner] if banner else []
            if found != "mnist" and "fig1_calibrate" in names:
                print(
                    "fig1_calibrate is left out: only MNIST's curves can be compared with the printed ones", flush=True
                )
                names.remove("fig1_calibrate")
            chosen |= dict.fromkeys(names, found)
    return {name: chosen[name] for name in experiments if name in chosen}, banners
