"""Runs of every paper on a GPU: nothing is left on the wrong device, and losses are those of the CPU."""

from __future__ import annotations

import dataclasses
import math

import pytest
from all_papers import PAPERS

from shared.runs import config, paper_modules, records
from shared.runs.api import Context

pytestmark = pytest.mark.usefixtures("here")

#: Proofs by many small operations, at each of which the pretended GPU looks; p4m networks, layers as of p4.
LONG = ("lconv/propositions", "subsampling/mirrors")
#: Count parameters, ask the atlas or compute exactly; it makes no difference where a training would run.
WITHOUT_DEVICE = (
    "subsampling/networks",
    *("soft_equivariance/networks", "soft_equivariance/exact", "soft_equivariance/pictures"),
)
#: Networks with layers of this project, which have to mind autocast themselves.
OURS = ("p4cnn", "p4resnet44", "lconv")


def kinds() -> list[config.Run]:
    """One run of each kind: runs whose settings differ in numbers only go through the same code."""
    found: dict[tuple, config.Run] = {}
    for paper in PAPERS:
        for name, experiment in config.load(paper).experiments.items():
            for run in experiment.runs("smoke") if f"{paper}/{name}" not in WITHOUT_DEVICE else ():
                settings = dataclasses.asdict(run.settings)
                words = tuple(item for item in settings.items() if isinstance(item[1], str | bool))
                found.setdefault((paper, words or name), run)
    return list(found.values())


KINDS = kinds()


def in_bf16(run: config.Run) -> config.Run | None:
    """The same trained in bf16, if it can be."""
    if not hasattr(run.settings, "precision"):
        return run if getattr(run.settings, "takes_precision", bool)() else None
    return dataclasses.replace(run, settings=dataclasses.replace(run.settings, precision="bf16"))


def cases(runs: list[config.Run], quick: tuple[str, ...] = ()) -> list:
    """Parameters of a test; for `make test-all` only those that say little that is new, or take long."""
    made, seen = [], set()
    for run in runs:
        network = run.paper, getattr(run.settings, "model", run.experiment)
        slow = (
            network in seen or (quick and network[1] not in quick) or f"{run.paper}/{run.experiment}" in LONG
        )
        seen.add(network)
        name = f"{run.paper}-{run.experiment}-{run.arm}"
        lacking = config.load(run.paper).experiment(run.experiment).lacking
        marks = [pytest.mark.skipif(bool(lacking), reason=f"no {', '.join(lacking)}")]
        made.append(pytest.param(run, id=name, marks=marks + [pytest.mark.slow] * bool(slow)))
    return made


def losses(run: config.Run, device: str, precision: str) -> list[float]:
    """Losses of two seeds, after a look at all rows; a GPU trains the two at once."""
    context = Context(device, precision=precision, log=lambda line: None)
    found = paper_modules.module(run.paper, "experiment").run(run.settings, [0, 1], context)
    rows = [row for seed in (0, 1) for row in records.checked_rows(found[seed], run.spec)]
    assert rows
    return [row.value for row in rows if "loss" in row.metric]


@pytest.mark.parametrize("run", cases(KINDS))
def test_a_gpu_gives_the_losses_of_the_cpu(run, gpu):
    found = losses(run, gpu, "float32")
    assert found == pytest.approx(losses(run, "cpu", "float32"), rel=2e-3)


@pytest.mark.parametrize("run", cases([run for run in map(in_bf16, KINDS) if run], OURS))
def test_bf16_on_a_gpu(run, gpu, native_bf16):
    found = losses(run, gpu, "bf16")
    assert all(map(math.isfinite, found))
    assert found == pytest.approx(losses(run, "cpu", "bf16"), rel=0.1)
