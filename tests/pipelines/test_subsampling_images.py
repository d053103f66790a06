"""Training and testing of the residual networks: what they see, and what is measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipelines.subsampling import experiment, models, views
from pipelines.subsampling.settings import Settings
from shared.base.errors import UserError
from shared.data import augment, prepare
from shared.runs.api import Context

SMALL = {
    "dataset": "shapes",
    "crop": False,
    "validation_images": 0,
    "blocks": 1,
    "width": 2,
    "train_images": 64,
    "test_images": 40,
    "track_images": 8,
    "batch_size": 32,
    "epochs": 2,
}
QUIET = Context(log=lambda line: None)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    """Two seeds' batches of three stored images."""
    images = views.load(Settings(**SMALL, model="resnet44"), "cpu").train
    return images[torch.tensor([[0, 1, 2], [3, 4, 5]])]


def rows_of(**extra: object) -> dict[str, dict[float | str, float]]:
    settings = Settings(**SMALL | extra)
    found: dict[str, dict[float | str, float]] = {}
    for row in experiment.run(settings, [0], QUIET)[0]:
        found.setdefault(row.metric, {})[row.step] = row.value
    return found


@pytest.mark.parametrize(("size", "exact"), [(32, False), (33, True)])
def test_a_run_follows_the_errors_of_every_stage(size, exact):
    found = rows_of(model="p4resnet44", size=size, track_every=1)
    assert list(found["accuracy"]) == [0, 90, 180, 270]
    assert list(found["invariance_error"]) == [0, 2]
    assert list(found["tracked_accuracy"]) == [0, 1, 2]
    assert found["tracked_accuracy"][2] == found["accuracy"][0]
    for reading in ("mse", "root", "l1", "energy"):
        for stage, always in (("stem", True), ("stage1", True), ("stage2", exact), ("stage3", exact)):
            errors = found[f"{reading}_{stage}"].values()
            assert all((error < 1e-5) == always for error in errors), (reading, stage, list(errors))
    assert len(set(found["accuracy"].values())) == 1 or not exact


def test_both_orders_of_the_last_pools_are_invariant_and_differ():
    x = torch.randn(2, 3, 33, 33, generator=torch.Generator().manual_seed(0))
    outputs = {}
    for head in ("group_first", "pixels_first"):
        settings = Settings(**SMALL, model="p4resnet44", head=head)
        network = models.build(settings, 1).eval()
        with torch.no_grad():
            outputs[head] = network(x)
            torch.testing.assert_close(network(torch.rot90(x, 1, (-2, -1))), outputs[head], atol=1e-5, rtol=0)
    assert (outputs["group_first"] - outputs["pixels_first"]).abs().max() > 1e-3


def test_a_plain_network_is_not_followed():
    found = rows_of(model="resnet44", size=32)
    assert set(found) == {
        "parameters", "train_loss", "accuracy", "invariance_error", "images_per_second"
    }  # fmt: skip


def test_the_best_epoch_is_chosen_on_separate_images(monkeypatch):
    """The validation images stand behind the training images, and no training batch holds them."""
    load = views.shared.data.load

    def with_validation(name: str, split: str, limit: int | None = None):
        images, labels = load(name, "test" if split == "valid" else split)
        return images[:limit], labels[:limit]

    shapes = views.shared.data.catalogue.find("shapes")
    shapes = replace(shapes, splits={**shapes.splits, "valid": shapes.splits["test"]})
    monkeypatch.setattr(views.shared.data, "load", with_validation)
    monkeypatch.setattr(views.shared.data.catalogue, "find", lambda name: shapes)
    settings = Settings(**SMALL | {"validation_images": 20, "model": "resnet44", "size": 32})
    images = views.load(settings, "cpu")
    assert images.validation == 20
    assert torch.equal(images.train[-20:], images.test[:20])
    found = rows_of(model="resnet44", size=32, validation_images=20, selection="best")
    assert list(found["validation_accuracy"]) == [1, 2]


def test_training_on_the_validation_images_too(monkeypatch):
    load = views.shared.data.load
    shapes = views.shared.data.catalogue.find("shapes")
    splits = {**shapes.splits, "valid": shapes.splits["test"]}
    monkeypatch.setattr(views.shared.data.catalogue, "find", lambda name: replace(shapes, splits=splits))
    monkeypatch.setattr(
        views.shared.data,
        "load",
        lambda name, split, limit=None: load(name, "test" if split == "valid" else split),
    )
    alone, both = (
        views.load(Settings(**SMALL, model="resnet44", train_on=which), "cpu")
        for which in ("train", "train_and_valid")
    )
    assert both.validation == alone.validation == 0
    assert torch.equal(both.train, torch.cat([alone.train, alone.test]))
    assert torch.equal(both.labels, torch.cat([alone.labels, alone.test_labels]))


@pytest.mark.parametrize(("augmentation", "size"), [("none", 33), ("crop_flip", 33), ("resized_crop", 24)])
def test_training_views_belong_to_their_seed(batch, augmentation, size):
    settings = Settings(**SMALL, model="resnet44", size=size, augment=augmentation)
    view = views.training_view(settings, 32, "cpu")
    both = view(batch, generators(1, 2))
    assert both.shape == (2, 3, 3, size, size)
    assert torch.equal(view(batch[1:], generators(2))[0], both[1])
    assert torch.equal(view(batch, generators(1, 2)), both)
    moved = not torch.equal(view(batch, generators(5, 6)), both)
    assert moved == (augmentation != "none")


def test_a_crop_moves_the_resized_image_within_four_pixels(batch):
    settings = Settings(**SMALL, model="resnet44", size=33, augment="crop_flip")
    seen = views.training_view(settings, 32, "cpu")(batch[:1], generators(3))[0]
    whole = prepare.resize(batch[0].float() / 255, 33)
    padded = torch.nn.functional.pad(whole, (4, 4, 4, 4))
    for image, source in zip(seen, padded):
        windows = [source[:, i : i + 33, j : j + 33] for i in range(9) for j in range(9)]
        candidates = torch.stack([w for window in windows for w in (window, window.flip(-1))])
        distances = (
            (augment.standardize(candidates, augment.STANDARDS["shapes"]) - image).abs().amax((1, 2, 3))
        )
        assert distances.min() < 1e-5


def test_test_views_resize_or_take_the_center(batch):
    resized = views.test_view(Settings(**SMALL, model="resnet44", size=33), 32)(batch[0])
    standard = augment.STANDARDS["shapes"]
    expected = augment.standardize(prepare.resize(batch[0].float() / 255, 33), standard)
    assert torch.equal(resized, expected)
    centered = Settings(**SMALL, model="resnet18", size=24, augment="resized_crop")
    expected = augment.standardize(batch[0, ..., 4:28, 4:28], standard)
    torch.testing.assert_close(views.test_view(centered, 32)(batch[0]), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train_images": 5000}, "lower train_images"),
        ({"crop": True}, "whole images; set crop: false"),
        ({"validation_images": 8}, "no validation images; set validation_images to 0"),
        ({"train_on": "train_and_valid"}, "no validation images; set .* train_on to train"),
        ({"augment": "resized_crop", "size": 33}, "cuts 33 pixels out of images of 32; lower size"),
        ({"dataset": "digits"}, "unknown data set of color images 'digits'"),
    ],
)
def test_what_a_data_set_lacks_is_explained(wrong, message):
    with pytest.raises(UserError, match=message):
        views.load(Settings(**SMALL | wrong, model="resnet44"), "cpu")
