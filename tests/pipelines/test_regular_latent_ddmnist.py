"""DDMNIST: pairs and how groups move them, the CNN, the loss of a pair, and what a training gives."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import shared.data
from pipelines.regular_latent import ddmnist, models, pairs
from pipelines.regular_latent.pair_loss import latent_errors, pair_loss, plain_loss, representation
from pipelines.regular_latent.settings import Settings
from shared.algebra.actions import act_image
from shared.base import paths
from shared.base.errors import UserError
from shared.data import prepare
from shared.nn import latent
from shared.runs.api import Context, OutOfTime

pytestmark = pytest.mark.usefixtures("here")

NAMES = ("C4", "D1", "D4")
TINY = {
    "dataset": "digits",
    "channels": 2,
    "train_per_class": 1,
    "validation_per_class": 1,
    "test_per_class": 1,
}
QUIET = Context(log=lambda line: None)


@pytest.fixture(scope="module")
def digits():
    return shared.data.load("digits", "train")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def some_pairs(count=6):
    """Smooth blobs off the center, so that nothing is symmetric and a blur changes little."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 28), torch.linspace(-1, 1, 28), indexing="ij")
    center = torch.rand(count, 2, 2, 1, 1, generator=generator()) * 0.8 - 0.4
    return torch.exp(-8 * ((x - center[:, :, 0]) ** 2 + 2 * (y - center[:, :, 1]) ** 2))


def test_every_number_is_drawn_equally_often(digits):
    images, labels = digits
    drawn, numbers = pairs.draw(images, labels, 3, generator())
    assert drawn.shape == (300, 2, 28, 28)
    assert torch.equal(numbers, torch.arange(100).repeat_interleave(3))
    known = {image.numpy().tobytes(): int(label) for image, label in zip(images[:, 0], labels)}
    for pair, number in zip(drawn, numbers.tolist()):
        left, right = (known[digit.numpy().tobytes()] for digit in pair)
        assert 10 * left + right == number


def test_pairs_are_drawn_with_replacement_and_by_seed(digits):
    images, labels = digits
    few = torch.cat([(labels == digit).nonzero()[:2, 0] for digit in range(10)])
    drawn, _ = pairs.draw(images[few], labels[few], 5, generator())
    assert len(drawn) == 500
    again, _ = pairs.draw(images[few], labels[few], 5, generator())
    other, _ = pairs.draw(images[few], labels[few], 5, generator(1))
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, other)


def test_what_is_no_digit_is_refused(digits):
    images, labels = digits
    with pytest.raises(UserError, match="28x28 gray images"):
        pairs.draw(images[..., :20], labels, 1, generator())
    with pytest.raises(UserError, match="ten digits"):
        pairs.draw(images[labels < 9], labels[labels < 9], 1, generator())


def test_the_canvas():
    x = pairs.compose(torch.stack([torch.ones(28, 28), torch.zeros(28, 28)])[None])
    assert x.shape == (1, 1, 56, 56)
    background, ink = -0.06535 / 0.55507, (1 - 0.06535) / 0.55507
    assert x[0, 0, :14].unique().item() == pytest.approx(background, abs=1e-4)
    assert x[0, 0, 42:].unique().item() == pytest.approx(background, abs=1e-4)
    assert x[0, 0, 14:42, :28].unique().item() == pytest.approx(ink, abs=1e-4)
    assert x[0, 0, 14:42, 28:].unique().item() == pytest.approx(background, abs=1e-4)


def test_rotation_is_counter_clockwise_as_everywhere():
    images = torch.rand(5, 28, 28, generator=generator())
    angles = torch.tensor([90.0, -30.0, 180.0, 10.0, 123.0])
    torch.testing.assert_close(
        pairs.rotate(images, angles), prepare.rotate(images[:, None], angles)[:, 0], atol=2e-5, rtol=0
    )


@pytest.mark.parametrize("name", NAMES)
def test_each_digit_moves_by_its_own_element(name):
    action, blobs = pairs.PairAction(name), some_pairs(1)
    order = action.of_digit.order
    assert action.group.order == order**2
    for g in range(order):
        for h in range(order):
            moved = action.exact(blobs, torch.tensor([g * order + h]))
            assert torch.equal(moved[0, 0], act_image(action.of_digit, g, blobs[0, 0]))
            assert torch.equal(moved[0, 1], act_image(action.of_digit, h, blobs[0, 1]))


