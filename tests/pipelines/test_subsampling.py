"""The subsampling pipeline against its fact sheet: counts, exactness, data, protocol."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipelines.subsampling import data, experiment, models, picture, sweep
from pipelines.subsampling.settings import Settings
from shared.algebra.actions import act_image
from shared.algebra.groups import cyclic
from shared.atlas import atlas
from shared.base.errors import UserError
from shared.data import prepare
from shared.report import published
from shared.runs import config
from shared.runs.api import Context

SMALL = {
    "dataset": "digits",
    "split": "standard",
    "width": 3,
    "train_images": 96,
    "validation_images": 32,
    "test_images": 60,
    "sweep_images": 60,
    "batch_size": 32,
    "epochs": 2,
}


@pytest.mark.parametrize(
    ("model", "channels", "count"),
    [("z2cnn", 3, 25_570), ("p4cnn", 3, 24_990), ("z2cnn", 1, 25_210), ("p4cnn", 1, 24_810), ("toy", 3, 14)],
)
def test_parameter_counts_are_those_of_the_logs(model, channels, count):
    network = models.build(Settings(model=model, channels=channels), 0)
    assert models.count_parameters(network) == count


@pytest.mark.parametrize(("size", "exact"), [(27, False), (28, True), (29, False), (8, True), (9, False)])
def test_p4cnn_is_invariant_exactly_at_even_sizes(size, exact):
    network = models.build(Settings(size=size), 1).double().eval()
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    error = max((network(act_image(cyclic(4), g, x)) - network(x)).abs().max().item() for g in (1, 2, 3))
    assert (error < 1e-12) == exact
    assert exact or error > 1e-6


def test_the_log_has_four_dropouts_and_the_paper_five():
    def dropouts(**extra: object) -> int:
        network = models.build(Settings(**extra), 0)
        return sum(type(module).__name__ == "Dropout" for module in network)

    assert dropouts() == 4
    assert dropouts(dropout_after="12345") == 5


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    one, two = models.build(Settings(), 5), models.build(Settings(), 5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))
    other = models.build(Settings(), 6)
    assert not torch.equal(one[0].weight, other[0].weight)


def test_splits_are_disjoint_and_differ_between_seeds():
    settings = Settings()
    train, validation = data.split(settings, 10_000, 3)
    assert (len(train), len(validation)) == (8000, 2000)
    assert not set(train.tolist()) & set(validation.tolist())
    assert not torch.equal(train, data.split(settings, 10_000, 4)[0])


def test_uniform_training_turns_the_pool_once_for_all_seeds_and_leaves_the_test_upright():
    """As the text has it; the released code turns anew for each seed, the logs whole batches (next test)."""
    upright = data.digits(Settings(**SMALL))
    turned = data.digits(Settings(**SMALL, training="uniform"))
    again = data.digits(Settings(**SMALL, training="uniform"))
    assert torch.equal(turned.pool, again.pool)
    assert torch.equal(turned.test, upright.test)
    changed = (turned.pool != upright.pool).flatten(1).any(1).double().mean()
    assert changed > 0.99


def test_training_as_in_the_logs_turns_whole_batches_validates_upright_and_tests_the_best():
    arms = config.load("subsampling").experiment("turns")
    ours, logs = (arms.settings_of(f"z2cnn_28_{name}", "paper") for name in ("uniform", "as_logs"))
    assert (ours.training, ours.selection) == ("uniform", "last")
    assert (logs.training, logs.bias_per, logs.selection) == ("biased", "batch", "best")
    settings = replace(logs, **SMALL)
    assert torch.equal(data.digits(settings).pool, data.digits(Settings(**SMALL)).pool), (
        "upright until training"
    )
    one = data.line_figure(28).expand(1, 6, 1, 28, 28)
    turned = [data.training_input(one, settings, generators(seed))[0] for seed in range(40)]
    assert all((batch == batch[:1]).all() for batch in turned)
    said = {line.what: line for line in published.deviations("subsampling")}
    assert "one angle for a whole batch" in said["Turned training digits (D25)"].paper
    assert "best upright validation" in said["Which network is tested on digits (D24)"].paper


def test_the_crop_blanks_the_corners_of_the_pool_and_is_a_switch():
    cropped, whole = data.digits(Settings(**SMALL)).pool, data.digits(Settings(**SMALL, crop=False)).pool
    outside = ~prepare.circle_mask(28)
    assert int(outside.sum()) == 28 * 28 - 560  # kept pixels at side 28: fact sheet 1.7
    assert cropped[..., outside].abs().max() == 0
    assert torch.equal(cropped[..., ~outside], whole[..., ~outside])


TRAINED = SMALL | {"width": 4, "dropout": 0.0, "train_images": 600, "test_images": 400, "sweep_images": 400}


def accuracies(**options):
    """Accuracy by angle after a short training that suffices to tell some orientations apart."""
    settings = Settings(**TRAINED | {"batch_size": 16, "epochs": 3, "angle_step": 30} | options)
    rows = experiment.run(settings, [1], Context(log=lambda line: None))[1]
    return {row.step: row.value for row in rows if row.metric == "accuracy"}


def test_a_sweep_of_the_first_quadrant_is_a_full_one_where_a_network_is_exact():
    """What `_sweep` relies on, on a trained network whose accuracy depends on the angle."""
    full, short = accuracies(full_sweep=True), accuracies()
    assert full[0] > full[30] + 5, "otherwise the comparison could not fail"
    for angle in range(0, 270, 30):
        assert full[angle] == pytest.approx(full[angle + 90], abs=100 / 400 + 1e-9)  # one image may tie
    assert short == pytest.approx(full, abs=100 / 400 + 1e-9)
    assert short[120] == short[30]
    approximate = accuracies(size=27)
    assert max(abs(approximate[angle] - approximate[0]) for angle in (90, 180, 270)) > 2


def test_shrinking_averages_if_asked_and_enlarging_does_not_change():
    plain, averaged = (data.digits(Settings(**SMALL, size=14, antialias=on)).test for on in (False, True))
    assert plain.shape == averaged.shape == (60, 1, 14, 14)
    stored = data.digits(Settings(**SMALL)).test  # 28 pixels
    assert torch.allclose(averaged.mean((1, 2, 3)), stored.mean((1, 2, 3)), atol=2e-3)
    assert (plain - averaged).abs().max() > 0.05
    # at half the size interpolation reads 2x2 pixels, averaging a triangle of 4x4
    weights = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    window = stored[:, 0, 11:15, 11:15]
    assert torch.allclose(
        averaged[:, 0, 6, 6], torch.einsum("bij,i,j->b", window, weights, weights), atol=1e-5
    )
    turned = data.resize(torch.rot90(stored, 1, (2, 3)), Settings(size=27, antialias=True))
    straight = data.resize(stored, Settings(size=27, antialias=True))
    assert torch.allclose(turned, torch.rot90(straight, 1, (2, 3)), atol=1e-6)
    larger = [data.digits(Settings(**SMALL, size=31, antialias=on)).test for on in (False, True)]
    assert torch.allclose(*larger, atol=1e-5)


@pytest.mark.parametrize("repair", ["", "resize", "pool"])
@pytest.mark.parametrize(("model", "size"), [("z2cnn", 28), ("p4cnn", 27), ("p4cnn", 28), ("p4mcnn", 29)])
def test_the_sweep_is_short_exactly_where_the_atlas_says_exact(model, size, repair):
    settings = Settings(model=model, size=size, repair=repair if model != "z2cnn" else "")
    assert sweep.is_invariant(settings) == atlas(models.build(settings, 0), size).exact


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("per", ["batch", "image"])
def test_biased_training_turns_a_batch_or_each_image(per):
    settings = Settings(training="biased", bias_std=20.0, bias_per=per, crop=False)
    one = data.line_figure(28)
    x = data.training_input(one.expand(2, 6, 1, 28, 28), settings, generators(1, 2))
    assert x.shape == (2, 6, 3, 28, 28)
    angles = 45 + 20 * torch.randn(6 if per == "image" else 1, generator=generators(2)[0])
    expected = data.network_input(prepare.rotate(one.expand(6, -1, -1, -1), angles), settings)
    assert torch.equal(x[1], expected)
    assert not torch.equal(x[0], x[1])  # each seed has its own angles
    assert (x[1] == x[1][:1]).all() == (per == "batch")


def test_biased_angles_have_the_mean_and_spread_asked_for():
    """A bar turned by a has its second moments turned by a, too."""
    settings = Settings(training="biased", bias_std=20.0, bias_per="image", crop=False, channels=1)
    bar = torch.zeros(1, 1, 1, 29, 29)
    bar[..., 14, 4:25] = 1  # along the columns' axis: angle 0
    x = data.training_input(bar.expand(1, 400, 1, 29, 29), settings, generators(0))[0, :, 0]
    weight = (x - x.amin()).double()
    at = torch.arange(29) - 14.0
    columns, rows = (weight * at).double(), (weight * -at[:, None]).double()
    angles = 0.5 * torch.atan2(
        2 * (columns * -at[:, None]).sum((1, 2)),
        (columns * at).sum((1, 2)) - (rows * -at[:, None]).sum((1, 2)),
    )
    degrees = torch.rad2deg(angles)
    degrees = torch.where(degrees < -45, degrees + 180, degrees)  # a bar has no direction
    assert degrees.mean().item() == pytest.approx(45, abs=4)
    assert degrees.std().item() == pytest.approx(20, abs=3)


def test_mirrored_runs_measure_both_and_a_p4m_network_gives_the_same():
    settings = Settings(**SMALL, model="p4mcnn", mirrored=True, angle_step=90)
    rows = experiment.run(settings, [0], Context(log=lambda line: None))[0]
    values = {m: [r.value for r in rows if r.metric == m] for m in {r.metric for r in rows}}
    assert values["mirrored_accuracy"] == pytest.approx(values["accuracy"], abs=100 / 60 + 1e-9)
    assert max(values["mirror_error"]) < 1e-5
    assert [r.step for r in rows if r.metric == "mirror_error"] == [0, 2]


def test_the_pictures_of_figure_2_differ_in_the_corners_only():
    rows = {}
    for crop in (False, True):
        settings = Settings(**SMALL | {"model": "picture", "crop": crop})
        rows[crop] = experiment.run(settings, [3], Context(log=lambda line: None))[3]
    panels = {c: torch.tensor([r.value for r in rows[c] if r.metric == "picture"]) for c in rows}
    mask = prepare.circle_mask(28).flatten()
    assert torch.equal(panels[False][mask], panels[True][mask])
    assert panels[True][~mask].abs().max() == 0
    assert panels[False][0].item() == pytest.approx(picture.FILL, abs=1e-4)
    assert {r.metric for r in rows[True]} == {"original", "picture"}


@pytest.mark.parametrize("model", ["z2cnn", "p4cnn"])
def test_a_run_returns_every_metric(model):
    settings = Settings(**SMALL, model=model, size=27, angle_step=45)
    rows = experiment.run(settings, [0, 1], Context(log=lambda line: None))
    assert set(rows) == {0, 1}
    steps = {
        metric: [r.step for r in rows[0] if r.metric == metric] for metric in {r.metric for r in rows[0]}
    }
    assert steps["accuracy"] == list(range(0, 360, 45))
    assert steps["train_loss"] == [1, 2]
    assert steps["invariance_error"] == [0, 2]
    assert steps["parameters"] == [""]
    assert all(0 <= r.value <= 100 for r in rows[0] if r.metric == "accuracy")
    assert [r for r in rows[0] if r.metric == "train_loss"] != [
        r for r in rows[1] if r.metric == "train_loss"
    ]


def test_recorded_images_and_training_accuracies_are_those_of_the_run():
    """Bits by image give the accuracies by angle; of the best epoch's network, validated after each."""
    options = {"image_records": 60, "train_accuracy": True, "selection": "best", "angle_step": 45, "size": 27}
    settings = Settings(**SMALL | {"batch_size": 16} | options)
    rows = experiment.run(settings, [0, 1], Context(log=lambda line: None))
    for of_seed in rows.values():
        values = {m: {r.step: r.value for r in of_seed if r.metric == m} for m in {r.metric for r in of_seed}}
        right = torch.tensor(list(values["right_at"].values()), dtype=torch.float64).long()
        for j, accuracy in enumerate(values["accuracy"].values()):
            assert 100 * (right >> j & 1).double().mean().item() == pytest.approx(accuracy)
        assert right.max() < 1 << 8
        assert list(values["validation_accuracy"]) == list(values["train_accuracy"]) == [1, 2]
        assert all(0 < value < 100 for value in values["train_accuracy"].values())
        classes = [values[f"class_accuracy_{digit}"][90] for digit in range(10)]
        labels = data.digits(settings).test_labels
        weights = torch.bincount(labels, minlength=10).double() / len(labels)
        assert (weights * torch.tensor(classes)).sum().item() == pytest.approx(values["accuracy"][90])
    assert rows[0] != rows[1]


