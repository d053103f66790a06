"""Run one arm of this paper; returns rows, writes nothing. Each kind of run has a module of its own."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.regular_latent import ddmnist, exploration, medmnist, networks, pictures, smoke, smoke_data
from pipelines.regular_latent.settings import Settings
from shared.base.errors import UserError
from shared.runs.api import Context, Row

#: Function of each kind of run: settings, seeds and context to rows by seed.
RUNS = {
    "ddmnist": ddmnist.run,
    "exploration": exploration.run,
    "null": exploration.run,
    "medmnist": medmnist.run,
    "networks": networks.run,
    "pictures": pictures.run,
    "smoke": smoke.run,
    "smoke_data": smoke_data.run,
}


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Rows by seed of one arm; those of each kind are listed by its module's ``run``.

    Raises:
        UserError: if a data set is too small, or a training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    if settings.kind not in RUNS:
        raise UserError(f"nothing runs the kind {settings.kind} yet; choose one of {', '.join(RUNS)}")
    return RUNS[settings.kind](settings, seeds, context)
