"""Small checkouts with one made-up paper, for tests of configuration, records, command line and reports."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import data_server
import mini_paper
import pytest
import torture
from toy_checkout import Toy
from toy_results import execute

from shared.data.obtain import MIRROR_VARIABLE
from shared.runs import environment, fingerprint, ledger


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """Let SIGINT interrupt: a shell starts background jobs, and CI may be one, with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Takes down what came of a test of `torture.sizes`, and fails it if anything is wrong.

    ``tally(what, times, came, wrong)``: what was thrown, how often, what came of it, and how often that was
    wrong. Of the long form this is a row of docs/reliability.md.
    """
    long = request.node.get_closest_marker("torture") is not None

    def take_down(what: str, times: int, came: str, wrong: int = 0) -> None:
        if long:
            torture.write_row(what, times, came, wrong)
        assert not wrong, f"{what}: {wrong} of {times} wrong; {came}"

    return take_down


@contextlib.contextmanager
def _pipelines_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another checkout: `shared.base.paths.root` is it, and ``pipelines`` is imported from there."""
    monkeypatch.setenv("REPRO_ROOT", str(root))
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "pipelines"}
    for name in before:
        del sys.modules[name]
    _forget()
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "pipelines"]:
        del sys.modules[name]
    sys.modules.update(before)
    _forget()


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    """A fresh checkout that `shared.base.paths.root` points to."""
    made = Toy(tmp_path / "checkout")
    made.write()
    monkeypatch.setenv("TOY_LOG", str(made.log))
    monkeypatch.setenv("REPRO_GPUS", "")
    with _pipelines_of(made.root, monkeypatch):
        yield made


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The checkout of `mini_paper`."""
    with _pipelines_of(tmp_path, monkeypatch):
        yield mini_paper.write(tmp_path)


def _forget() -> None:
    fingerprint.forget()
    environment.code.cache_clear()


@pytest.fixture
def recorded(toy):
    """The toy with the lite tier of `walk` recorded and collected."""
    execute(toy.runs())
    assert ledger.of("toy").collect(toy.experiment(), "lite")
    return toy


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the data set ``tiny``, whose publisher cannot be reached."""
    folder = data_server.checkout(tmp_path / "checkout", data_server.catalogue([data_server.NOWHERE]))
    monkeypatch.setenv("REPRO_ROOT", str(folder))
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    return folder


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A mirror folder with ``tiny``."""
    return data_server.mirror(tmp_path / "mirror")
