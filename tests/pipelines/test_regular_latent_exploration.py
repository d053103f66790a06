"""The exploration of regular_latent: pairs, losses, networks, the null, and that each of the three learns."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipelines.regular_latent import experiment, exploration, exploration_networks, exploration_readout
from pipelines.regular_latent.exploration_study import pose, study
from pipelines.regular_latent.settings import Settings
from shared.base.errors import UserError
from shared.data import prepare
from shared.nn.learned_representations import LearnedRepresentation
from shared.runs import config
from shared.runs.api import Context, OutOfTime

pytestmark = pytest.mark.usefixtures("here")
QUIET = Context(log=lambda line: None)
TABLES = {"C2": "table1", "D3": "table2", "C4": "table3"}
GROUPS = pytest.mark.parametrize("group", TABLES)


def small(group: str, **changes: object) -> Settings:
    """The arm that is printed, on few embedded images."""
    run = config.load("regular_latent").experiment(TABLES[group]).runs("smoke")[0]
    return replace(run.settings, **changes)


def null(group: str, **changes: object) -> Settings:
    return small(group, kind="null", dataset="", steps=30, **changes)


def rows_of(settings: Settings, seed: int = 0, context: Context = QUIET) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for row in experiment.run(settings, [seed], context)[seed]:
        found.setdefault(row.metric, {})[row.step] = row.value
    return found


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stored(group: str, count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    images = exploration.load(small(group), [0], "cpu")
    rows = torch.arange(count) % len(images.pool)
    return images.pool[rows], images.labels[rows]


# -- networks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "encoder", "head", "matrices"),
    [("C2", 184_716, 184_675, 1_764), ("D3", 570_014, 570_768, 1_800), ("C4", 168_096, 650, 4_096)],
)
def test_the_networks_have_the_papers_parameters(group: str, encoder: int, head: int, matrices: int) -> None:
    settings = small(group)
    network = exploration_networks.build(settings, study(settings), seed=0)
    parts = (network.encoder, network.head, network.representation)
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [encoder, head, matrices]
    images, _ = stored(group, 2)
    pair = study(settings).pairs(images, random())
    code = network.encoder(pair.images)
    assert code.shape == (2, settings.latent)
    assert network.head(code).shape == ((2, 10) if group == "C4" else pair.images.shape)


# -- pairs -------------------------------------------------------------------------------------------------


def test_poses_are_turned_counter_clockwise_and_scaled() -> None:
    images = torch.rand(4, 2, 28, 28, generator=random())
    angles = torch.tensor([30.0, -77.0, 120.0, 250.0])
    assert torch.allclose(pose(images, angles, torch.ones(4)), prepare.rotate(images, angles), atol=1e-4)
    block = torch.zeros(1, 1, 28, 28)
    block[..., 9:19, 9:19] = 1
    larger = pose(block, torch.zeros(1), torch.full((1,), 1.2), "nearest")
    assert larger.sum() == 12 * 12
    assert set(pose(block, torch.full((1,), 20.0), torch.ones(1), "nearest").unique().tolist()) == {0, 1}


def test_a_glyph_and_its_other_typeface_are_posed_alike() -> None:
    images, _ = stored("C2")
    explored = study(small("C2"))
    pair = explored.pairs(images, random())
    alike = explored.pairs(images[:, :1].expand(-1, 2, -1, -1), random())
    assert torch.equal(alike.images, alike.moved)
    assert not torch.equal(pair.images, pair.moved)
    first = exploration.load(small("C2"), [0], "cpu").pool[:1].expand(60, -1, -1, -1)
    light = explored.pairs(first, random()).images.mean((1, 2, 3))
    bright = first.float().mean((0, 2, 3)) / 255
    assert (light > bright.mean()).float().mean() == pytest.approx(0.5, abs=0.25), (
        "either typeface comes first"
    )


def test_digits_are_mirrored_or_turned_clockwise() -> None:
    images, _ = stored("D3", 200)
    explored = study(small("D3"))
    assert explored.words == ((2,), (1,), (1, 1))
    pair = explored.pairs(images, random())
    for number, word in enumerate(explored.words):
        rows = pair.which == number
        assert rows.sum() > 20
        want = pair.images[rows]
        for letter in reversed(word):  # a word acts from the right
            want = want.flip(-1) if letter == 2 else prepare.rotate(want, -120.0)
        if len(word) == 2:  # turned once by 240 degrees, not twice
            want = prepare.rotate(pair.images[rows], -240.0)
        assert torch.allclose(pair.moved[rows], want, atol=1e-4)
    mirrored = (pair.images != images.float() / 255).flatten(1).any(1)
    assert 0.3 < mirrored.float().mean() < 0.7


def test_at_60_degrees_r_has_order_6_on_images() -> None:
    explored = study(small("D3", degrees=60.0))
    assert [len(word) for word in explored.words] == [1, 1, 2, 3, 4, 5]
    images, _ = stored("D3", 400)
    pair = explored.pairs(images, random())
    assert set(pair.which.tolist()) == set(range(6))
    rows = pair.which == 3  # r^3, a half turn
    assert torch.allclose(pair.moved[rows], pair.images[rows].rot90(2, (-2, -1)), atol=1e-4)
    small_gap, large_gap = (exploration_readout.input_relator(images, angle) for angle in (120.0, 60.0))
    assert 0 < small_gap < 0.2 * large_gap


def test_pictures_are_turned_by_exact_quarters() -> None:
    images, _ = stored("C4", 90)
    pair = study(small("C4")).pairs(images, random())
    assert set(pair.which.tolist()) == {0, 1, 2}
    for image, moved, which in zip(*pair):
        assert torch.equal(moved, image.rot90(int(which) + 1, (-2, -1)))
    assert pair.images.min() == -1
    assert pair.images.max() == 1


def test_eighteen_glyphs_leave_out_zero() -> None:
    images = exploration.load(small("C2", glyphs=18), [0], "cpu")
    assert images.labels.tolist() == list(range(1, 10))
    assert set(torch.cat([images.train[0], images.validation[0]]).tolist()) == set(range(9))


def test_training_and_validation_are_divided_by_seed() -> None:
    settings = small("D3", train_images=1000, validation_images=297)
    images = exploration.load(settings, [0, 1], "cpu")
    for train, validation in zip(images.train, images.validation):
        assert set(train.tolist()) | set(validation.tolist()) == set(range(1297))
    assert not torch.equal(images.train[0], images.train[1])


def test_the_released_classifier_is_tested_on_training_images() -> None:
    images = exploration.load(small("C4", tested="train"), [0], "cpu")
    assert torch.equal(images.test, images.pool[: len(images.test)])
    assert not torch.equal(exploration.load(small("C4"), [0], "cpu").test, images.test)


# -- losses ------------------------------------------------------------------------------------------------


@GROUPS
def test_without_latent_loss_the_output_loss_is_the_task_loss_of_the_moved_image(group: str) -> None:
    """The footnote of section 4: L3 = 0 makes L2 the shifted task loss."""
    settings = small(group)
    explored = study(settings)
    network = exploration_networks.build(settings, explored, seed=0)
    with torch.no_grad():
        network.representation.matrices.copy_(torch.eye(settings.latent))
    blank = torch.full_like(stored(group)[0], 255)  # moved into itself by C4 and by the swap of typefaces
    if group == "D3":
        blank.zero_()
    labels = torch.arange(len(blank)) % 10
    with torch.no_grad():
        parts = exploration.losses(network, settings, explored, blank, labels, random())
    assert parts.latent < 1e-10
    assert torch.allclose(parts.output, parts.task, rtol=1e-5)


@GROUPS
def test_the_losses_are_those_of_the_paper(group: str) -> None:
    """Each part written out once more, from the same pairs."""
    settings = small(group)
    explored = study(settings)
    network = exploration_networks.build(settings, explored, seed=1)
    images, labels = stored(group)
    with torch.no_grad():
        parts = exploration.losses(network, settings, explored, images, labels, random(5))
        pair = explored.pairs(images, random(5))
        code, moved = network.encoder(pair.images), network.encoder(pair.moved)
        matrices = [network.representation.evaluate(word) for word in explored.words]
        acted = torch.stack([matrices[k] @ z for k, z in zip(pair.which.tolist(), code)])
        head = network.head
        if group == "C4":
            task = (F.cross_entropy(head(code), labels) + F.cross_entropy(head(moved), labels)) / 2
            output = F.cross_entropy(head(acted), labels)
        else:
            task = F.mse_loss(head(code), pair.images)
            if group == "D3":
                task = (task + F.mse_loss(head(moved), pair.moved)) / 2
            output = F.mse_loss(head(acted), pair.moved)
        latent = F.mse_loss(acted, moved)
    for found, want in ((parts.task, task), (parts.output, output), (parts.latent, latent)):
        assert torch.allclose(found, want, rtol=1e-4)
    weights = {"C2": (0.025, 0.475), "D3": (0.495, 0.005), "C4": (0.25, 0.25)}[group]
    want = task + weights[0] * output + weights[1] * latent
    assert torch.allclose(exploration.total(parts, settings), want, rtol=1e-4)


@GROUPS
def test_the_weights_of_the_relations(group: str) -> None:
    settings = small(group)
    explored = study(settings)
    network = exploration_networks.build(settings, explored, seed=0)
    w, one = network.representation.matrices.detach(), torch.eye(settings.latent)
    gap = lambda a, b: float((a - b).square().mean())  # noqa: E731
    power = torch.linalg.matrix_power
    if group == "D3":
        r, s = w
        each = [gap(power(r, 3), one), gap(s @ s, one), gap(r @ s @ r @ s, one)]
        want = 0.25 * each[0] + 0.25 * each[1] + 0.05 * each[2]
        plain = 0.25 * sum(each)
    else:
        n = {"C2": 2, "C4": 4}[group]
        plain = gap(power(w[0], n), one)
        want = plain + gap(power(w[0], n - 1), torch.linalg.inv(w[0]))
    assert exploration.relations(network, settings).item() == pytest.approx(want, rel=1e-3)
    without = replace(settings, omega=False)
    assert exploration.relations(network, without).item() == pytest.approx(plain, rel=1e-3)


def test_two_more_softmaxes_flatten_the_loss() -> None:
    logits, labels = 50 * F.one_hot(torch.arange(10), 10).float(), torch.arange(10)
    assert exploration._entropy(logits, labels, small("C4")) < 1e-6
    flat = exploration._entropy(logits, labels, small("C4", softmax="released"))
    assert 2.17 < flat < 2.18, "certain and right, not far below log 10 = 2.30 of a guess"


def test_the_adaptive_weight_follows_the_error() -> None:
    settings = small("C4", adaptive=True)
    network = exploration_networks.build(settings, study(settings), seed=0)
    for _ in range(2):
        exploration._adapt(network)
    assert float(network.pull) == pytest.approx(1.21)
    with torch.no_grad():
        network.representation.matrices.copy_(torch.eye(64))
    for _ in range(3):
        exploration._adapt(network)
    assert float(network.pull) == 1, "never below where it began"


# -- runs --------------------------------------------------------------------------------------------------


@GROUPS
def test_each_learns(group: str) -> None:
    changes = {"C2": {"train_images": 320}, "D3": {"train_images": 512}, "C4": {"train_images": 384}}[group]
    settings = small(group, validation_images=64, test_images=64, epochs=4, **changes)
    rows = rows_of(settings, seed=1)
    losses = list(rows["train_loss"].values())
    assert losses[-1] < 0.8 * losses[0]
    assert rows["path_algebra_loss"][max(rows["path_algebra_loss"])] < rows["path_algebra_loss"][0]
    counted = sum(rows[f"root_{k}"][""] for k in range({"C2": 2, "D3": 3, "C4": 4}[group]))
    assert counted == settings.latent
    sizes = {"C2": (1, 1), "D3": (1, 1, 2), "C4": (1, 2, 1)}[group]
    for kind in ("character", "class"):
        found = [rows[f"{kind}_{name}"][""] for name in study(settings).names]
        assert np.dot(found, sizes) == pytest.approx(settings.latent), "the trace of the identity"
    assert rows["best_epoch"][""] <= rows["epochs"][""] == 4
    best = min(rows["validation_loss"].values())
    assert rows["validation_loss"][rows["best_epoch"][""]] == best


def test_the_first_digits_are_reconstructed() -> None:
    """The autoencoder of glyphs learns its task, not only the matrices' relations."""
    settings = small("C2", train_images=640, validation_images=32, test_images=64, epochs=4, pictures=True)
    rows = rows_of(settings)
    pictures = {name: np.array(list(values.values())) for name, values in rows.items() if name[:5] == "glyph"}
    assert len(pictures) == 8
    assert all(
        picture.shape == (784,) and 0 <= picture.min() <= picture.max() <= 1 for picture in pictures.values()
    )
    blank = np.mean(pictures["glyph_0_input"] ** 2)
    assert rows["task_loss"][""] < 0.9 * blank


