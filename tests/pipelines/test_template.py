"""The template: its networks are what they claim to be, and a copy of it is a working paper."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from pipelines._template import data, experiment, models
from pipelines._template.settings import Settings
from shared import runs
from shared.base.errors import UserError
from shared.runs import config, devices, paper_modules, records
from shared.runs.api import Context
from shared.workflow import check, cli

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"train_images": 100, "test_images": 40, "epochs": 2}


def test_p4_network_is_invariant_and_the_plain_one_is_not():
    images = torch.rand(8, 1, 14, 14)
    gaps = {
        name: experiment.turn_gap(models.build(Settings(model=name), 0), images)
        for name in ("p4cnn", "z2cnn")
    }
    assert gaps["p4cnn"] < 1e-5
    assert gaps["z2cnn"] > 1e-2


def test_weights_follow_from_the_seed_and_leave_the_random_state_alone():
    state = torch.get_rng_state()
    first, again, other = (models.build(Settings(), seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_training_lowers_the_loss():
    settings = Settings(**{**SMALL, "epochs": 5})
    rows = experiment.run(settings, [0, 1], Context(log=lambda line: None))
    for found in rows.values():
        losses = [row.value for row in found if row.metric == "train_loss"]
        assert len(losses) == 5
        assert losses[-1] < losses[0]


def test_digits_are_turned_and_resized():
    images, labels = data.digits(Settings(**SMALL), "train")
    assert images.shape == (100, 1, 14, 14)
    assert labels.shape == (100,)
    assert 0 <= images.min() <= images.max() <= 1
    assert torch.equal(data.digits(Settings(**SMALL), "train")[0], images)
    with pytest.raises(UserError, match="lower train_images"):
        data.digits(Settings(train_images=10**6), "train")


@pytest.mark.parametrize(("key", "value"), [("model", "p8cnn"), ("size", 4)])
def test_settings_are_checked(key, value):
    with pytest.raises(UserError, match=str(value)):
        Settings(**{key: value})


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A checkout whose one paper is a copy of the template, as README.md says to make it."""
    folder = tmp_path / "pipelines" / "mine"
    shutil.copytree(ROOT / "pipelines" / "_template", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("datasets.yaml", "pipelines/__init__.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    file = folder / "experiments.yaml"
    file.write_text(file.read_text().replace("\n_template:", "\nmine:"))
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "pipelines"}
    monkeypatch.setenv("REPRO_ROOT", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "pipelines"]:
        del sys.modules[name]
    sys.modules.update(before)


def test_a_copy_is_a_paper(copy, capsys):
    assert config.papers() == ["mine"]
    assert cli.main(["run", "--tier", "smoke", "--device", "cpu"], paper="mine") == 0
    assert "2 trained" in capsys.readouterr().out
    assert set(runs.read("mine", "table1", "smoke")["arm"]) == {"z2cnn", "p4cnn"}
    assert cli.main(["list"], paper="mine") == 0
    assert "2/2" in capsys.readouterr().out
    (problem,) = check.check("mine")
    assert "dvc.yaml has no stage mine" in problem.text
    assert paper_modules.module("mine", "experiment").__file__ == str(
        copy / "pipelines" / "mine" / "experiment.py"
    )


def test_a_copy_trains_on_a_gpu(copy, gpu, monkeypatch, tmp_path):
    monkeypatch.setenv("REPRO_GPUS", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    held: dict[str, FileLock] = {}
    monkeypatch.setattr(devices, "_held", held)
    assert cli.main(["run", "--tier", "smoke", "--precision", "bf16"], paper="mine") == 0
    held["0"].release()
    facts = [
        records.stored(run.id).environment for run in config.load("mine").experiment("table1").runs("smoke")
    ]
    assert {fact["device"] for fact in facts} == {"cuda"}
    assert {fact["precision"] for fact in facts} == {"bf16"}
    assert all(fact["device_name"] and fact["device_peak_mb"] >= 0 for fact in facts)


def test_a_copy_renders_its_report(copy):
    assert (
        cli.main(["run", "--tier", "demo", "--arm", "p4cnn", "--seeds", "0", "--device", "cpu"], paper="mine")
        == 0
    )
    assert cli.main(["table", "--demo"], paper="mine") == 0
    folder = copy / "reports" / "demo" / "mine"
    assert {"report.md", "table1.csv", "figure1.svg"} <= {file.name for file in folder.iterdir()}
    assert "no verdict (demo)" in (folder / "table1.md").read_text()
