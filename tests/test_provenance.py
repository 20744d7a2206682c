"""Where numbers come from: in a repository made here."""

import subprocess
from pathlib import Path

import pytest
import torch

from bnrepro import provenance as origin


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_code_that_differs_from_its_commit_is_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/code.py").write_text("a = 1\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "code")
    monkeypatch.setattr(origin, "SOURCE", tmp_path)
    clean = origin.provenance(torch.device("cpu"), data_sha256="00", classes=10)
    assert clean["dirty"] is False
    assert len(clean["commit"]) == 40
    (tmp_path / "notes.txt").write_text("no code")
    assert origin.provenance(torch.device("cpu"), data_sha256="00", classes=10)["dirty"] is False
    (tmp_path / "src/code.py").write_text("a = 2\n")
    assert origin.provenance(torch.device("cpu"), data_sha256="00", classes=10)["dirty"] is True


def test_without_a_repository_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "SOURCE", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    made = origin.provenance(torch.device("cpu"), data_sha256="00", classes=10)
    assert (made["commit"], made["dirty"]) == (None, None)
