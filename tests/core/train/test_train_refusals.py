"""What a training refuses: checkpoints of something else, and numbers that are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shared.base.errors import UserError
from shared.nn import Dropout, GlobalAvgPool
from shared.train import FitSettings, TrainingDiverged, TrainingSet, accuracy, fit, guesses, save_checkpoint

_DICE = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (32, 1, 7, 7), dtype=torch.uint8, generator=_DICE)
LABELS = torch.randint(0, 3, (32,), generator=_DICE)
SETTINGS = FitSettings(epochs=3, batch_size=16, lr=0.1, optimizer="sgd")


def plain(batch: Tensor) -> Tensor:
    return batch.float() / 255


def data(**changes: Any) -> TrainingSet:
    made = TrainingSet(IMAGES, LABELS, [torch.arange(24)], lambda batch, g: plain(batch), plain)
    return dataclasses.replace(made, **changes)


def network(act: nn.Module | None = None, width: int = 4) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, width, 3), act or nn.ReLU(), GlobalAvgPool(), nn.Linear(width, 3))


def train(path: Path | None, net: nn.Module | None = None, given: TrainingSet | None = None, **changes: Any):
    options = {"observe": lambda model: {"a": 1.0}, "observe_every": changes.pop("observe_every", 1)}
    settings = dataclasses.replace(SETTINGS, **changes)
    return fit([net or network()], given or data(), settings, [0], checkpoint=path, **options)


CHANGES = {
    "epochs": 2,
    "batch_size": 8,
    "optimizer": "adam",
    "lr": 0.01,
    "weight_decay": 2.0,
    "momentum": 0.0,
    "schedule": "one_cycle",
    "step_every": 2,
    "step_factor": 0.1,
    "precision": "bf16",
    "channels_last": True,
    "selection": "best",
    "validate_every": 2,
    "milestones": (1,),
    "warmup_epochs": 1,
    "cycle_momentum": True,
    "patience": 1,
    "margin": 0.5,
    "rates": (("bias", 0.1),),
    "observe_every": 2,
}


def test_every_setting_is_tried() -> None:
    assert {field.name for field in dataclasses.fields(FitSettings)} - {"replicas"} <= set(CHANGES)


@pytest.mark.parametrize("key", CHANGES)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path, key: str) -> None:
    path, given = tmp_path / "state.pt", data(validation=[torch.arange(24, 32)])
    train(path, given=given)  # leaves the state after its last but one epoch behind, like a killed training
    with pytest.raises(UserError, match=rf"the checkpoint was made with (another )?{key}.*delete it"):
        train(path, given=given, **{key: CHANGES[key]})


def test_how_the_seeds_are_joined_is_no_such_setting(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    whole = train(path)
    assert train(path, replicas="together").losses == whole.losses


OTHERS: dict[str, tuple[Callable[[], dict], str]] = {
    "more channels": (lambda: {"net": network(width=5)}, "network"),
    "another activation": (lambda: {"net": network(nn.Tanh())}, "network"),
    "another dropout": (lambda: {"net": network(Dropout(0.4))}, "network"),
    "other images": (lambda: {"given": data(train=[torch.arange(1, 25)])}, "list of training images"),
    "fewer images": (lambda: {"given": data(train=[torch.arange(20)])}, "list of training images"),
    "other labels": (lambda: {"given": data(labels=LABELS.flip(0))}, "list of labels"),
    "a score": (lambda: {"given": data(score=lambda *_: 0.0)}, "score"),
    "a validation": (lambda: {"given": data(validation=[torch.arange(24, 32)])}, "list of validation images"),
}


@pytest.mark.parametrize(("change", "what"), OTHERS.values(), ids=OTHERS)
def test_a_checkpoint_of_something_else_is_refused(
    tmp_path: Path, change: Callable[[], dict], what: str
) -> None:
    train(path := tmp_path / "state.pt")
    with pytest.raises(UserError, match=f"the checkpoint was made with another {what}; delete it"):
        train(path, **change())


@pytest.mark.parametrize("state", [{}, {"epoch": 1}, {"seeds": [0]}])
def test_a_file_that_is_no_state_of_a_training_is_refused(tmp_path: Path, state: dict) -> None:
    save_checkpoint(path := tmp_path / "state.pt", state)
    with pytest.raises(UserError, match="does not say what it was made with; delete it"):
        train(path)


def test_a_frozen_layer_is_another_network(tmp_path: Path) -> None:
    train(path := tmp_path / "state.pt")
    net = network()
    net[0].requires_grad_(False)
    with pytest.raises(UserError, match="made with another network"):
        train(path, net)


def test_a_training_that_was_not_observed_is_not_observed_in_part(tmp_path: Path) -> None:
    options = {"checkpoint": tmp_path / "state.pt"}
    fit([network()], data(), SETTINGS, [0], **options)
    with pytest.raises(UserError, match="made without observations; delete it"):
        fit([network()], data(), SETTINGS, [0], observe=lambda model: {"a": 1.0}, **options)


def test_weights_that_leave_the_numbers_in_the_last_step_are_found() -> None:
    with pytest.raises(TrainingDiverged, match=r"a weight of seed\(s\) 0 is not finite in epoch 1") as caught:
        train(None, given=data(transform=lambda x, g: x.float() * 1e3), epochs=1, batch_size=24, lr=3e38)
    assert caught.value.seeds == [0]


@pytest.mark.parametrize("replicas", ["together", "one_by_one"])
def test_the_seed_whose_weights_left_the_numbers_is_named(replicas: str) -> None:
    models = [network(), network()]
    models[1][3].weight.data.fill_(3e38)
    models[1][3].bias.data.fill_(3e38)
    given = data(train=[torch.arange(24)] * 2)
    settings = dataclasses.replace(SETTINGS, replicas=replicas, weight_decay=1e3)
    with pytest.raises(TrainingDiverged, match=r"seed\(s\) 1 is not finite") as caught:
        fit(models, given, settings, [0, 1])
    assert caught.value.seeds == [1]


def test_a_score_that_is_no_number_is_found() -> None:
    given = data(validation=[torch.arange(24, 32)], score=lambda *_: float("nan"))
    with pytest.raises(TrainingDiverged, match="the validation score of seed"):
        train(None, given=given)


def test_weights_that_are_infinite_by_design_are_no_fault() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            mask = torch.tensor([0.0, 0.0, float("-inf")])
            self.mask = nn.Parameter(mask, requires_grad=False)
            self.net = network()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) + self.mask

    given = data(labels=LABELS.clamp(max=1), validation=[torch.arange(24, 32)])
    assert train(None, Masked(), given).validations[0][3] > 0


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "outputs",
    [
        torch.full((4, 3), NAN),
        torch.full((4, 3), INF),
        torch.full((4, 3), -INF),
        torch.eye(4).index_fill(1, torch.tensor([2]), NAN),
        torch.eye(4).index_put((torch.tensor(1), torch.tensor(1)), torch.tensor(INF)),
    ],
)
def test_outputs_that_are_no_numbers_have_no_accuracy(outputs: Tensor) -> None:
    with pytest.raises(UserError, match="of 4 outputs of the network are not finite"):
        accuracy(outputs, torch.tensor([0, 0, 0, 1]))
    with pytest.raises(UserError, match="have no class"):
        guesses(outputs)


def test_a_class_that_is_ruled_out_is_no_fault() -> None:
    outputs = torch.eye(3).index_fill(1, torch.tensor([2]), -INF)
    assert accuracy(outputs, torch.arange(3)) == pytest.approx(200 / 3)


@pytest.mark.parametrize(
    ("outputs", "labels"),
    [((4, 1), (4,)), ((4,), (4,)), ((4, 3), (4, 1)), ((4, 3), (1,)), ((4, 3, 2, 2), (4, 2))],
)
def test_accuracy_refuses_shapes_that_would_be_broadcast(outputs: tuple, labels: tuple) -> None:
    with pytest.raises(ValueError, match="accuracy needs outputs"):
        accuracy(torch.randn(outputs), torch.zeros(labels, dtype=torch.int64))
