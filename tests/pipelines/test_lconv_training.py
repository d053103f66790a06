"""The L-conv pipeline at work: images, the permutation identity, training, hidden symmetries."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

import shared.data
from pipelines.lconv import data, experiment, models, planted, readout, rotation
from pipelines.lconv.settings import Settings
from shared.algebra import lie
from shared.base.errors import UserError
from shared.data import catalogue, prepare
from shared.runs import config, precisions
from shared.runs.api import Context, OutOfTime
from shared.train import accuracy, predict

SMALL = Settings(
    dataset="digits",
    variant="rotated_scrambled",
    size=10,
    width=4,
    generators=2,
    rank=2,
    train_images=64,
    holdout_images=32,
    test_images=40,
    epochs=2,
)
QUIET = Context(log=lambda line: None)


def rows_of(settings: Settings, seed: int = 0) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for row in experiment.run(settings, [seed], QUIET)[seed]:
        found.setdefault(row.metric, {})[row.step] = row.value
    return found


# -- images ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 13, 13), (1, 12, 17)])
def test_rotation_is_that_of_scipy(shape):
    random = torch.Generator().manual_seed(0)
    images = torch.rand(4, *shape, generator=random) - 0.5
    degrees = torch.tensor([-90.0, 17.3, 88.9, -45.0])
    turned = rotation.rotate(images, degrees)
    options = {"reshape": False, "order": 3, "mode": "nearest"}
    for image, angle, found in zip(images, degrees.tolist(), turned):
        for channel, result in zip(image.double().numpy(), found.numpy()):
            assert np.abs(ndimage.rotate(channel, angle, **options) - result).max() < 3e-5
    assert turned.abs().max() > 0.5, "splines overshoot (D13)"


def test_rotation_takes_no_images_that_do_not_fit():
    with pytest.raises(ValueError, match="one angle per image"):
        rotation.rotate(torch.zeros(2, 1, 5, 5), torch.zeros(3))
    with pytest.raises(ValueError, match="too large"):
        rotation.rotate(torch.zeros(1, 1, 90, 90), torch.zeros(1))


def test_the_bilinear_variant_turns_the_digits_then_moves_their_pixels():
    settings = Settings(dataset="digits", variant="rotated_scrambled", rotation="bilinear", test="official")
    images = data.load(settings)
    for split, found in (("train", images.pool), ("test", images.test)):
        pixels, labels = shared.data.load("digits", split)
        angles = prepare.random_angles(len(pixels), 0, low=-90, high=90, place=f"0/{split}")
        turned = prepare.rotate(pixels, angles)
        moved = prepare.scramble(turned, prepare.pixel_permutation(tuple(pixels.shape[-2:]), 0))
        assert torch.equal(found, moved.float() / 255 - 0.5)
        assert torch.equal(images.labels if split == "train" else images.test_labels, labels)


def test_four_fifths_are_trained_on_and_all_see_the_same_images():
    whole = data.load(Settings(dataset="digits", variant="rotated", size=8))
    assert (whole.train, len(whole.pool)) == (1037, 1297)
    part = data.load(
        Settings(dataset="digits", variant="rotated", size=8, train_images=50, holdout_images=20)
    )
    assert torch.equal(part.pool[:50], whole.pool[:50])
    assert torch.equal(part.pool[50:], whole.pool[1037:1057])
    moved = data.load(Settings(dataset="digits", variant="rotated", size=8, data_seed=1))
    assert not torch.equal(moved.pool, whole.pool)


def test_scrambling_moves_the_pixels_of_the_turned_images():
    plain, scrambled = (data.load(replace(SMALL, variant=v)) for v in ("rotated", "rotated_scrambled"))
    assert torch.equal(scrambled.pool.flatten(2), plain.pool.flatten(2)[..., scrambled.permutation])
    assert torch.equal(plain.permutation, torch.arange(100))
    assert scrambled.fingerprint != plain.fingerprint


def test_images_may_be_scrambled_and_not_turned():
    plain, moved = (data.load(replace(SMALL, variant=variant)) for variant in ("default", "scrambled"))
    assert torch.equal(moved.pool.flatten(2), plain.pool.flatten(2)[..., moved.permutation])
    assert torch.equal(moved.permutation, data.load(SMALL).permutation)


def test_clipping_is_a_switch():
    settings = replace(SMALL, size=0, variant="rotated")
    images, clipped = data.load(settings).pool, data.load(replace(settings, clip=True)).pool
    assert images.abs().max() > 0.5
    assert torch.equal(clipped, images.clamp(-0.5, 0.5))


def test_images_that_do_not_fit_are_explained(monkeypatch):
    with pytest.raises(UserError, match="lower train_images"):
        data.load(replace(SMALL, train_images=2000))
    with pytest.raises(UserError, match="lower holdout_images"):
        data.load(replace(SMALL, holdout_images=1000))
    oblong = replace(catalogue.find("digits"), shape=(1, 28, 30))
    monkeypatch.setattr(catalogue, "find", lambda name: oblong)
    with pytest.raises(UserError, match="28x30 pixels; turning them in place needs square ones"):
        data.load(SMALL)


# -- the permutation identity (E2, L14) --------------------------------------------------------------------


def trained_both_ways(settings: Settings, permuted_start: bool) -> tuple:
    """A network trained on turned images, and one on scrambled ones that starts as the first, moved along."""
    plain, scrambled = (data.load(replace(settings, variant=v)) for v in ("rotated", "rotated_scrambled"))
    networks = [models.build(settings, 3, 1, 10, 10).double() for _ in range(2)]
    if permuted_start:
        with torch.no_grad():
            move(networks[1], scrambled.permutation)
    fits = []
    for network, images in zip(networks, (plain, scrambled)):
        images.pool = images.pool.double()
        fits.append(experiment._fit(settings, [3], [network], images, QUIET))
    return networks, fits, scrambled.permutation


def move(network: models.LConvNetwork, permutation: torch.Tensor) -> None:
    """Permute the pixels that a network knows: P L_i P^T, and the columns of the classifier."""
    for layer in network.layers:
        layer.decoder.copy_(layer.decoder[:, permutation])
        layer.encoder.copy_(layer.encoder[:, :, permutation])
    weight = network.classifier.weight
    weight.copy_(weight.unflatten(1, (len(permutation), -1))[:, permutation].flatten(1))


@pytest.mark.parametrize(("model", "layers"), [("lconv", 1), ("lconv", 2), ("random", 1)])
def test_permuting_the_input_permutes_the_learned_solution(model, layers):
    settings = replace(SMALL, model=model, layers=layers)
    (first, second), (a, b), permutation = trained_both_ways(settings, permuted_start=True)
    assert a.losses[0] == pytest.approx(b.losses[0], rel=1e-6)
    assert a.validations == b.validations
    with torch.no_grad():
        move(first, permutation)
    for (name, one), (_, other) in zip(first.state_dict().items(), second.state_dict().items()):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6, msg=name)


def test_without_moving_the_start_they_differ():
    """The control: the identity is not an accident of small networks."""
    _, (a, b), _ = trained_both_ways(SMALL, permuted_start=False)
    assert a.losses[0] != pytest.approx(b.losses[0], rel=1e-3)


# -- training ----------------------------------------------------------------------------------------------


def test_random_generators_stay_and_learned_ones_move():
    for model, moves in (("random", False), ("lconv", True)):
        settings = replace(SMALL, model=model)
        images = data.load(settings)
        network = models.build(settings, 0, 1, 10, 10)
        start = network.layers[0].matrices().detach().clone()
        experiment._fit(settings, [0], [network], images, QUIET)
        assert torch.equal(network.layers[0].matrices(), start) != moves


def test_official_accuracy_is_that_of_the_best_epoch():
    settings = replace(SMALL, model="cnn", epochs=6, lr=0.01, test="official")
    found = rows_of(settings)
    images = data.load(settings)
    best = max(found["accuracy"], key=found["accuracy"].get)
    assert best < 6, "or nothing is tried"
    again = models.build(settings, 0, 1, 10, 10)
    kept = experiment._fit(replace(settings, epochs=best, test="holdout"), [0], [again], images, QUIET)
    assert list(kept.validations[0].values())[-1] == found["accuracy"][best]
    official = accuracy(predict(again, images.test), images.test_labels)
    assert found["test_accuracy"][""] == pytest.approx(official)


def test_a_run_of_lconv_returns_every_metric():
    found = rows_of(replace(SMALL, test="official", pictures=True))
    known = {"control_rotation", *(f"captured_{name}" for name in readout.KNOWN)}
    assert set(found) >= {"parameters", "permutation", "step_seconds", "closure", "killing", *known}
    assert "parameters_released" in rows_of(replace(SMALL, model="random"))
    assert list(found["closure"]) == [0, 2]
    assert len(found["input"]) == len(found["flow_2_2"]) == 100
    assert len(found["eigenvalue_real"]) == 4
    assert found["permutation"][""] == data.load(SMALL).fingerprint
    assert "test_accuracy" not in rows_of(SMALL)


def test_symmetries_of_the_theorem_do_not_violate_its_condition():
    """H^(1/2) L' H^(-1/2) does not; random generators do by 0.71; of a run it is recorded if asked for."""
    images = data.load(SMALL)
    network = models.build(replace(SMALL, rank=0), 0, 1, 10, 10)
    h = readout.moments(images) + 1e-3 * torch.eye(100)
    values, vectors = torch.linalg.eigh(h)
    root, inverse = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
    drawn = torch.from_numpy(np.random.RandomState(0).standard_normal((2, 100, 100)))
    layer = network.layers[0].requires_grad_(False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readout, "moments", lambda _: h)
        for generators, expected in ((root @ (drawn - drawn.mT) @ inverse, 0), (drawn, math.sqrt(0.5))):
            layer.dense.copy_(generators)
            assert readout.covariance_row(network, images, 0).value == pytest.approx(expected, abs=0.03)
    assert set(rows_of(replace(SMALL, epochs=1, covariance=True))["covariance"]) == {0, 1}
    assert "covariance" not in rows_of(replace(SMALL, epochs=1))


