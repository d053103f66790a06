"""Train and test on MedMNIST3D: volumes that the rotations of the cube turn, and their classes (Table 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

import shared.data
from pipelines.regular_latent import models
from pipelines.regular_latent.pair_loss import latent_errors, pair_loss, plain_loss, representation
from pipelines.regular_latent.settings import Settings
from pipelines.regular_latent.training import check_batches, curves, how
from shared.algebra.groups import octahedral
from shared.base.errors import UserError
from shared.data import catalogue
from shared.nn import latent
from shared.nn.train_mode import restored_modes
from shared.runs.api import Context, Row
from shared.train import TrainingSet, fit, guesses, precision
from shared.train.session import Loss

#: The rotations of the cube, S4; element i is matrix i of `shared.algebra.groups.cube_rotations`.
GROUP = octahedral()
#: Side of a volume, in voxels.
SIDE = 28
#: Volumes at once where no gradient is taken, and those whose errors of equivariance are measured, at most.
BATCH, MEASURED = 48, 120
#: Seeds of random turns of validation and test volumes, the same in each epoch and run.
VALIDATION_SEED, TEST_SEED, ERRORS_SEED = 5_000_021, 5_000_022, 5_000_023


class VolumeAction:
    """How rotations of the cube turn volumes, voxel to voxel, each volume by its own element.

    Args:
        left: turns compose as the group multiplies; as released they compose the other way round, since a
            volume is turned by the inverse (section 7, item 2).
    """

    def __init__(self, left: bool = True) -> None:
        table = latent.volume(GROUP, SIDE).table
        self.move = latent.PermutationAction(table if left else table[GROUP.inverse.tolist()], axes=3)

    def elements(self, count: int, generator: Generator) -> Tensor:
        """Independent uniform elements, (count,), on the generator's device."""
        return torch.randint(GROUP.order, (count,), generator=generator, device=generator.device)

    def __call__(self, volumes: Tensor, g: Tensor) -> Tensor:
        """Turn volumes (batch, 1, 28, 28, 28) by elements (batch,)."""
        return self.move(volumes, g)


@dataclass
class Split:
    """Volumes (count, 1, 28, 28, 28) uint8 of one split and their labels (count,) int64."""

    volumes: Tensor
    labels: Tensor


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Train one arm with several seeds on the publisher's splits.

    Rows: ``parameters``; ``train_loss`` and ``validation_accuracy`` by epoch; of the best epoch ``accuracy``
    (test volumes as they are, in parts of 1, as in Table 5), ``accuracy_moved`` (each turned at random) and
    if asked for ``accuracy_orbit`` (predictions averaged over all turned copies); ``majority`` (accuracy of
    naming the most frequent training class always); before (step 0) and after training ``output_error``, of
    the cnn also ``latent_error`` and ``asked_error`` (as `pipelines.regular_latent.ddmnist`, over turns that
    are true rotations); ``images_per_second``.

    Raises:
        UserError: if the volumes are not cubes of 28 voxels a side, there are fewer than the settings ask
            for, a batch would have one, or the training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    train, valid, test = (_load(settings, split, context.device) for split in ("train", "valid", "test"))
    check_batches(settings, len(train.labels))
    action = VolumeAction(settings.handedness == "left")
    classes = len(catalogue.find(settings.dataset).classes)
    networks = [models.build(settings, seed, classes).to(context.device) for seed in seeds]
    errors = [_errors(settings, network, test, 0) for network in networks]
    rows_of = [torch.arange(len(train.labels)), len(train.labels) + torch.arange(len(valid.labels))]
    data = TrainingSet(
        torch.cat([train.volumes, valid.volumes]),
        torch.cat([train.labels, valid.labels]),
        [rows_of[0]] * len(seeds),
        validation=[rows_of[1]] * len(seeds),
        loss=_loss(settings, action),
        score=lambda network, volumes, labels: _validation(settings, network, Split(volumes, labels), action),
    )
    trained = fit(networks, data, how(settings, context), seeds, **context.training())
    most = train.labels.bincount().argmax()
    rows = {}
    for index, seed in enumerate(seeds):
        network, epochs = networks[index], len(trained.losses[index])
        rows[seed] = [
            *curves(network, trained, index),
            *_accuracies(settings, network, test),
            Row("majority", "", (test.labels == most).float().mean().item()),
            *errors[index],
            *_errors(settings, network, test, epochs),
            Row("images_per_second", "", trained.images_per_second),
        ]
    return rows


