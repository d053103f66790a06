"""Train and test on DDMNIST: Table 4, its controls, and the defects of the released code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

import shared.data
from pipelines.regular_latent import models, pairs
from pipelines.regular_latent.pair_loss import BATCH, latent_errors, pair_loss, plain_loss, representation
from pipelines.regular_latent.settings import Settings
from pipelines.regular_latent.training import check_batches, curves, how
from shared.nn import latent
from shared.nn.train_mode import restored_modes
from shared.runs.api import Context, Row
from shared.train import TrainingSet, fit, guesses, precision
from shared.train.session import Loss

#: Random streams of a run beside those of the engine.
STREAMS = ("train", "validation", "clean", "augmented", "errors", "orbit")
#: Test pairs whose errors of equivariance are measured, and elements that an orbit is averaged over, at most.
MEASURED, ORBIT = 1000, 16
#: One augmentation of the validation pairs for all epochs, so that epochs are compared on the same images.
VALIDATION_SEED = 5_000_011


@dataclass
class Test:
    """Digits to test on, (count, 2, 28, 28) in [0, 1], as they are and moved as in training; their labels."""

    clean: Tensor
    clean_labels: Tensor
    augmented: Tensor
    augmented_labels: Tensor


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Train one arm with several seeds and test it on pairs that each seed draws itself.

    Rows: ``parameters``; ``train_loss`` and ``validation_accuracy`` by epoch; of the best epoch ``accuracy``
    (augmented test pairs, as in the paper's Table 4, in parts of 1), ``accuracy_clean``, and if asked for
    ``accuracy_orbit`` (predictions averaged over the moved copies of an augmented pair, or 16 of them);
    before (step 0) and after training ``output_error``, of the cnn also ``latent_error`` (by the regular
    representation) and ``asked_error`` (by the one it is trained with; the regular one if with none):
    `pair_loss.latent_errors`. ``images_per_second``: pairs.

    Raises:
        UserError: if the data set is none of digits, a batch would have one image, or the training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    check_batches(settings, 100 * settings.train_per_class)
    action = pairs.PairAction(settings.group, settings.rotation == "undone")
    networks = [models.build(settings, seed) for seed in seeds]
    data, tests = _data(settings, seeds, action, context.device)
    errors = [
        _errors(settings, network.to(context.device), action, test, 0)
        for network, test in zip(networks, tests)
    ]
    trained = fit(networks, data, how(settings, context), seeds, **context.training())
    rows = {}
    for index, seed in enumerate(seeds):
        network, test = networks[index], tests[index]
        epochs = len(trained.losses[index])
        rows[seed] = [
            *curves(network, trained, index),
            *_accuracies(settings, network, action, test),
            *errors[index],
            *_errors(settings, network, action, test, epochs),
            Row("images_per_second", "", trained.images_per_second),
        ]
    return rows


def _data(
    settings: Settings, seeds: Sequence[int], action: pairs.PairAction, device: str
) -> tuple[TrainingSet, list[Test]]:
    """Pairs of all seeds one after the other; what is trained on and validated is moved when it is used."""
    train, test = (shared.data.load(settings.dataset, split) for split in ("train", "test"))
    held = test if settings.validation == "test" else train
    stored, labels, tests = [], [], []
    for seed in seeds:
        random = {name: _generator(seed, name) for name in STREAMS}
        for split, name, count in (
            (train, "train", settings.train_per_class),
            (held, "validation", settings.validation_per_class),
        ):
            drawn = pairs.draw(*split, count, random[name])
            stored.append(drawn[0])
            labels.append(drawn[1])
        tests.append(_test(settings, test, action, random, device))
    fit_count, held_count = 100 * settings.train_per_class, 100 * settings.validation_per_class
    starts = [index * (fit_count + held_count) for index in range(len(seeds))]
    training = TrainingSet(
        torch.cat(stored).to(device),
        torch.cat(labels).to(device),
        [torch.arange(start, start + fit_count) for start in starts],
        validation=[torch.arange(start + fit_count, start + fit_count + held_count) for start in starts],
        loss=training_loss(settings, action),
        score=lambda network, digits, classes: _validation(network, digits, classes, action),
    )
    return training, tests


def _generator(seed: int, name: str, device: str = "cpu") -> Generator:
    return torch.Generator(device).manual_seed(7_000_003 * (1 + STREAMS.index(name)) + seed)


def _test(
    settings: Settings,
    split: tuple[Tensor, Tensor],
    action: pairs.PairAction,
    random: dict[str, Generator],
    device: str,
) -> Test:
    """Two draws, as in the released code; moved on the CPU, so that each device tests the same images."""
    clean, clean_labels = pairs.draw(*split, settings.test_per_class, random["clean"])
    moved, moved_labels = pairs.draw(*split, settings.test_per_class, random["augmented"])
    g = action.elements(len(moved), random["augmented"])
    digits = (
        action.clean(pairs.pixels(clean), random["clean"]),
        clean_labels,
        action.augment(pairs.pixels(moved), g, random["augmented"]),
        moved_labels,
    )
    return Test(*(part.to(device) for part in digits))


def training_loss(settings: Settings, action: pairs.PairAction) -> Loss:
    """The training loss as `shared.train.TrainingSet` takes it."""
    wanted = representation(settings, action.group, settings.filters) if settings.weight else None

    def loss(network: nn.Module, stored: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        first = action.augment(pairs.pixels(stored), action.elements(len(stored), generator), generator)
        if not settings.weight:
            return plain_loss(network, pairs.compose(first), labels)
        g = action.elements(len(stored), generator)
        images = (pairs.compose(first), pairs.compose(action.augment(first, g, generator)))
        return pair_loss(settings, wanted, network, images, g, labels)

    return loss


def _validation(network: nn.Module, stored: Tensor, labels: Tensor, action: pairs.PairAction) -> float:
    """Accuracy on moved validation pairs."""
    random = torch.Generator(stored.device).manual_seed(VALIDATION_SEED)
    right = 0
    for digits, classes in zip(stored.split(BATCH), labels.split(BATCH)):
        g = action.elements(len(digits), random)
        moved = action.augment(pairs.pixels(digits), g, random)
        right += (guesses(network(pairs.compose(moved))) == classes).sum().item()
    return right / len(stored)


@torch.no_grad()
def _accuracies(settings: Settings, network: nn.Module, action: pairs.PairAction, test: Test) -> list[Row]:
    with restored_modes(network), precision("float32", test.clean.device):
        network.eval()
        found = {
            "accuracy": _accuracy(network, test.augmented, test.augmented_labels),
            "accuracy_clean": _accuracy(network, test.clean, test.clean_labels),
        }
        if settings.orbit:
            found["accuracy_orbit"] = _orbit(network, action, test)
    return [Row(name, "", value) for name, value in found.items()]


def _accuracy(network: nn.Module, digits: Tensor, labels: Tensor) -> float:
    answers = [guesses(network(pairs.compose(part))) for part in digits.split(BATCH)]
    return (torch.cat(answers) == labels).float().mean().item()


def _orbit(network: nn.Module, action: pairs.PairAction, test: Test) -> float:
    """Accuracy of mean probabilities over moved copies: all of them, or 16, the unmoved one among them."""
    chosen = [0, *(1 + torch.randperm(action.group.order - 1, generator=_generator(0, "orbit"))).tolist()]
    right = 0
    for digits, labels in zip(test.augmented.split(BATCH), test.augmented_labels.split(BATCH)):
        mean = 0
        for element in chosen[:ORBIT]:
            g = torch.full((len(digits),), element, device=digits.device)
            mean = mean + network(pairs.compose(action.exact(digits, g))).softmax(1)
        right += (guesses(mean) == labels).sum().item()
    return right / len(test.augmented)


def _errors(
    settings: Settings, network: nn.Module, action: pairs.PairAction, test: Test, step: int
) -> list[Row]:
    """Errors of equivariance on clean test pairs, moved exactly by elements other than the identity."""
    places = torch.linspace(0, len(test.clean) - 1, min(MEASURED, len(test.clean))).long()
    digits = test.clean[places.to(test.clean.device)]
    g = torch.randint(1, action.group.order, (len(digits),), generator=_generator(0, "errors"))
    g = g.to(digits.device)
    images = (pairs.compose(digits), pairs.compose(action.exact(digits, g)))
    actions = {}
    if settings.model == "cnn" and settings.filters >= action.group.order:
        regular = latent.regular(action.group, settings.filters)
        asked = representation(settings, action.group, settings.filters)
        actions = {"latent_error": regular, "asked_error": asked or regular}
    with restored_modes(network), precision("float32", digits.device):
        found = latent_errors(network.eval(), actions, images, g)
    return [Row(name, step, value) for name, value in found.items()]