def test_known_generators_follow_the_pixels():
    plain, scrambled = (data.load(replace(SMALL, variant=v)) for v in ("rotated", "rotated_scrambled"))
    image = plain.pool[0].flatten().double()
    for known, moved in zip(readout.known_generators(plain), readout.known_generators(scrambled)):
        order = scrambled.permutation
        torch.testing.assert_close((known @ image)[order], moved @ image[order])


def test_penalties_close_the_algebra():
    plain, penalized = (
        rows_of(replace(SMALL, generators=3, epochs=6, closure=w, killing=w))["closure"][6]
        for w in (0.0, 3.0)
    )
    assert penalized < plain - 0.05


# -- hidden symmetries -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hidden():
    """Similarity with the hidden and with plain rotation, and error at twice the angle; by kind and depth."""
    found = {}
    for kind, depth in (("rotation", 1), ("rotation", 8), ("scrambled", 8), ("other", 8), ("unrelated", 8)):
        settings = Settings(
            model="planted",
            hidden=kind,
            depth=depth,
            rank=0,
            turn=18.0,
            side=5,
            steps=150,
            lr=0.01,
            pairs=500,
        )
        rows = {(r.metric, r.step): r.value for r in planted.run(settings, [1], QUIET)[1]}
        found[kind, depth] = [rows["similarity", ""], rows["rotation_similarity", ""], rows["flow_error", 2]]
    return found