@GROUPS
def test_the_null_begins_where_the_data_do_and_sees_none(group: str) -> None:
    ours, alone = rows_of(small(group), seed=3), rows_of(null(group), seed=3)
    starts = [name for name in alone if name.startswith("start_")]
    assert len(starts) > 6
    for name in starts:
        assert ours[name] == alone[name]
    assert rows_of(null(group), seed=3) == alone
    assert rows_of(null(group), seed=4)["start_character_trivial"] != alone["start_character_trivial"]
    assert "train_loss" not in alone
    assert null(group).datasets() == ()
    assert alone["path_algebra_loss"][30] < alone["path_algebra_loss"][0]


@GROUPS
def test_the_null_stays_near_a_start_far_from_regular(group: str) -> None:
    settings = null(group, start="far", noise=0.02)
    rows = rows_of(replace(settings, steps=200))
    want = study(settings).far
    found = [rows[f"character_{name}"][""] for name in study(settings).names]
    assert found == pytest.approx(want, abs=0.2)
    assert rows["start_regular_distance"][""] > 7
    assert rows["regular_distance"][""] > 7


def test_the_path_is_kept_as_often_as_the_paper_keeps_it() -> None:
    kept = exploration_networks.kept_steps(9000)
    assert kept == [*range(0, 2001, 100), 4000, 6000, 8000]
    assert [exploration_networks.kept_number(step) for step in kept] == list(range(24))
    rows = rows_of(replace(null("C2", pictures=True), steps=210))
    assert list(rows["path_real_0"]) == [0, 100, 200]
    start = exploration_networks.start(null("C2"), study(null("C2")), 0)
    values = np.sort_complex(np.linalg.eigvals(start[0].double().numpy()))
    first = np.sort_complex([rows[f"path_real_{k}"][0] + 1j * rows[f"path_imag_{k}"][0] for k in range(42)])
    assert np.abs(values.real - first.real).max() < 1e-3
    assert "path_real_0" not in rows_of(replace(null("C2", pictures=True), steps=100), seed=1)


