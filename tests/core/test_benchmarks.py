"""The benchmarks run and print their tables; nothing here looks at how long anything takes."""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import p4cnn, results, runner, seeds, steps, timing
from benchmarks.cases import Options
from pipelines.subsampling import models
from pipelines.subsampling.settings import Settings
from shared.base.errors import UserError
from shared.nn import baselines

TINY = ["--tiny", "--repetitions", "1", "--no-memory", "--threads", "1", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def rows(printed: str) -> list[str]:
    """First cells of the tables' rows."""
    lines = [
        line.split(" | ")[0].removeprefix("| ") for line in printed.splitlines() if line.startswith("| ")
    ]
    return [line for line in lines if line not in ("variant", "---")]


@pytest.fixture(autouse=True)
def libraries(request: pytest.FixtureRequest) -> None:
    """`steerable` is about layers of escnn and e2cnn; the others leave out what is missing."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if parameters.get("name") == "steerable" and not all(map(baselines.available, baselines.INSTALL)):
        pytest.skip("escnn or e2cnn is not installed")


@pytest.mark.parametrize("name", runner.NAMES)
def test_prints_a_row_for_each_variant(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runner.main((name,), TINY)
    printed = capsys.readouterr().out
    cases, _ = runner._load(name).cases(Options(tiny=True))
    assert rows(printed) == [variant for case in cases for variant in case.variants]
    assert "1.00 [1.00, 1.00]" in printed  # the reference against itself
    assert "nan" not in printed
    assert "**tiny** sizes" in printed


SLOW_ON_A_PRETENDED_GPU = ("seeds", "resnet", "steerable")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW_ON_A_PRETENDED_GPU)) for n in runner.NAMES]
)
def test_measures_on_a_gpu(
    name: str, gpu: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner.devices, "choose", lambda *_: f"{gpu}:0")  # takes no lock, hides no GPU
    cases, _ = runner._load(name).cases(Options(f"{gpu}:0", tiny=True))
    # escnn and e2cnn keep tensors that they once made, which a pretended GPU does not survive
    only = steps.OURS if steps.OURS in str(cases[0].variants) else ""
    runner.main((name,), [*TINY, "--device", gpu, "--only", only])
    wanted = [variant for case in cases for variant in case.variants if only in variant]
    assert rows(capsys.readouterr().out) == wanted != []
    step = next(iter(cases[0].variants.values()))(1.0)
    assert timing.peak_mb(step, f"{gpu}:0", calls=1) >= 0


def test_out_adds_to_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--only", "batched", "--out", str(tmp_path)]
    runner.main(("rotation",), [*TINY, *only])
    (data,) = tmp_path.glob("*.json")
    known = json.loads(data.read_text())
    (row,) = known["rotation"]["cases"][0]["rows"]
    assert len(row["seconds"]) == 1
    assert row["peak_mb"] is None
    data.write_text(json.dumps({"earlier": known["rotation"] | {"title": "An earlier benchmark"}}))
    runner.main(("rotation",), [*TINY, *only])
    assert set(json.loads(data.read_text())) == {"earlier", "rotation"}
    text = data.with_suffix(".md").read_text()
    assert "## An earlier benchmark" in text
    assert "## Rotation of images" in text
    assert str(data.with_suffix(".md")) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nothing like it"], "no variant has 'nothing like it' in its name"),
        (["--threads", "0"], "--threads must be 1 or more"),
        (["--batch", "0"], "--batch must be 1 or more"),
        (["--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_mistakes_end_in_a_sentence(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        runner.main(("rotation",), [*TINY, *arguments])


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    runner.main(("rotation",), ["--tiny", "--repetitions", "1", "--threads", "1", "--only", "Pillow"])
    line = next(line for line in capsys.readouterr().out.splitlines() if "Pillow" in line)
    assert line.rstrip(" |").split(" | ")[-1].isdigit()


def test_ratio_pairs_repetitions() -> None:
    # every repetition is twice as slow as the reference, however the machine's speed drifts
    drift = [1.0, 3.0, 0.5, 8.0]
    found = timing.ratio([2 * value for value in drift], drift)
    assert (found.median, found.low, found.high) == (2, 2, 2)
    assert str(timing.ratio([1, 2, 3, 4, 5], [1] * 5)) == "3.00 [2.00, 4.00]"
    with pytest.raises(ValueError, match="cannot pair 1 repetitions with 2"):
        timing.ratio([1.0], [1.0, 2.0])


def test_interleave_gives_everyone_a_turn_in_every_repetition() -> None:
    calls: list[str] = []
    variants = {name: (lambda name=name: calls.append(name)) for name in "abcd"}
    times = timing.interleave(variants, 20, turn_seconds=0.0)
    assert all(len(t.wall) == len(t.cpu) == 20 for t in times.values())
    turns = calls[8:]  # two calls each to warm up
    assert all(set(turns[i : i + 4]) == set("abcd") for i in range(0, 80, 4))
    assert len({tuple(turns[i : i + 4]) for i in range(0, 80, 4)}) > 1


def test_peak_counts_what_a_call_holds() -> None:
    size = 48 * 2**20

    def step() -> None:
        with mmap.mmap(-1, size) as memory:
            memory.write(b"x" * size)

    step()
    assert timing.peak_mb(lambda: None, "cpu") < 24
    assert timing.peak_mb(step, "cpu") > 40


def test_allocator_is_set_by_starting_again(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    for name in timing.ALLOCATOR:
        monkeypatch.delenv(name, raising=False)
    timing.tune_allocator()
    program, arguments, environment = started.pop()
    assert (program, arguments[1:]) == (sys.executable, sys.orig_argv[1:])
    assert timing.ALLOCATOR.items() <= environment.items()
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")  # the user's own choice stays
    timing.tune_allocator()
    assert not started


def shapes(network: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in network.state_dict().items() if "num_batches" not in name}


NETWORKS = {
    "P4CNN": Settings(size=12, width=2),
    "ResNet-44": Settings(model="p4resnet44", size=12, blocks=1, width=2),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("backend", steps.PEERS)
def test_peers_are_the_same_network(backend: str, name: str) -> None:
    if not baselines.available(backend):
        pytest.skip(f"{backend} is not installed")
    found, _ = steps.networks(lambda: models.build(NETWORKS[name], 0))
    assert shapes(baselines.to_ours(found[backend]())) == shapes(found[steps.OURS]())


@pytest.mark.parametrize("settings", [Settings(), Settings(model="p4resnet44")])
def test_dense_network_has_the_expanded_width(settings: Settings) -> None:
    found = steps.networks(lambda: models.build(settings, 0))[0]
    dense, ours = found[steps.DENSE](), found[steps.OURS]()
    banks = [m.filter_bank() for m in ours.modules() if hasattr(m, "filter_bank")]
    plain = [m for m in dense.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.weight.shape for m in plain] == [bank.shape for bank in banks]
    images = torch.rand(2, settings.channels, 28, 28)
    assert dense(images).shape == ours(images).shape


def test_seeds_really_trains_together_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(seeds, "fit", lambda m, d, settings, s, device: asked.append(settings.replicas))
    (case,), _ = seeds.cases(Options(tiny=True))
    for make in case.variants.values():
        make(1.0)()
    assert set(asked) == {"one_by_one", "together", "auto"}
    assert case.images == seeds.SEEDS * seeds.STEPS * 4


def test_missing_library_is_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "available", lambda backend: backend != "e2cnn")
    (case,), remarks = p4cnn.cases(Options(tiny=True))
    assert not [name for name in case.variants if name.startswith("e2cnn")]
    assert remarks == [f"e2cnn is not installed here; install it with: {baselines.INSTALL['e2cnn']}"]


def test_unmeasured_cells_are_dashes() -> None:
    row = {"name": "a", "seconds": [0.002], "cpu_seconds": [0.001], "ratios": {"r": None}, "peak_mb": None}
    table = results._table({"title": "t", "images": 4, "columns": ["r"], "rows": [row]})
    assert table.splitlines()[-1] == "| a | 2.0 | 1.0 | 2,000 | - | - |"
