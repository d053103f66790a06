"""Cells that several tables of this paper have: accuracies by three rules, and parameter counts."""

from __future__ import annotations

import numpy as np

from pipelines.lconv import arms
from shared.report import text
from shared.report.results import Results
from shared.report.tables import Cell, Sample, measured


def best(results: Results, experiment: str, arm: str) -> Sample:
    """The paper's reading: accuracy on the held-out fifth at its best epoch (D4)."""
    return results.sample(experiment, arm, "accuracy", reduce=np.max)


def accuracy(results: Results, place: tuple[str, str, str], experiment: str, arm: str) -> Cell:
    """Accuracy of an arm at a place (table, row, column): best epoch, with the two honest readings below."""
    last = results.last(experiment, arm, "accuracy")
    official = results.sample(experiment, arm, "test_accuracy")
    notes = [f"last epoch {_short(last)}"] if last.n else []
    notes += [f"official test {_short(official)}"] if official.n else []
    sample = best(results, experiment, arm)
    return results.cell(*place, sample, experiment=experiment, note="; ".join(notes))


def parameters(results: Results, place: tuple[str, str, str], experiment: str, arm: str) -> Cell:
    """Trainable parameters of an arm at one place."""
    sample = results.sample(experiment, arm, "parameters")
    return results.cell(*place, sample, experiment=experiment, form=text.thousands)


def plain(
    results: Results, experiment: str, sample: Sample, decimals: int = 2, scientific: bool = False
) -> Cell:
    """A measured value that is compared with nothing."""
    form = text.scientific if scientific else None
    return measured(sample, decimals=decimals, form=form, command=results.command(experiment))


def protocol(results: Results, experiment: str) -> str:
    """Our protocol in one sentence, read from what the runs recorded; "" if there are none."""

    def values(key: str) -> str:
        return text.join(
            [f"{v:,}" if isinstance(v, int) else str(v) for v in results.settings(experiment, key)]
        )

    if not values("epochs"):
        return ""
    limits = {"train_images": "training", "holdout_images": "held-out", "test_images": "official test"}
    parts = [f"{values(key)} {name} images" for key, name in limits.items() if values(key) not in ("", "0")]
    parts += [f"resized to {values('size')} pixels"] if values("size") not in ("", "0") else []
    used = ", ".join([f"{values('epochs')} epochs", f"batches of {values('batch_size')}", *parts])
    return f"Ours: {values('dataset')}, {used}."


def lacking(results: Results, datasets: dict[str, str]) -> tuple[str, ...]:
    """A note on data sets that were not at hand, given the experiment of each; empty if all have results."""
    names = [name for name in datasets if name in arms.NOT_AT_HAND and not len(results.frame(datasets[name]))]
    return tuple(
        f"Not run: data not available. {arms.DATASETS[name]} was not at hand; `python -m pipelines get "
        f"{name}` fetches it, or says where to put it, and then `{results.command(datasets[name])}` fills "
        "the cells."
        for name in names
    )


def _short(sample: Sample) -> str:
    return text.fixed(sample.summary.mean, 2)
