"""The house: data flows one way, so imports point down."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "bnrepro"

# A module may import from the rooms above its own line, never from those below.
FLOORS = [
    ["errors", "files", "lock", "machine", "paper", "mnist_files", "stopping", "door", "distributed"],
    ["config"],
    ["compose", "seeding", "stability", "record"],
    ["curves"],
    ["data", "norm"],
    ["models", "optim", "evaluate"],
    ["graph"],
    ["state"],
    ["probes"],
    ["checkpoint", "metrics", "predictions", "progress", "provenance", "events", "train"],
    ["theory"],
    ["dry_run"],
    ["run"],
    ["cli"],
    ["tables"],
    ["claims"],
    ["report"],
    ["results", "sweep"],
    ["sweep_page"],
    ["at_hand", "jobs", "report_command"],
    ["reproduce", "bench"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
TORCH_FREE = [
    "errors",
    "files",
    "lock",
    "machine",
    "door",
    "paper",
    "mnist_files",
    "stopping",
    "config",
    "compose",
    "cli",
    "stability",
    "curves",
    "record",
    "tables",
]
TORCH_FREE += ["claims", "report", "results", "at_hand", "jobs", "reproduce", "report_command"]


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(path: Path, rooms_only: bool = True) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= set(names)
    if rooms_only:
        return {name.split(".")[1] for name in found if name.startswith("bnrepro.")}
    return {name.split(".")[0] for name in found}


MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if path != SOURCE / "__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    for imported in imports_of(path) - {room}:
        assert FLOOR[imported] <= FLOOR[room], f"{room} imports {imported}, which stands above it"


def test_every_room_has_its_floor() -> None:
    assert {room_of(path) for path in MODULES} == set(FLOOR)


def test_hydra_stays_at_the_door() -> None:
    users = {room_of(path) for path in MODULES if imports_of(path, rooms_only=False) & {"hydra", "omegaconf"}}
    assert users == {"config", "compose", "cli"}


def test_claims_and_report_never_import_torch() -> None:
    modules = ", ".join(f"bnrepro.{room}" for room in TORCH_FREE)
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_promise_names_tests_that_there_are() -> None:
    document = (SOURCE.parents[1] / "docs/reliability.md").read_text()
    rows = [
        line for line in document.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| --"))
    ]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)`", row)
        assert named, row
        assert all((Path(__file__).parent / name).is_file() for name in named), row