def _load(settings: Settings, split: str, device: str) -> Split:
    names = {"train": "train_images", "valid": "validation_images", "test": "test_images"}
    wanted = getattr(settings, names[split])
    volumes, labels = shared.data.load(settings.dataset, split)
    if tuple(volumes.shape[1:]) != (1, SIDE, SIDE, SIDE):
        shape = "x".join(map(str, volumes.shape[1:]))
        raise UserError(
            f"{settings.dataset} has images of shape {shape}; the rotations of the cube turn volumes of "
            f"1x{SIDE}x{SIDE}x{SIDE}, so choose a set of MedMNIST3D, or volumes"
        )
    if len(labels) < wanted:
        raise UserError(
            f"{settings.dataset} has {len(labels)} volumes for {names[split]}, not {wanted}; lower "
            f"{names[split]} in experiments.yaml"
        )
    count = wanted or len(labels)
    return Split(volumes[:count].to(device), labels[:count].to(device))


def voxels(stored: Tensor) -> Tensor:
    """Stored volumes in [-1, 1], float32."""
    return stored.float() / 127.5 - 1


def _loss(settings: Settings, action: VolumeAction) -> Loss:
    """The training loss as `shared.train.TrainingSet` takes it."""
    wanted = representation(settings, GROUP, settings.latent_size) if settings.weight else None

    def loss(network: nn.Module, stored: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        first = voxels(stored)
        if settings.augmented:
            first = action(first, action.elements(len(stored), generator))
        if not settings.weight:
            return plain_loss(network, first, labels)
        g = action.elements(len(stored), generator)
        return pair_loss(settings, wanted, network, (first, action(first, g)), g, labels)

    return loss


def _validation(settings: Settings, network: nn.Module, valid: Split, action: VolumeAction) -> float:
    """Accuracy on validation volumes, turned like those that are trained on."""
    turns = torch.Generator(valid.volumes.device).manual_seed(VALIDATION_SEED) if settings.augmented else None
    return _accuracy(network, valid, action, turns)


def _accuracy(network: nn.Module, data: Split, action: VolumeAction, turns: Generator | None = None) -> float:
    right = 0
    for stored, labels in zip(data.volumes.split(BATCH), data.labels.split(BATCH)):
        x = voxels(stored)
        if turns is not None:
            x = action(x, action.elements(len(x), turns))
        right += (guesses(network(x)) == labels).sum().item()
    return right / len(data.labels)


@torch.no_grad()
def _accuracies(settings: Settings, network: nn.Module, test: Split) -> list[Row]:
    device, action = test.volumes.device, VolumeAction()
    with restored_modes(network), precision("float32", device):
        network.eval()
        found = {
            "accuracy": _accuracy(network, test, action),
            "accuracy_moved": _accuracy(
                network, test, action, torch.Generator(device).manual_seed(TEST_SEED)
            ),
        }
        if settings.orbit:
            found["accuracy_orbit"] = _orbit(network, test, action)
    return [Row(name, "", value) for name, value in found.items()]


def _orbit(network: nn.Module, test: Split, action: VolumeAction) -> float:
    """Accuracy of mean probabilities over all turned copies of a volume."""
    right = 0
    for stored, labels in zip(test.volumes.split(BATCH), test.labels.split(BATCH)):
        mean = 0
        for element in range(GROUP.order):
            g = torch.full((len(stored),), element, device=stored.device)
            mean = mean + network(action(voxels(stored), g)).softmax(1)
        right += (guesses(mean) == labels).sum().item()
    return right / len(test.labels)


def _errors(settings: Settings, network: nn.Module, test: Split, step: int) -> list[Row]:
    """Errors of equivariance on test volumes, truly turned by elements other than the identity."""
    x = voxels(test.volumes[:MEASURED])
    g = torch.randint(1, GROUP.order, (len(x),), generator=torch.Generator().manual_seed(ERRORS_SEED)).to(
        x.device
    )
    actions = {}
    if settings.model == "cnn" and settings.latent_size >= GROUP.order:
        regular = latent.regular(GROUP, settings.latent_size)
        asked = representation(settings, GROUP, settings.latent_size)
        if asked and settings.handedness == "released":  # trained to move by the inverse elements
            asked = latent.PermutationAction(asked.table.cpu()[GROUP.inverse.tolist()])
        actions = {"latent_error": regular, "asked_error": asked or regular}
    with restored_modes(network), precision("float32", x.device):
        found = latent_errors(network.eval(), actions, (x, VolumeAction()(x, g)), g)
    return [Row(name, step, value) for name, value in found.items()]