def test_a_hidden_rotation_is_found_also_if_scrambled(hidden):
    assert hidden["rotation", 8][0] > 0.97
    assert hidden["scrambled", 8][0] == pytest.approx(hidden["rotation", 8][0], abs=0.01)
    assert hidden["rotation", 8][0] > hidden["rotation", 1][0] + 0.03
    assert hidden["rotation", 8][2] < 0.25 < 0.4 < hidden["rotation", 1][2], "its scale is right, too"


def test_controls_do_not_show_the_rotation(hidden):
    assert hidden["scrambled", 8][1] < 0.3
    assert hidden["other", 8][0] > 0.97
    assert hidden["other", 8][1] < 0.3
    assert hidden["unrelated", 8][0] < 0.3


def test_the_notebooks_correlation():
    """Fact sheet, section 10: 0.27 for the regression on 7x7 images turned bilinearly by 18 degrees."""
    pixels = torch.eye(49, dtype=torch.float64)
    turned = prepare.rotate(pixels.view(49, 1, 7, 7), 18.0).flatten(1).T
    regression = (turned - pixels) / math.radians(18)
    assert planted.notebook_correlation(regression) == pytest.approx(0.27, abs=0.002)


def test_pairs_are_related_as_said():
    settings = Settings(model="planted", side=5, turn=30.0, pairs=8)
    problem = planted.pose(settings, 0)
    wanted = lie.act(problem.rotation, problem.x.double().view(8, 5, 5), math.radians(30))
    torch.testing.assert_close(problem.y.double(), wanted.flatten(1), atol=1e-6, rtol=1e-5)
    moved = planted.pose(replace(settings, hidden="scrambled"), 0)
    back = torch.argsort(moved.permutation)
    torch.testing.assert_close(moved.truth[back][:, back], problem.rotation)
    unrelated = planted.pose(replace(settings, hidden="unrelated"), 0)
    assert torch.equal(unrelated.y.sort(0).values, problem.y.sort(0).values)


def test_planted_returns_the_seeds_that_it_had_time_for():
    settings = Settings(model="planted", side=5, pairs=8, steps=1)
    context = Context(log=lambda line: object.__setattr__(context, "deadline", 0.0))  # after the first seed
    assert list(planted.run(settings, [3, 4, 5], context)) == [3]
    with pytest.raises(OutOfTime):
        planted.run(settings, [4, 5], context)


@pytest.mark.parametrize("experiment", ["theorem1", "planted", "propositions"])
def test_the_studies_do_not_take_a_precision(experiment):
    for run in config.load("lconv").experiment(experiment).runs("smoke"):
        assert precisions.of(run, None) == "float32"
        with pytest.raises(UserError, match="does not look at --precision"):
            precisions.of(run, "bf16")
    (network, *_) = config.load("lconv").experiment("figure4_mnist").runs("smoke")
    assert precisions.of(network, "bf16") == "bf16"
