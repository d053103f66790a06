"""Tables of the paper: claims, 1 to 10; those of our own studies come from `studies`. Words: captions.md."""

from __future__ import annotations

from pipelines.regular_latent import claims, protocols, studies, tables_exploration
from pipelines.regular_latent.quantities import ACCURACY, RMSE, VOLUMES_ACCURACY, millions, training
from pipelines.regular_latent.systems import (
    DIGITS,
    FLOWS,
    GROUPS,
    VOLUMES,
    counted4,
    counted5,
    counted6,
    where4,
    where5,
    where6,
)
from shared.report import claims as of_claims
from shared.report import text
from shared.report.build import Line, compared, table, words
from shared.report.results import Results
from shared.report.tables import Column, Table

SYSTEM = Column("system", "System")


def tables(results: Results) -> list[Table]:
    """All tables, in reading order."""
    return [
        claims_table(results),
        *tables_exploration.tables(results),
        table4(results),
        table5(results),
        table6(results),
        *protocols.tables(results),
        *studies.tables(results),
    ]


def claims_table(results: Results) -> Table:
    """The paper's claims, and ours."""
    return of_claims.table(results, claims.rows(results), results.declared.experiments)


def table4(results: Results) -> Table:
    """Table 4: DDMNIST."""
    columns = [SYSTEM]
    for group in GROUPS:
        columns += [compared(group, f"{group}: accuracy", ACCURACY, group)]
        columns += [millions(f"parameters_{group}", f"{group}: parameters, M", f"counted_{group}")]
    lines = []
    for model, title in DIGITS.items():
        arms = {group: where4(model, group) for group in GROUPS}
        arms |= {f"counted_{group}": counted4(model, group) for group in GROUPS}
        lines.append(Line(model, title, arms["C4"], arms))
    return table(results, "table4", columns, lines, protocol=training(results, "table4"))


def table5(results: Results) -> Table:
    """Table 5: MedMNIST3D."""
    columns = [
        SYSTEM,
        words("group", "Group"),
        words("augmented", "Augmented"),
        *(compared(data, title, VOLUMES_ACCURACY, data) for data, title in protocols.VOLUMES.items()),
        millions("parameters", "Parameters, M", "counted"),
    ]
    lines = [
        Line(
            key,
            title,
            where5(key, "nodule"),
            {data: where5(key, data) for data in protocols.VOLUMES} | {"counted": counted5(key)},
            {"group": group, "augmented": augmented},
        )
        for key, (title, group, augmented) in VOLUMES.items()
    ]
    return table(
        results,
        "table5",
        columns,
        lines,
        experiment="table5_nodule",
        protocol=training(results, "table5_nodule"),
    )


def table6(results: Results) -> Table:
    """Table 6: SMOKE."""
    columns = [
        SYSTEM,
        words("group", "Group"),
        words("augmented", "Augmented"),
        *(compared(key, title, what) for key, (title, what) in RMSE.items()),
        millions("parameters", "Parameters, M", "counted"),
    ]
    lines = [
        Line(key, title, where6(key), {"counted": counted6(key)}, {"group": group, "augmented": augmented})
        for key, (title, group, augmented) in FLOWS.items()
    ]
    protocol = training(results, "table6")
    return table(results, "table6", columns, lines, protocol=protocol, simple=_simple(results))


def _simple(results: Results) -> str | None:
    """Errors that need no network: ``repeating the last frame gives 1.29 (Future) and 0.85 (Domain)``."""
    said = []
    for metric, title in {"persistence": "repeating the last frame", "zero": "no flow"}.items():
        found = [results.sample("smoke_data", "simulations", f"{metric}_{part}_20") for part in RMSE]
        if all(sample.n for sample in found):
            future, domain = (text.fixed(sample.summary.mean, 2) for sample in found)
            said.append(f"{title} gives {future} (Future) and {domain} (Domain)")
    return ", ".join(said) or None
