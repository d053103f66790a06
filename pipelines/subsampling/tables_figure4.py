"""Figure 4 in numbers: the equivariance error of each stage through training, in four readings."""

from __future__ import annotations

import numpy as np

from pipelines.subsampling.arms import (
    DATASETS,
    EQUIVARIANCE,
    FIGURE4_PANELS,
    READING_TITLES,
    READINGS,
    STAGE_TITLES,
    TITLES,
    stages,
)
from pipelines.subsampling.claims_common import figure4_paper, figure4_source
from pipelines.subsampling.protocols import cost, protocol, setting
from pipelines.subsampling.settings import TRACKED_TEST_IMAGES
from shared.report import text
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Table, measured


def figure4(results: Results) -> Table:
    """Each stage's error at the start, at its lowest and at the end; and the accuracy beside it."""
    columns = (
        Column("stage", "Data, network and stage"),
        *(Column(reading, READING_TITLES[reading]) for reading in READINGS),
    )
    substitute, names = figure4_source(results)
    rows, shown = [], []
    for experiment, panel in FIGURE4_PANELS.items():
        arms = figure4_paper(experiment)
        if results.tier(experiment, arms[0]):
            rows += _network_rows(results, experiment, arms)
            shown.append((experiment, arms))
        else:
            rows.append(_not_run(results, experiment, arms[0], panel))
    rows += _network_rows(results, substitute, names)
    shown.append((substitute, names))
    protocols = [protocol(results, experiment, arms, against=False) for experiment, arms in shown]
    return Table(
        "figure4",
        "Figure 4 in numbers: equivariance error of each stage through training",
        columns,
        tuple(rows),
        caption=(
            "D = f(T x) - T f(x) for the three quarter turns T of test images x, after each stage. First "
            "line: at the end of training; below it at the start (before training) and at its lowest. The "
            "paper's Eq. 14 can be read in three ways (its text says A, its formula B, the released code "
            "C); E does not change when activations merely grow. The paper draws this for ImageNet and PCam "
            "and prints no numbers, so there is nothing to compare with; its statements are claims S19 and "
            f"S20. {' '.join(filter(None, protocols))}"
        ),
        commands=tuple(results.command(experiment) for experiment, _ in shown),
        notes=(
            f"All errors are measured in float32, on the same {_tracked(results, shown)}test images at every "
            "epoch; those of an exact network, and of stages before the first subsampling, are rounding. The "
            f"accuracy is that on {TRACKED_TEST_IMAGES:,} upright test images at most, so not quite that of "
            "Table 2.",
        ),
    )


def _tracked(results: Results, shown: list[tuple[str, tuple[str, str]]]) -> str:
    """``320 ``: on how many images errors are measured."""
    found = [
        count
        for experiment, names in shown
        for name in names
        for count in setting(results, experiment, "track_images", name)
    ]
    counts = sorted(set(found))
    return f"{text.join([f'{count:,}' for count in counts])} " if counts else ""


def _network_rows(results: Results, experiment: str, names: tuple[str, str]) -> list[Row]:
    """The stages of an approximate and an exact network, and their accuracies."""
    rows = []
    for name in names:
        head = f"{_data(experiment)}, {TITLES[name]}, {EQUIVARIANCE[name]}"
        for stage in stages(name):
            cells = [_error(results, experiment, name, f"{reading}_{stage}") for reading in READINGS]
            rows.append(Row(f"{name}_{stage}", f"{head}: {STAGE_TITLES[stage]}", tuple(cells)))
        blank = ("",) * (len(READINGS) - 1)
        accuracy = _accuracy(results, experiment, name)
        rows.append(Row(f"{name}_accuracy", f"{head}: accuracy in %", (accuracy, *blank)))
    return rows


def _data(experiment: str) -> str:
    return DATASETS.get(experiment.removeprefix("table2_"), DATASETS["cifar10"])


def _not_run(results: Results, experiment: str, name: str, panel: str) -> Row:
    """A panel of the paper whose data was not at hand."""
    dataset = experiment.removeprefix("table2_")
    said = f"not run: data not available\n{cost(results, experiment, name, dataset)}"
    title = f"{DATASETS[dataset]}, {TITLES[name]}: the paper's Figure {panel}"
    return Row(name, title, (Cell(said), *[""] * (len(READINGS) - 1)))


def _error(results: Results, experiment: str, name: str, metric: str) -> Cell:
    end = results.last(experiment, name, metric)
    note = ""
    if end.n:
        start = results.sample(experiment, name, metric, [0])
        lowest = results.sample(experiment, name, metric, reduce=np.min)
        note = f"lowest {text.scientific(lowest.summary.mean)}"
        note = f"start {text.scientific(start.summary.mean)}, {note}" if start.n else note
    return measured(end, form=text.scientific, command=results.command(experiment), note=note)


def _accuracy(results: Results, experiment: str, name: str) -> Cell:
    end = results.last(experiment, name, "tracked_accuracy")
    start = results.sample(experiment, name, "tracked_accuracy", [0])
    note = f"start {text.fixed(start.summary.mean, 2)}" if start.n else ""
    return measured(end, command=results.command(experiment), note=note)