def test_counting_what_is_right_in_training_changes_nothing_else():
    def losses(**more):
        settings = Settings(**SMALL | {"angle_step": 90, "model": "z2cnn"} | more)
        rows = experiment.run(settings, [2], Context(log=lambda line: None))[2]
        return [row.value for row in rows if row.metric == "train_loss"]

    assert losses(train_accuracy=True) == pytest.approx(losses(), rel=1e-5)


def test_corners_are_black_before_normalizing_or_zero_after_it():
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    outside = ~prepare.circle_mask(28)
    for fill, value in (("black", -data.MEAN / data.STD), ("mean", 0.0)):
        settings = Settings(crop_fill=fill)
        x = data.network_input(data.turn(images, 30, settings), settings)
        assert x[..., outside].amin().item() == pytest.approx(value, abs=1e-6)
        assert x[..., outside].amax().item() == pytest.approx(value, abs=1e-6)


def test_nearest_neighbors_turn_as_bilinear_interpolation_does():
    """Quarter turns by the same formula are exact; between them a smooth image is turned alike."""
    settings = Settings(interpolation="nearest", crop=False)
    noise = torch.rand(3, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    for quarter in range(4):
        turned = data._turned_nearest(noise, 90.0 * quarter)
        assert torch.equal(turned, torch.rot90(noise, quarter, (2, 3)))
    at = torch.linspace(-1, 1, 28)
    smooth = torch.exp(-4 * (at[:, None] - 0.3) ** 2 - 4 * (at[None] + 0.2) ** 2)[None, None]
    nearest, bilinear = (data.turn(smooth, 40, s) for s in (settings, Settings(crop=False)))
    assert (nearest - bilinear).abs().mean() < 0.02
    assert (data.turn(smooth, -40, settings) - bilinear).abs().mean() > 0.05
    assert set(nearest.unique().tolist()) <= {0.0, *smooth.unique().tolist()}


def test_invariance_error_tells_exact_from_approximate():
    for size, low, high in ((28, 0, 1e-5), (27, 1e-5, 10)):
        rows = experiment.run(
            Settings(**SMALL, size=size, angle_step=90), [0], Context(log=lambda line: None)
        )[0]
        errors = [r.value for r in rows if r.metric == "invariance_error"]
        assert all(low <= e < high for e in errors), (size, errors)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "p4cn"}, "p4cnn"),
        ({"size": 4}, "8 to 256"),
        ({"angle_step": 7}, "must divide 90"),
        ({"split": "half"}, "unknown split"),
        ({"training": "biased"}, "needs a bias_std"),
        ({"bias_std": 20.0}, "needs a bias_std"),
        ({"model": "resnet44", "training": "uniform"}, "upright only"),
        ({"statistics": "clean"}, "without_dropout"),
        ({"statistics": "without_dropout", "model": "toy"}, "set statistics: running"),
        ({"train_images": 0}, "train_images: 0 is too few"),
        ({"test_images": 0}, "test_images: 0 is too few"),
        ({"schedule": "one_cycle"}, "p4cnn does not look at it"),
        ({"model": "z2cnn", "selection": "best", "validation_images": 0}, "needs validation_images"),
        ({"image_records": 70_000}, "more than the images that are tested"),
        ({"crop_fill": "white"}, "unknown crop_fill"),
        ({"model": "resnet44", "image_records": 5}, "image_records is for networks on digits"),
        ({"model": "resnet44", "selection": "best", "validation_images": 0}, "needs validation_images"),
        ({"model": "resnet44", "train_on": "train_and_valid"}, "set validation_images: 0"),
        ({"train_on": "all"}, "unknown train_on"),
        ({"model": "resnet44", "full_sweep": True}, "full_sweep is for networks on digits"),
        ({"model": "toy", "antialias": True}, "antialias is for networks on digits"),
    ],
)
def test_wrong_settings_are_explained(wrong, message):
    with pytest.raises(UserError, match=message):
        Settings(**wrong)


def test_a_data_set_that_is_too_small_is_explained():
    with pytest.raises(UserError, match="lower train_images"):
        data.digits(Settings(dataset="digits", split="standard"))
