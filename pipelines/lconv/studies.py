"""Tables of the studies: learned generators, hidden symmetries, penalties."""

from __future__ import annotations

from pipelines.lconv import arms, cells
from shared.report import text
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Sample, Table

#: Arms of "planted" with what relates the two images of a pair.
PLANTED = {
    "rotation_1": "rotation by 18 degrees, one layer",
    "rotation_8": "rotation by 18 degrees, one layer applied 8 times",
    "rotation_8_rank16": "the same, rank 16",
    "scrambled_8": "the same rotation of images whose pixels were moved by a permutation",
    "bilinear_1": "bilinear rotation by 18 degrees, one layer",
    "bilinear_8": "bilinear rotation by 18 degrees, one layer applied 8 times",
    "other_8": "control: another generator with the same eigenvalues",
    "unrelated_8": "control: pairs that have nothing to do with each other",
}
PENALTIES = {
    "none": "no penalty",
    "closure": "closure, weight 0.1",
    "killing": "Killing form, weight 0.1",
    "both": "both, weight 0.1",
    "both_strong": "both, weight 1",
}


def symmetries(results: Results) -> Table:
    """What the generators of trained L-conv networks are."""
    columns = (
        Column("data", "Data"),
        Column("rotation", "Part of the rotation generator that they span"),
        Column("translation", "Of a translation (mean of x and y)"),
        Column("control", "Rotation: random generators"),
        Column("closure", "Commutators outside the span"),
        Column("killing", "Killing form between two"),
    )
    rows = []
    for dataset, title in arms.DATASETS.items():
        for variant, kind in arms.VARIANTS.items():
            experiment, arm = arms.figure4(dataset), arms.arm4("lconv", variant)
            translation = [_ends(results, experiment, arm, f"captured_translation_{axis}") for axis in "xy"]
            both = [
                Sample({s: (a.values[s] + b.values[s]) / 2 for s in a.values}, a.tier)
                for a, b in zip(*translation)
            ]
            found = [
                _change(results, experiment, _ends(results, experiment, arm, "captured_rotation")),
                _change(results, experiment, both),
                cells.plain(results, experiment, results.sample(experiment, arm, "control_rotation"), 3),
                *(
                    _change(results, experiment, _ends(results, experiment, arm, m))
                    for m in ("closure", "killing")
                ),
            ]
            rows.append(Row(f"{dataset}_{variant}", f"{title}, {kind.lower()}", tuple(found)))
    experiments = [arms.figure4(dataset) for dataset in arms.DATASETS]
    return Table(
        "symmetries",
        "Symmetries in the learned generators (the paper shows none)",
        columns,
        tuple(rows),
        caption="Each cell: after training, and below it before. The generators of a layer are compared, as "
        "a span, with those of rotation and translation on the pixel grid, weighted by the second moments of "
        "the images: 1 if they span it, whatever their scale and basis. On scrambled images the known "
        "generators are moved by the same permutation. Random: as many untrained generators of the same "
        "rank. Commutators: 0 if the generators span a Lie algebra, 1 if all commutators leave the span. "
        "Killing form: 0 if they are orthogonal in it.",
        commands=tuple(results.command(experiment) for experiment in experiments),
    )


def _ends(results: Results, experiment: str, arm: str, metric: str) -> list[Sample]:
    """A metric after training and before."""
    return [results.last(experiment, arm, metric), results.sample(experiment, arm, metric, [0])]


def _change(results: Results, experiment: str, ends: list[Sample]) -> Cell:
    after, before = ends
    cell = cells.plain(results, experiment, after, 3)
    if not before.n:
        return cell
    return Cell(f"{cell.text}\n{text.fixed(before.summary.mean, 3)}", sample=after, command=cell.command)


def planted(results: Results) -> Table:
    """Whether learned generators approach hidden ones."""
    columns = (
        Column("pairs", "What relates the images of a pair"),
        Column("similarity", "Cosine with the hidden generator"),
        Column("rotation", "With plain rotation"),
        Column("random", "95 % of random generators are below"),
        Column("notebook", "With plain rotation, as in the authors' notebook"),
        Column("flow_2", "Error of its exponential at twice the angle"),
        Column("flow_10", "At ten times the angle"),
        Column("loss", "Squared error per image"),
        Column("parameters", "Parameters"),
    )
    rows = []
    for arm, title in PLANTED.items():
        sample = results.sample("planted", arm, "similarity")
        found = [cells.plain(results, "planted", sample, 3)]
        for metric in ("rotation_similarity", "random_similarity"):
            found.append(cells.plain(results, "planted", results.sample("planted", arm, metric), 3))
        sample = results.sample("planted", arm, "notebook_correlation")
        found.append(results.cell("planted", arm, "notebook", sample, experiment="planted", decimals=3))
        for factor in (2, 10):
            error = results.sample("planted", arm, "flow_error", [factor])
            found.append(cells.plain(results, "planted", error, 3))
        found.append(cells.plain(results, "planted", results.last("planted", arm, "loss"), scientific=True))
        found.append(cells.parameters(results, ("planted", arm, "parameters"), "planted", arm))
        rows.append(Row(arm, title, tuple(found)))
    return Table(
        "planted",
        "A hidden symmetry: do learned generators find it? (not in the paper)",
        columns,
        tuple(rows),
        caption="Pairs of random images (x, y) with y = exp(t T) x. One linear L-conv layer with one "
        "generator is applied to x once or eight times and learns to give y; its generator is compared with "
        "T. Eight times is nearer to an exponential than once (Proposition 2), and so is its generator to T. "
        "The exponential error is relative, on the same images, at angles that were not trained.",
        commands=(results.command("planted"),),
        notes=(
            "The authors' notebook (of the later version of the paper) takes rotation about the pixel (d/2, "
            "d/2), half a pixel off the middle, and does not take off the identity, which lowers the cosine: "
            "the other columns do.",
        ),
    )


def penalty(results: Results) -> Table:
    """What the penalties on the generators change."""
    columns = (
        Column("penalty", "Penalty"),
        Column("accuracy", "Accuracy, %"),
        Column("closure", "Commutators outside the span"),
        Column("killing", "Killing form between two"),
        Column("rotation", "Part of the rotation generator that they span"),
        Column("parameters", "Trainable parameters"),
    )
    rows = []
    for arm, title in PENALTIES.items():
        found = [cells.accuracy(results, ("penalty", arm, "accuracy"), "penalty", arm)]
        for metric in ("closure", "killing", "captured_rotation"):
            found.append(_change(results, "penalty", _ends(results, "penalty", arm, metric)))
        found.append(cells.parameters(results, ("penalty", arm, "parameters"), "penalty", arm))
        rows.append(Row(arm, title, tuple(found)))
    return Table(
        "penalty",
        "Penalties on the generators (future work in the paper)",
        columns,
        tuple(rows),
        caption="L-conv on rotated MNIST with penalties added to the loss: the mean squared share of the "
        "commutators outside the span, and the mean squared Killing form between two generators. Last three "
        f"columns: after training, and below it before. {cells.protocol(results, 'penalty')}",
        commands=(results.command("penalty"),),
    )
