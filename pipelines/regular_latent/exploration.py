"""Which representation is learned on latent vectors (Tables 1 to 3), and which without data (the null)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

import shared.data
from pipelines.regular_latent import exploration_networks as networks
from pipelines.regular_latent import exploration_readout as readout
from pipelines.regular_latent.exploration_networks import Explorer
from pipelines.regular_latent.exploration_study import Pair, Study, study
from pipelines.regular_latent.settings import Settings
from shared.base.errors import UserError
from shared.runs.api import Context, Row
from shared.train import Fit, FitSettings, TrainingSet, fit, guesses

#: What a validation loss must fall by, to count as better for the patience (released code).
MARGIN = 0.001
#: The seed whose pictures are recorded, if the settings ask for them.
PICTURED_SEED = 0
#: Seeds of the generators that draw validation and test pairs: the same ones at each look.
VALIDATION_SEED, TEST_SEED = 11, 12
#: Images of each group: glyphs in two typefaces, digits, color images.
SHAPES = {"C2": (2, 28, 28), "D3": (1, 28, 28), "C4": (3, 32, 32)}
#: Pairs at once where no gradient is needed.
CHUNK = 500
#: Adaptive weight of the released code: norms of ``W^4 - 1`` above and below which it changes, and factors.
HIGH, LOW, UP, DOWN = 0.5, 0.2, 1.1, 0.9


class Parts(NamedTuple):
    """The losses of a batch, scalars: task (L1), latent to output (L2), input to latent (L3).

    ``codes`` are the latent vectors of both images of each pair, ``answers`` the outputs of the first.
    """

    task: Tensor
    output: Tensor
    latent: Tensor
    pair: Pair
    codes: tuple[Tensor, Tensor]
    answers: Tensor


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Learn the matrices with an autoencoder or a classifier (kind "exploration"), or alone (kind "null").

    Rows of both kinds, of the matrices (of the best epoch; of the null, of the end):

    * by the eigenvalues of the first generator: ``root_<k>``, how many are nearest to ``exp(2 pi i k / N)``,
      where N is 2, 3 and 4;
    * by characters: ``character_<irrep>`` (traces of all elements) and ``class_<irrep>`` (one element per
      conjugacy class, as printed in Table 2); irreps are trivial, sign; trivial, sign, standard; trivial,
      rotation (the plane of i and -i, so half of their eigenvalues), sign;
    * ``regular_distance``: largest difference of a count from that of the regular representation, counted as
      printed (roots of C2 and C4, class of D3); ``character_distance``: the same of ``character_<irrep>``;
      ``integer_distance``: largest difference of a ``character_<irrep>`` from a whole number;
    * ``start_<name>`` for all of these: the same before training;
    * ``residual_<relator>``: mean squared difference of its word from the identity (``residual_g2``;
      ``residual_r3``, ``residual_s2``, ``residual_rsrs``; ``residual_g4``); ``algebra_loss``, their mean;
      ``split_<relator>``: of Equations 6 and 8;
    * ``eigenvalue_real``, ``eigenvalue_imag`` of the first generator, step = number, by angle;
    * ``path_regular_distance``, ``path_algebra_loss``, step = optimizer steps, after each epoch;
    * with ``pictures``, seed 0: ``path_real_<k>``, ``path_imag_<k>``, the k-th eigenvalue of the first
      generator by angle, step = optimizer steps (every 100 to 2,000, then every 2,000, up to the best epoch).

    Rows with data: ``parameters`` (encoder and head), ``epochs``, ``best_epoch``, ``steps``; by epoch
    ``train_loss`` and ``validation_loss`` (total); on the test images ``task_loss`` (L1), ``output_loss``
    (L2), ``latent_loss`` (L3), ``latent_square`` (mean square of a latent entry), ``latent_change``
    (MSE(E(x), E(gx)), what L3 would be with the identity), ``test_accuracy`` in percent (C4);
    ``input_relator`` (MSE(r^3 x, x), D3); ``images_per_second``. With ``pictures`` and C2, seed 0: gray
    values ``glyph_<i>_<what>``, step = flat pixel index of 28 x 28; i is 0 or 1 for two poses of one digit,
    what is ``input``, ``rebuilt`` (D(E x)), ``acted`` (D(W E x)) and ``moved`` (g x).

    Raises:
        UserError: if the data set is too small, or a training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    explored = study(settings)
    if settings.start == "far":
        _check_size(settings, explored)
    kind = _null if settings.kind == "null" else _learn
    return kind(settings, explored, seeds, context)


def _check_size(settings: Settings, explored: Study) -> None:
    size = networks.start(settings, explored, 0).shape[-1]
    if size != settings.latent:
        raise UserError(f"the start far of {settings.group} has size {size}; set latent to {size}")


def _null(
    settings: Settings, explored: Study, seeds: Sequence[int], context: Context
) -> dict[int, list[Row]]:
    """The loss of the relations alone; steps in as few blocks as have 1,000 at most."""
    block = next(n for n in range(min(settings.steps, 1000), 0, -1) if settings.steps % n == 0)
    models = [networks.build(settings, explored, seed, _pictured(settings, seed)) for seed in seeds]

    def loss(network: Explorer, stored: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        network.tick()
        return relations(network, settings)

    nothing = torch.zeros(block, dtype=torch.long, device=context.device)
    training = TrainingSet(nothing, nothing, [torch.arange(block)] * len(seeds), loss=loss)
    how = FitSettings(settings.steps // block, batch_size=1, lr=settings.lr)
    trained = fit(
        models, training, how, seeds, observe=readout.observer(settings, explored), **context.training()
    )
    return {
        seed: readout.rows(models[i], settings, explored, seed, trained.observed[i], block)
        for i, seed in enumerate(seeds)
    }


def _pictured(settings: Settings, seed: int, steps: int = 0) -> int:
    """Steps of a training whose path is to be kept."""
    return (steps or settings.steps) if settings.pictures and seed == PICTURED_SEED else 0


class Images(NamedTuple):
    """What is trained and tested on, as stored; rows of ``pool`` are trained on and validate by seed."""

    pool: Tensor
    labels: Tensor
    train: list[Tensor]
    validation: list[Tensor]
    test: Tensor
    test_labels: Tensor


def load(settings: Settings, seeds: Sequence[int], device: str) -> Images:
    """The images of a run.

    Of the glyphs each item is a digit in both typefaces, repeated until an epoch has as many as the settings
    ask for; of the others the training split is divided at random, by seed.

    Raises:
        UserError: if there are fewer images than the settings ask for, or of another shape.
    """
    parts = shared.data.load(settings.dataset, "train"), shared.data.load(settings.dataset, settings.tested)
    (pool, labels), (test, test_labels) = (tuple(part.to(device) for part in split) for split in parts)
    shape = SHAPES[settings.group]
    if tuple(pool.shape[1:]) != shape:
        raise UserError(
            f"{settings.dataset} has images of shape {tuple(pool.shape[1:])}, and {settings.group} is "
            f"explored on {shape}; choose another dataset in experiments.yaml"
        )
    train, validation = settings.train_images, settings.validation_images
    if settings.group == "C2":
        first = (20 - settings.glyphs) // 2  # digit
        pool, labels = pool[first:], labels[first:]
        rows = torch.arange(max(train, validation, settings.test_images)) % len(pool)
        every = len(seeds)
        test = rows[: settings.test_images].to(device)
        return Images(
            pool, labels, [rows[:train]] * every, [rows[:validation]] * every, pool[test], labels[test]
        )
    wanted = {"train": (train + validation, len(pool)), settings.tested: (settings.test_images, len(test))}
    for split, (count, there) in wanted.items():
        if count > there:
            raise UserError(
                f"{settings.dataset} has {there} images in its {split} split, not {count}; "
                "lower train_images, validation_images or test_images in experiments.yaml"
            )
    orders = [torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return Images(
        pool,
        labels,
        [order[:train] for order in orders],
        [order[train : train + validation] for order in orders],
        test[: settings.test_images],
        test_labels[: settings.test_images],
    )


def _learn(
    settings: Settings, explored: Study, seeds: Sequence[int], context: Context
) -> dict[int, list[Row]]:
    images = load(settings, seeds, context.device)
    steps = -(-settings.train_images // settings.batch_size)  # of an epoch
    models = [
        networks.build(settings, explored, seed, _pictured(settings, seed, settings.epochs * steps))
        for seed in seeds
    ]
    training = TrainingSet(
        images.pool,
        images.labels,
        images.train,
        validation=images.validation,
        loss=training_loss(settings, explored, steps),
        score=lambda network, stored, labels: (
            -measure(network, settings, explored, stored, labels, VALIDATION_SEED)["total"]
        ),
    )
    how = FitSettings(
        settings.epochs,
        settings.batch_size,
        lr=settings.lr,
        selection="best",
        patience=settings.patience,
        margin=MARGIN,
    )
    trained = fit(
        models, training, how, seeds, observe=readout.observer(settings, explored), **context.training()
    )
    rows = {}
    for i, (seed, network) in enumerate(zip(seeds, models)):
        rows[seed] = readout.rows(network, settings, explored, seed, trained.observed[i], steps)
        rows[seed] += _training_rows(trained, i, steps)
        rows[seed] += _test_rows(network, settings, explored, images)
        if settings.pictures and settings.group == "C2" and seed == PICTURED_SEED:
            rows[seed] += readout.glyph_rows(network, settings, images.pool)
    return rows


def training_loss(
    settings: Settings, explored: Study, steps: int
) -> Callable[[Explorer, Tensor, Tensor, Generator], Tensor]:
    """The loss of a training step, ``L1 + a L2 + b L3 + c L4``; ``steps`` are those of an epoch."""

    def loss(network: Explorer, stored: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        step = network.tick()
        if settings.adaptive and step % steps == 0 and step // steps > 1:
            _adapt(network)
        parts = losses(network, settings, explored, stored, labels, generator)
        return total(parts, settings) + relations(network, settings)

    return loss


def total(parts: Parts, settings: Settings) -> Tensor:
    """All of the loss that depends on the data."""
    return parts.task + settings.to_output * parts.output + settings.to_latent * parts.latent


def relations(network: Explorer, settings: Settings) -> Tensor:
    """The algebra loss times its weight (c L4), with the regularizer if the settings ask for it.

    C2 and C4: the relator, and by the regularizer ``g^(n-1) = g^-1`` (Equations 6 and 8). D3: half of each
    relator (Equation 4), of which the regularizer takes most of the third away (Equation 7, weights of the
    released code).
    """
    representation = network.representation
    residuals = representation.residuals()
    if settings.group == "D3":
        halves = residuals.new_tensor([0.5, 0.5, 0.1 if settings.omega else 0.5])
        loss = (halves * residuals).sum()
    else:
        loss = residuals.sum()
        if settings.omega:
            loss = loss + representation.split_residuals().sum()
    return settings.algebra * network.pull * loss


@torch.no_grad()
def _adapt(network: Explorer) -> None:
    """Change the weight of the relations by their error, as the released code of C4 does after an epoch."""
    representation = network.representation
    error = float(representation.residuals()[0].sqrt()) * representation.size  # Frobenius norm
    if error > HIGH:
        network.pull *= UP
    elif error < LOW:
        network.pull.mul_(DOWN).clamp_min_(1.0)


def losses(
    network: Explorer,
    settings: Settings,
    explored: Study,
    stored: Tensor,
    labels: Tensor,
    generator: Generator,
) -> Parts:
    """Draw pairs of a batch as stored, and compute its losses."""
    pair = explored.pairs(stored, generator)
    code, moved_code = network.encoder(torch.cat([pair.images, pair.moved])).chunk(2)
    acted = network.representation(code, explored.words, pair.which)
    latent = F.mse_loss(acted, moved_code)
    if settings.group == "C2":  # only the first image of a pair is reconstructed
        answers, output = network.head(torch.cat([code, acted])).chunk(2)
        return Parts(
            F.mse_loss(answers, pair.images),
            F.mse_loss(output, pair.moved),
            latent,
            pair,
            (code, moved_code),
            answers,
        )
    answers, moved_answers, output = network.head(torch.cat([code, moved_code, acted])).chunk(3)
    if explored.autoencoder:
        task = (F.mse_loss(answers, pair.images) + F.mse_loss(moved_answers, pair.moved)) / 2
        return Parts(task, F.mse_loss(output, pair.moved), latent, pair, (code, moved_code), answers)
    task = (_entropy(answers, labels, settings) + _entropy(moved_answers, labels, settings)) / 2
    return Parts(task, _entropy(output, labels, settings), latent, pair, (code, moved_code), answers)


def _entropy(logits: Tensor, labels: Tensor, settings: Settings) -> Tensor:
    """Cross-entropy of logits; as released, of what two softmaxes have made of them."""
    if settings.softmax == "released":
        logits = logits.softmax(1).softmax(1)
    return F.cross_entropy(logits, labels)


@torch.no_grad()
def measure(
    network: Explorer, settings: Settings, explored: Study, stored: Tensor, labels: Tensor, seed: int
) -> dict[str, float]:
    """Means over images, with one pair each; ``total`` includes the relations.

    Returns:
        total, task, output, latent, square, change and correct: see the rows of `run`.
    """
    generator = torch.Generator(stored.device).manual_seed(seed)
    sums: dict[str, float] = {}
    for images, truth in zip(stored.split(CHUNK), labels.split(CHUNK)):
        parts = losses(network, settings, explored, images, truth, generator)
        code, moved_code = parts.codes
        found = {
            "total": total(parts, settings),
            "task": parts.task,
            "output": parts.output,
            "latent": parts.latent,
            "square": moved_code.square().mean(),
            "change": F.mse_loss(code, moved_code),
        }
        if not explored.autoencoder:
            found["correct"] = 100 * (guesses(parts.answers) == truth).float().mean()
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(images)
    means = {name: value / len(stored) for name, value in sums.items()}
    means["total"] += float(relations(network, settings))
    return means


def _training_rows(trained: Fit, index: int, steps: int) -> list[Row]:
    validations = trained.validations[index]
    best = max(validations, key=lambda epoch: (validations[epoch], -epoch))
    epochs = len(trained.losses[index])
    return [
        *(Row("train_loss", epoch, loss) for epoch, loss in enumerate(trained.losses[index], 1)),
        *(Row("validation_loss", epoch, -score) for epoch, score in validations.items()),
        Row("epochs", "", epochs),
        Row("best_epoch", "", best),
        Row("steps", "", epochs * steps),
        Row("images_per_second", "", trained.images_per_second),
    ]


def _test_rows(network: Explorer, settings: Settings, explored: Study, images: Images) -> list[Row]:
    network.eval()
    found = measure(network, settings, explored, images.test, images.test_labels, TEST_SEED)
    names = {
        **{"task": "task_loss", "output": "output_loss", "latent": "latent_loss"},
        **{"square": "latent_square", "change": "latent_change", "correct": "test_accuracy"},
    }
    rows = [Row(name, "", found[key]) for key, name in names.items() if key in found]
    counted = [*network.encoder.parameters(), *network.head.parameters()]
    rows.append(Row("parameters", "", sum(p.numel() for p in counted)))
    if settings.group == "D3":
        rows.append(Row("input_relator", "", readout.input_relator(images.test, settings.degrees)))
    return rows