@pytest.mark.parametrize("kind", ["exploration", "null"])
def test_a_run_that_was_ended_goes_on_to_the_same_rows(tmp_path: Path, kind: str) -> None:
    settings = small("D3", epochs=3, train_images=128)
    if kind == "null":
        settings = null("D3", pictures=True)
        settings = replace(settings, steps=1206)  # three blocks
    whole = rows_of(settings)
    lines = []

    class Enough(Exception):
        pass

    def stop(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:  # the state of the first epoch is safe by now
            raise Enough

    checkpoint = tmp_path / "state.pt"
    with pytest.raises(Enough):
        rows_of(settings, context=Context(log=stop, checkpoint=checkpoint))
    late = Context(log=lambda line: None, checkpoint=checkpoint, deadline=time.monotonic() - 1)
    with pytest.raises(OutOfTime):
        rows_of(settings, context=late)
    parts = rows_of(settings, context=Context(log=lines.append, checkpoint=checkpoint))
    assert lines[2].startswith("resumed after epoch 1")
    for rows in (whole, parts):
        rows.pop("images_per_second", None)
    assert list(parts) == list(whole)
    assert [name for name in whole if parts[name] != whole[name]] == []


# -- what cannot be ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"latent": 1}, "C2 needs 2 or more"),
        ({"latent": 7}, "an even number"),
        ({"glyphs": 19}, "choose 20 or 18"),
        ({"degrees": 90.0}, "120 or 60"),
        ({"noise": 0.1}, "set noise to 0"),
        ({"train_images": 0}, "set them to 1 or more"),
        ({"test_images": -1}, "it must be 0 or more"),
        ({"lr": float("nan")}, "it must be positive"),
        ({"start": "close"}, "unknown start"),
        ({"group": "C3"}, "unknown group of exploration"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        replace(small("C2"), **changes)


def test_too_few_images_and_a_start_of_another_size() -> None:
    with pytest.raises(UserError, match="digits has 1297 images in its train split, not 1532"):
        experiment.run(small("D3", train_images=1500), [0], QUIET)
    with pytest.raises(UserError, match=r"D3 is explored on .1, 28, 28."):
        experiment.run(small("D3", dataset="shapes"), [0], QUIET)
    with pytest.raises(UserError, match="set latent to 42"):
        experiment.run(null("C2", start="far", latent=40), [0], QUIET)


def test_matrices_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="square matrix for each of its 2 generators"):
        LearnedRepresentation(study(small("D3")).presentation, torch.eye(30)[None])
