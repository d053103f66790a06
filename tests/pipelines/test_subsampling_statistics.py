"""Statistics of batch norm without dropout: the same training, tested with others."""

from __future__ import annotations

import torch
from test_subsampling import SMALL

from pipelines.subsampling import data, digits, experiment
from pipelines.subsampling.settings import Settings
from shared.runs.api import Context


def rows(statistics: str, **extra: object) -> dict[int, list]:
    settings = Settings(**SMALL | extra, size=28, angle_step=90, statistics=statistics)
    return experiment.run(settings, [0, 1], Context(log=lambda line: None))


def of(found: list, metric: str) -> list[float]:
    return [row.value for row in found if row.metric == metric]


def test_the_training_is_the_same_and_the_test_is_not():
    as_trained, clean = rows("running"), rows("without_dropout")
    for seed in (0, 1):
        assert of(clean[seed], "train_loss") == of(as_trained[seed], "train_loss")
        assert of(clean[seed], "invariance_error")[0] == of(as_trained[seed], "invariance_error")[0]
        assert of(clean[seed], "invariance_error")[1] != of(as_trained[seed], "invariance_error")[1]
        assert of(clean[seed], "invariance_error")[1] < 1e-5, "an exact network stays exact"


def test_each_seed_is_given_its_own_training_images(monkeypatch):
    given = []
    monkeypatch.setattr(digits, "estimate_statistics", lambda network, images, *_, **__: given.append(images))
    settings = Settings(**SMALL, size=28, angle_step=90)
    rows("without_dropout")
    pool = data.digits(settings).pool
    for seed, images in enumerate(given):
        assert torch.equal(images, pool[data.split(settings, len(pool), seed)[0]])
    assert len(given) == 2
    assert not torch.equal(*given)
