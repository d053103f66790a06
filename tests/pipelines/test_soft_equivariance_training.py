"""Data, training and tests of the soft equivariance paper."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from pipelines.soft_equivariance import data, experiment, models, training
from pipelines.soft_equivariance.exact import draw_biases
from pipelines.soft_equivariance.settings import Settings
from shared.base.errors import UserError
from shared.runs import config
from shared.runs.api import Context, OutOfTime
from shared.train import FitSettings

pytestmark = pytest.mark.usefixtures("here")

QUIET = Context(log=lambda line: None)


def smoke(name: str, arm: str, **changes) -> Settings:
    return replace(config.load("soft_equivariance").experiment(name).settings_of(arm, "smoke"), **changes)


def values(settings: Settings, context: Context = QUIET, seed: int = 0) -> dict[tuple, float]:
    rows = experiment.run(settings, [seed], context)[seed]
    return {(row.metric, row.step): row.value for row in rows if "second" not in row.metric}


def of(found: dict[tuple, float], metric: str) -> dict:
    return {step: value for (name, step), value in found.items() if name == metric}


def test_training_and_validation_images_are_parts_of_one_permutation():
    settings = smoke("steps_cifar10", "soft")
    images = data.load(settings)
    rows = torch.cat([images.train, images.validation]).tolist()
    assert (len(images.train), len(images.validation), len(images.test)) == (24, 8, 16)
    assert len(set(rows)) == 32
    every = data.load(replace(settings, train_images=0))
    assert torch.equal(every.train[:24], images.train)
    assert torch.equal(every.validation, images.validation)
    assert not torch.equal(data.load(replace(settings, split_seed=43)).train, images.train)


def test_sizes_of_the_papers_splits(monkeypatch):
    sizes = {"train": 50_000, "test": 10_000}
    monkeypatch.setattr(
        "shared.data.load",
        lambda name, split: (torch.zeros(sizes[split], 3, 1, 1), torch.zeros(sizes[split])),
    )
    images = data.load(Settings())
    assert (len(images.train), len(images.validation), len(images.test)) == (45_000, 5_000, 10_000)
    assert len(set(images.train.tolist() + images.validation.tolist())) == 50_000


def test_inputs_are_standardized_with_the_constants_of_the_data_set():
    images = data.load(smoke("steps_cifar10", "soft", train_images=0))
    x = images.plain(images.pool[images.train])
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)
    mean, std = data.STANDARDS["cifar100"]
    assert (mean[0], std[2]) == (0.49137, 0.26157)


def test_augmented_images_are_mirrored_and_moved_by_up_to_four_pixels():
    images = data.load(smoke("steps_cifar10", "soft"))
    image = torch.arange(1, 145, dtype=torch.uint8).view(1, 1, 12, 12).expand(400, 3, -1, -1).contiguous()
    moved = images.augmented(image, torch.Generator().manual_seed(0)) * images.std + images.mean
    moved = (255 * moved).round().long()[:, 0]
    plain, mirrored = image[0, 0].long(), image[0, 0].flip(-1).long()
    kinds = set()
    for one in moved:
        padded = [torch.nn.functional.pad(base, (4, 4, 4, 4)) for base in (plain, mirrored)]
        found = [
            (flip, r, c)
            for flip, base in enumerate(padded)
            for r in range(9)
            for c in range(9)
            if torch.equal(base[r : r + 12, c : c + 12], one)
        ]
        assert len(found) == 1
        kinds.add(found[0])
    assert {flip for flip, _, _ in kinds} == {0, 1}
    assert {r for _, r, _ in kinds} == {c for _, _, c in kinds} == set(range(9))


def test_sixes_come_with_their_half_turns_in_the_same_part():
    images = data.load(smoke("table3", "strict", train_images=0))
    for rows in (images.train, images.validation):
        upright, turned = images.pool[rows].unflatten(0, (-1, 2)).unbind(1)
        assert torch.equal(turned, upright.rot90(2, (-2, -1)))
        assert torch.equal(images.labels[rows], torch.arange(len(rows)) % 2)
    assert torch.equal(images.test[1], images.test[0].rot90(2, (-2, -1)))


def test_the_rate_rises_for_a_sixtieth_of_the_training_and_falls_to_zero():
    settings = Settings()
    how = FitSettings(
        epochs=settings.epochs,
        lr=settings.lr,
        schedule=settings.schedule,
        warmup_epochs=settings.warmup * settings.epochs,
    )
    assert how.rate(5 * 704 - 1, 704) == pytest.approx(1e-3)
    assert how.rate(352, 704) == pytest.approx(1e-3 * 353 / (5 * 704))
    assert how.rate(300 * 704 - 1, 704) < 1e-9


def test_the_loss_has_the_prior_on_omega_and_the_norms_of_the_kernels():
    settings = smoke("table4_reduced", "n4_1", penalty=2.0, kernel_norm=0.5)
    images = data.load(settings)
    network = models.build(settings, 0, 3, 12, images.classes).eval()
    network.keep_norms()
    stored, labels = images.pool[:8], images.labels[:8]

    def loss(changed: Settings) -> torch.Tensor:
        network.seed([torch.Generator().manual_seed(0)])
        return training._loss(changed, images)(network, stored, labels, torch.Generator())

    plain = loss(replace(settings, penalty=0.0, kernel_norm=0.0))
    network.zero_grad()
    prior = loss(replace(settings, kernel_norm=0.0))
    assert (prior - plain).item() == pytest.approx(2.0 * 6 * 9, rel=1e-5)  # six layers at omega' = 3
    (prior - plain).backward()
    omega = network.layers["last"].network.omega_angle
    assert omega.grad.item() == pytest.approx(2 * 2.0 * 3, rel=1e-4)
    norms = loss(replace(settings, penalty=0.0))
    layers = [*network.layers.values(), *network.shortcuts.values()]
    assert len(layers) == 8
    assert (norms - plain).item() == pytest.approx(
        0.5 * sum(float(layer.kernel_norm) for layer in layers), rel=1e-4
    )
    assert float(layers[0].kernel_norm) > 0


def test_a_large_penalty_draws_a_learned_omega_towards_zero():
    free, drawn = (values(smoke("table4_reduced", f"n4_{penalty}", lr=0.05)) for penalty in ("0", "50"))
    for layer in models.LAYERS:
        start, end = of(drawn, f"omega_{layer}").values()
        assert start == 3
        assert abs(end) < abs(list(of(free, f"omega_{layer}").values())[1])


def test_intervals_learn_with_a_rate_of_their_own():
    found = values(smoke("table2_reduced", "partial_n4_cifar10", interval_rate=1e-9))
    assert all(list(of(found, f"interval_{layer}").values()) == [1, 1] for layer in models.LAYERS[1:])
    found = values(smoke("table2_reduced", "partial_n4_cifar10", interval_rate=100, schedule="constant"))
    assert all(list(of(found, f"interval_{layer}").values())[1] != 1 for layer in models.LAYERS[1:])


def test_a_network_is_tested_with_several_draws_of_angles_if_it_has_any():
    soft = values(smoke("steps_cifar10", "soft", draws=4))
    assert list(of(soft, "draw_accuracy")) == [0, 1, 2, 3]
    mean = sum(of(soft, "draw_accuracy").values()) / 4
    assert soft["test_accuracy", ""] == pytest.approx(mean)
    assert list(of(values(smoke("steps_cifar10", "strict", draws=4)), "draw_accuracy")) == [0]


def test_all_batches_of_a_test_share_one_draw(monkeypatch):
    settings = smoke("table3", "strict", kernel_net="released", hidden=16, channels=(6, 6), test_images=0)
    images = data.load(settings)
    network = draw_biases(models.build(settings, 0, 1, 12, 2), 0)
    monkeypatch.setattr(training, "CHUNK", 3)  # parts pairs
    for draw in range(3):
        network.seed([torch.Generator().manual_seed(draw)])
        assert training._accuracy(network, images, images.test, images.test_labels) == 50


def test_the_candidate_that_is_best_on_validation_images_is_tested(monkeypatch):
    scores = {1.0: 20.0, 2.0: 60.0, 3.0: 60.0, 4.0: 10.0, 5.0: 30.0}
    real, seen = training._train, []

    def train(settings, *rest):
        network, start, result = real(settings, *rest)
        seen.append(settings.omega_rotation)
        result.validations[0] = {1: scores[settings.omega_rotation]}
        return network, start, result

    monkeypatch.setattr(training, "_train", train)
    found = values(smoke("table2", "soft_n4_cifar10"))
    assert seen == list(scores)
    assert found["chosen_omega", ""] == 2
    assert of(found, "candidate_validation_accuracy") == scores
    assert of(found, "omega_last")[0] == 2


def test_a_training_that_was_interrupted_goes_on_to_the_same_numbers(tmp_path):
    settings = smoke("steps_cifar10", "soft", epochs=4)
    expected = values(settings)
    file = tmp_path / "run.pt"
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        values(settings, Context(log=stop, checkpoint=file))
    assert list(tmp_path.iterdir())
    log: list[str] = []
    assert values(settings, Context(log=log.append, checkpoint=file)) == expected
    assert log[0].startswith("resumed after epoch 1")


def test_when_time_is_up_finished_seeds_are_returned(monkeypatch):
    settings = smoke("steps_cifar10", "taps")
    with pytest.raises(OutOfTime):
        experiment.run(settings, [0, 1], Context(log=lambda line: None, deadline=time.monotonic() - 1))
    real = training._chosen

    def one_only(settings, seed, *rest):
        if seed:
            raise OutOfTime("time is up")
        return real(settings, seed, *rest)

    monkeypatch.setattr(training, "_chosen", one_only)
    assert list(experiment.run(settings, [0, 1], QUIET)) == [0]


def test_the_effect_of_a_turn_is_zero_for_equal_and_two_for_opposite_answers():
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    assert training.change(logits, logits) == 0
    assert training.change(logits, -logits) == pytest.approx(2)
    constant = torch.ones(8, 5)
    assert training.change(constant, constant + 1e-7 * torch.randn(8, 5)) == 0


def test_a_data_set_without_sixes_or_with_too_few_images_is_refused():
    with pytest.raises(UserError, match="no class 6"):
        data.load(smoke("table3", "strict", dataset="shapes"))
    with pytest.raises(UserError, match="lower train_images"):
        data.load(smoke("steps_cifar10", "taps", train_images=5000))
    with pytest.raises(UserError, match="lower test_images"):
        data.load(smoke("steps_cifar10", "taps", test_images=5000))
