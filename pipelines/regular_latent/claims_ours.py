"""Claims that only we make: the method against the CNN and controls at one protocol, errors, defects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipelines.regular_latent.quantities import ACCURACY, ORBIT, RMSE
from pipelines.regular_latent.studies import CONTROLLED, CONTROLS
from pipelines.regular_latent.systems import GROUPS, arm4, one_rate4
from shared.report.build import Quantity, Where
from shared.report.claims import Pair, Part, Rule, above, claim, compare, part, within
from shared.report.results import Results
from shared.report.tables import Row, Sample

BETTER = above()
#: X5: accuracies that differ by less are the same.
SAME = 0.005
LATENT_ERROR, OUTPUT_ERROR = Quantity("latent_error", last=True), Quantity("output_error", last=True)
NOT_SAID = "-"


def alike(found: Part, samples: Sequence[Sample]) -> Part:
    """The part without a verdict, if its samples are of different protocols."""
    if len({sample.tier for sample in samples if sample.n}) < 2:
        return found
    return replace(found, verdict=replace(found.verdict, status=None, reason="different protocols"))


def compare_alike(
    results: Results, what: Quantity, rule: Rule, pairs: Sequence[Pair], decimals: int = 2
) -> list[Part]:
    """As `compare`, for arms of different experiments, which may have been run at different tiers."""
    return [
        alike(found, [what.of(results, where) for where in (first, second)])
        for (_, first, second, _), found in zip(pairs, compare(results, what, rule, pairs, decimals))
    ]


def rows(results: Results) -> Iterator[Row]:
    """X1 to X5."""
    for group in GROUPS:
        yield _one_rate(results, group)
    for control, title in CONTROLS.items():
        pairs = [
            (f"{group}: regular - this", *(("controls", arm4(m, group)) for m in ("ours", control)), NOT_SAID)
            for group in CONTROLLED
        ]
        parts = compare(results, ACCURACY, BETTER, pairs, decimals=3)
        yield claim(results, f"X2-{control}", parts, "controls", said="X2", ours=True, control=title)
    yield claim(results, "X3", [_orbit(results, group) for group in GROUPS], "one_rate", ours=True)
    yield claim(results, "X4", [one for g in GROUPS for one in _errors(results, g)], "one_rate", ours=True)
    yield from _defects(results)


def _one_rate(results: Results, group: str) -> Row:
    pairs = [
        (f"learning rate {title}", *(one_rate4(model, group, rate) for model in ("ours", "cnn")), NOT_SAID)
        for rate, title in (("", "0.001"), ("_slow", "0.0005"))
    ]
    parts = compare(results, ACCURACY, BETTER, pairs, decimals=3)
    # the lower rate is an arm that may not have been run
    parts = [one for one in parts if one.ours] or parts[:1]
    experiment = one_rate4("ours", group)[0]
    return claim(results, f"X1-{group}", parts, experiment, said="X1", ours=True, group=group)


def _orbit(results: Results, group: str) -> Part:
    samples = [
        what.of(results, one_rate4(model, group)) for model, what in (("ours", ACCURACY), ("cnn", ORBIT))
    ]
    return part(f"{group}: ours - CNN over the orbit", NOT_SAID, samples, BETTER, decimals=3)


def _errors(results: Results, group: str) -> list[Part]:
    return [
        part(
            f"{group}, {title}: CNN - ours",
            NOT_SAID,
            [what.of(results, one_rate4(model, group)) for model in ("cnn", "ours")],
            BETTER,
            decimals=3,
        )
        for title, what in (("latent", LATENT_ERROR), ("output", OUTPUT_ERROR))
    ]


def _defects(results: Results) -> Iterator[Row]:
    """X5: what we expect of the defects."""

    def digits(*arms: str) -> list[Where]:
        return [("defects", arm) for arm in arms]

    harder = [("CNN: undone - not", *digits("cnn_C4", "cnn_C4_rotation"), NOT_SAID)]
    harder.append(("ours: undone - not", *digits("ours_C4", "ours_C4_rotation"), NOT_SAID))
    yield _defect(results, "rotation", compare(results, ACCURACY, BETTER, harder, 3), "defects")
    shifted = [("half and half - unmoved alone", *digits("ours_C4", "ours_C4_shifted"), NOT_SAID)]
    yield _defect(results, "shifted", compare(results, ACCURACY, BETTER, shifted, 3), "defects")
    split = [
        (f"{title}: test split - training split", *digits(arm, f"{arm}_validation"), NOT_SAID)
        for title, arm in (("CNN", "cnn_C4"), ("ours", "ours_C4"))
    ]
    parts = compare(results, ACCURACY, within(SAME), split, 3)
    yield _defect(results, "validation", parts, "defects", same=f"{SAME:g}")
    turned = [
        one
        for key, (title, what) in RMSE.items()
        for one in compare_alike(
            results,
            what,
            BETTER,
            [
                (
                    f"{title} of E2CNN",
                    ("table6_defects", "e2cnn_reversed"),
                    ("table6_baselines", "e2cnn"),
                    NOT_SAID,
                ),
                (
                    f"{title} of the CNN",
                    ("table6_defects", "cnn_augmented_reversed"),
                    ("table6", "cnn_augmented"),
                    NOT_SAID,
                ),
            ],
            3,
        )
    ]
    yield _defect(results, "reversed", turned, "table6_defects")
    own = [
        one
        for title, what in RMSE.values()
        for one in compare_alike(
            results,
            what,
            BETTER,
            [(title, ("table6_defects", "ours_broadcast"), ("table6", "ours"), NOT_SAID)],
            3,
        )
    ]
    yield _defect(results, "broadcast", own, "table6_defects")


def _defect(results: Results, name: str, parts: list[Part], experiment: str, **fields: str) -> Row:
    return claim(results, f"X5-{name}", parts, experiment, ours=True, **fields)
