"""Getting a data set that DVC keeps."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from data_server import files

import shared.data
from shared.data import dvc


class FakeDvc:
    """Stands in for ``dvc pull``: runs ``action`` and ends with ``status``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path, action: object, status: int = 0) -> None:
        self.commands: list[list[str]] = []

        def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
            self.commands.append(command[-2:])
            if callable(action):
                action()
            said = "Collecting\nERROR: no such bucket\nhint"
            return subprocess.CompletedProcess(command, status, "", said)

        monkeypatch.setattr(dvc.subprocess, "run", run)
        monkeypatch.setattr(dvc.importlib.util, "find_spec", lambda _: object())
        (root / ".dvc").mkdir()
        (root / ".dvc" / "config").write_text(
            "[core]\n    remote = lab\n['remote \"lab\"']\n    url = /lab\n"
        )
        (root / "data.dvc").write_text("outs:\n- path: data/tiny\n  md5: x.dir\n")


def test_dvc_is_asked_first_where_it_keeps_the_set(
    root: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pull() -> None:
        (root / "data" / "tiny").mkdir(parents=True)
        for name, content in files().items():
            (root / "data" / "tiny" / name).write_bytes(content)

    fake = FakeDvc(monkeypatch, root, pull)
    assert shared.data.get("tiny") == root / "data" / "tiny"
    shared.data.get("tiny")
    assert fake.commands == [["pull", "data/tiny"]]


def test_dvc_may_fail(
    root: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeDvc(monkeypatch, root, None, status=1)
    shared.data.get("tiny", mirror=shelf)
    assert len(fake.commands) == 1
    assert "dvc pull data/tiny: ERROR: no such bucket" in caplog.text


@pytest.mark.parametrize("missing", ["config", "data.dvc", "cached"])
def test_dvc_is_not_asked_where_it_cannot_help(
    root: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    fake = FakeDvc(monkeypatch, root, None)
    if missing == "config":
        (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    elif missing == "data.dvc":
        (root / "data.dvc").unlink()
    else:
        (root / "data.dvc").write_text("outs:\n- path: data/tiny\n  cache: false\n")
    shared.data.get("tiny", mirror=shelf)
    assert fake.commands == []
