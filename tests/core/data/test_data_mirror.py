"""The real data sets, from the mirror that REPRO_MIRROR names; skipped where it is not set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import shared.data
from shared.base import paths
from shared.data import catalogue

pytestmark = pytest.mark.skipif(not os.environ.get("REPRO_MIRROR"), reason="REPRO_MIRROR is not set")

#: Name -> images per class of the two splits, and mean of the training pixels in [0, 1] as published.
FACTS = {"mnist": (None, 0.1307), "fashion_mnist": ([6000, 1000], 0.2860), "cifar10": ([5000, 1000], 0.4734)}


@pytest.mark.slow
@pytest.mark.parametrize("name", FACTS)
def test_real_data(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "datasets.yaml").write_text((paths.root() / "datasets.yaml").read_text())
    monkeypatch.setenv("REPRO_ROOT", str(tmp_path))
    entry = catalogue.find(name)
    per_class, mean = FACTS[name]
    images, labels = shared.data.load(name, "train")
    test, test_labels = shared.data.load(name, "test")
    assert (len(images), len(test)) == ((50_000 if name == "cifar10" else 60_000), 10_000)
    assert tuple(images.shape[1:]) == tuple(test.shape[1:]) == entry.shape
    assert float(images.float().mean() / 255) == pytest.approx(mean, abs=6e-5)
    if per_class:
        counts = [torch.bincount(one).tolist() for one in (labels, test_labels)]
        assert counts == [[n] * 10 for n in per_class]
    variants = [note for note in shared.data.notes(name) if "variant" in note]
    assert len(variants) <= (1 if name == "cifar10" else 0)