@pytest.mark.parametrize("name", NAMES)
def test_pairs_move_as_their_group_multiplies(name):
    action, blobs = pairs.PairAction(name), some_pairs(1)
    n = action.group.order
    g, h = (part.flatten() for part in torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"))
    many = blobs.expand(n * n, -1, -1, -1)
    product = torch.as_tensor(action.group.table.copy())[g, h]
    assert torch.equal(action.exact(action.exact(many, h), g), action.exact(many, product))


@pytest.mark.parametrize("name", NAMES)
def test_the_net_move_of_an_augmentation_is_exact(name):
    action, blobs = pairs.PairAction(name), some_pairs(64)
    g = action.elements(64, generator())
    exact, moved = action.exact(blobs, g), action.augment(blobs, g, generator())
    away = (exact - blobs).abs().mean()
    assert (moved - exact).abs().mean() < 0.05 * away
    assert torch.equal(moved, exact) == (name == "D1")  # no artefact there


def test_as_released_digits_have_any_angle():
    released, blobs = pairs.PairAction("C4", undone=False), some_pairs(64)
    g = released.elements(64, generator())
    exact, moved = released.exact(blobs, g), released.augment(blobs, g, generator())
    assert (moved - exact).abs().mean() > 0.5 * (exact - blobs).abs().mean()


def test_clean_images():
    blobs = some_pairs()
    for name in ("C4", "D1"):
        assert torch.equal(pairs.PairAction(name).clean(blobs, generator()), blobs)
    twice = blobs[:, :1].expand(-1, 2, -1, -1)
    blurred = pairs.PairAction("D4").clean(twice, generator())
    assert torch.equal(blurred[:, 0], blurred[:, 1])  # one angle for both digits
    assert not torch.equal(blurred, twice)
    apart = pairs.PairAction("D4").blur(twice, generator())
    assert not torch.equal(apart[:, 0], apart[:, 1])


def test_parameters_and_latent():
    assert models.count_parameters(models.build(Settings(), 0)) == 33_742
    assert models.count_parameters(models.build(Settings(filters=48), 0)) == 31_240
    network = models.build(Settings(), 0).eval()
    x = torch.randn(2, 1, 56, 56)
    _, z = latent.tapped(network, models.LATENT, x)
    assert torch.equal(z, network.features(x)[:, :, 0, 0])
    sides = [y.shape[-1] for y in stages(network.features, x)]
    assert sides == [57, 55, 55, 27, 15, 7, 3, 3, 1, 1]


def stages(features, x):
    kinds = (nn.Upsample, nn.Conv2d, nn.AvgPool2d)
    for layer in features:
        x = layer(x)
        if isinstance(layer, kinds):
            yield x


def test_the_same_weights_with_and_without_the_method():
    """No parameter more than the baseline, and the same start (claim R8)."""
    plain, ours = (models.build(Settings(weight=weight), 3).state_dict() for weight in (0, 2))
    assert list(plain) == list(ours)
    assert all(torch.equal(plain[key], ours[key]) for key in plain)


class Correlating(nn.Module):
    """Entry (g, h) of its latent vector is how well the digits agree with two pictures moved by g and h."""

    def __init__(self, action, swapped=False):
        super().__init__()
        order = action.of_digit.order
        self.pictures = torch.rand(2, 28, 28, generator=generator(5), dtype=torch.float64)
        self.elements, self.of_digit, self.swapped = range(order), action.of_digit, swapped
        self.latent = nn.Identity()

    def forward(self, x):
        parts = [x[:, 0, 14:42, :28], x[:, 0, 14:42, 28:]]
        moved = [[act_image(self.of_digit, g, p) for g in self.elements] for p in self.pictures]
        left, right = (
            torch.stack([(part * one).sum((-2, -1)) for one in of], -1) for part, of in zip(parts, moved)
        )
        if self.swapped:
            left, right = right, left
        return self.latent((left[:, :, None] * right[:, None]).flatten(1)).sum(1, keepdim=True)


@pytest.mark.parametrize("name", NAMES)
def test_images_and_latent_vectors_are_moved_by_the_same_pairs(name):
    """For an equivariant encoder the error is rounding; with the digits exchanged it is not."""
    action, digits = pairs.PairAction(name), some_pairs(40).double()
    regular = latent.regular(action.group, action.group.order)
    g = action.elements(40, generator())
    images = (pairs.compose(digits), pairs.compose(action.exact(digits, g)))
    right = latent_errors(Correlating(action), {"latent_error": regular}, images, g)
    assert right["latent_error"] < 1e-12
    assert right["output_error"] < 1e-12
    assert latent_errors(Correlating(action, swapped=True), {"e": regular}, images, g)["e"] > 0.1


def a_step(**changes):
    """Settings, network, images, elements and labels of one step."""
    settings = Settings(**{**TINY, "weight": 2.0, **changes})
    action, network = pairs.PairAction(settings.group), models.build(settings, 0)
    digits = some_pairs(12)
    g = action.elements(12, generator())
    images = (pairs.compose(digits), pairs.compose(action.exact(digits, g)))
    return settings, action, network, images, g, torch.arange(12)


def test_the_loss_of_a_pair_is_the_papers():
    settings, action, network, images, g, labels = a_step(shifted=0.25)
    regular = representation(settings, action.group, settings.filters)
    found = pair_loss(settings, regular, network, images, g, labels)
    outputs = [latent.tapped(network, "latent", x) for x in images]
    tasks = [F.cross_entropy(logits, labels) for logits, _ in outputs]
    matrices = torch.as_tensor(regular.matrices()).float()[g]
    moved = (matrices @ outputs[0][1][:, :, None])[:, :, 0]
    wanted = 0.75 * tasks[0] + 0.25 * tasks[1] + 2 * F.mse_loss(moved, outputs[1][1])
    torch.testing.assert_close(found, wanted)


def test_switches_of_the_loss():
    settings, action, network, images, g, labels = a_step()
    regular = representation(settings, action.group, settings.filters)

    def loss(**changes):
        changed = a_step(**changes)[0]
        return pair_loss(changed, regular, network.train(), images, g, labels).item()

    both = loss()
    assert loss(shifted=0.0) != pytest.approx(both, rel=1e-4)
    assert loss(forwards="joint") != pytest.approx(both, rel=1e-4)  # one batch norm for both images
    assert loss(forwards="separate") == pytest.approx(both)
    none = a_step(representation="none")[0]
    assert representation(none, action.group, 66) is None
    alone = pair_loss(none, None, network, images, g, labels).item()
    assert alone == pytest.approx(sum(plain_loss(network, x, labels).item() for x in images) / 2)
    for name in ("trivial", "cosets", "shuffled", "wrong_group"):
        control = a_step(representation=name)[0]
        other = representation(control, action.group, 66)
        value = pair_loss(control, other, network, images, g, labels).item()
        assert value != pytest.approx(both, rel=1e-6)
        assert not torch.equal(other.table, regular.table)


@pytest.mark.parametrize("batch_size", [1, 99])
def test_a_batch_of_one_pair_is_refused(batch_size):
    with pytest.raises(UserError, match=r"100 images in batches of .* choose another batch_size"):
        ddmnist.run(Settings(**TINY, batch_size=batch_size), [0], QUIET)


def test_a_latent_vector_smaller_than_the_group_is_refused():
    with pytest.raises(UserError, match="48 entries and the group acting on it has 64"):
        Settings(**{**TINY, "group": "D4", "filters": 48, "weight": 1.0})
    assert Settings(**{**TINY, "group": "D4", "filters": 48}).elements == 64


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_it_learns(weight):
    """The loss of the method and of the CNN falls, and the method's latent vectors begin to move as asked."""
    changes = {
        "train_per_class": 1,
        "epochs": 5,
        "lr": 0.02,
        "batch_size": 25,
        "group": "D1",
        "weight": weight,
    }
    found = ddmnist.run(Settings(**{**TINY, **changes, "weight": weight, "orbit": True}), [0], QUIET)[0]
    losses = [row.value for row in found if row.metric == "train_loss"]
    assert losses[-1] < losses[0] - 0.3
    errors = {row.step: row.value for row in found if row.metric == "latent_error"}
    assert set(errors) == {0, 5}
    if weight:
        assert errors[5] < errors[0]
    names = {row.metric for row in found}
    assert {"accuracy", "accuracy_clean", "accuracy_orbit", "output_error", "parameters"} <= names


def test_both_systems_see_the_same_digits_and_a_seed_its_own():
    data = {}
    for weight, seed in ((0.0, 0), (1.0, 0), (0.0, 1)):
        settings = Settings(**TINY, weight=weight)
        training, (test,) = ddmnist._data(settings, [seed], pairs.PairAction("C4"), "cpu")
        data[weight, seed] = (training.images, test.clean, test.augmented)
    for one, same, other in zip(data[0.0, 0], data[1.0, 0], data[0.0, 1]):
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


def test_from_which_images_validation_pairs_come(digits):
    of_train = {image.numpy().tobytes() for image in digits[0][:, 0]}
    for split, wanted in (("test", False), ("train", True)):
        settings = Settings(**TINY, validation=split)
        training, _ = ddmnist._data(settings, [0], pairs.PairAction("C4"), "cpu")
        held = training.images[training.validation[0]].flatten(0, 1)
        assert all((digit.numpy().tobytes() in of_train) == wanted for digit in held)


def test_an_interrupted_training_goes_on_to_the_same_rows(tmp_path):
    settings = Settings(**{**TINY, "epochs": 2, "weight": 1.0})
    whole = ddmnist.run(settings, [0], QUIET)[0]
    path, ended = tmp_path / "state.pt", []

    def stop_after_one(line):
        ended.append(line)

    class Once:
        """A deadline that passes after the first epoch."""

        def __lt__(self, now):
            return bool(ended)

        def __gt__(self, now):
            return not ended

    with pytest.raises(OutOfTime):
        ddmnist.run(settings, [0], Context(checkpoint=path, deadline=Once(), log=stop_after_one))
    resumed = ddmnist.run(settings, [0], Context(checkpoint=path, log=ended.append))[0]
    assert any("resumed" in line for line in ended)
    timing = {"images_per_second"}
    assert [r for r in whole if r.metric not in timing] == [r for r in resumed if r.metric not in timing]


def test_the_example_of_the_readme_runs():
    text = (paths.pipeline("regular_latent") / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        names: dict = {}
        exec(compile(example, "README.md", "exec"), names)
    assert names["penalty"].item() > 0
    assert names["network"][1].weight.grad.abs().sum() > 0
    assert names["method"].move.size == 12
    lines = [line for line in example.splitlines() if "method" in line or "penalty" in line]
    assert len(lines) == 3
