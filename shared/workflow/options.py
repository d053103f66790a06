"""The options of ``snakemake --config``, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shared.base import paths
from shared.base.errors import UserError, unknown
from shared.runs import config, environment

#: CPU threads to ask of a cluster for a job.
REMOTE_THREADS = 4


@dataclass(frozen=True)
class Request:
    """The options of ``snakemake --config``.

    Attributes:
        tier: tier to train; lite and paper only ever when asked for by name.
        train: "missing" trains the runs without a valid result, "never" only renders.
        only: comma-separated papers, or paper/experiment; everything if empty.
        runs_per_job: the most runs in a job; 0 keeps all cores busy and starts torch few times.
        threads: CPU threads of a job; 0 shares the cores among the jobs (on a cluster: `REMOTE_THREADS`).
        gpu: GPUs of a job; "auto" is one on a cluster and where this machine has any, else none.
    """

    tier: str = "demo"
    train: str = "missing"
    only: str = ""
    runs_per_job: int = 0
    threads: int = 0
    gpu: str = "auto"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Request:
        """Check the options as Snakemake hands them over.

        Raises:
            UserError: for an unknown option or a value that makes no sense.
        """
        kinds = {key: type(value) for key, value in asdict(cls()).items()}
        for key, value in options.items():
            if key not in kinds:
                raise UserError(unknown("option of --config", key, kinds))
            if kinds[key] is int and not re.fullmatch(r"[0-9]{1,9}", str(value)):
                raise UserError(f"--config {key}={value} should be a whole number, 0 to choose by itself")
        request = cls(**{key: kinds[key](value) for key, value in options.items()})
        for name, value, known in (
            ("tier", request.tier, paths.TIERS),
            ("train", request.train, ("missing", "never")),
        ):
            if value not in known:
                raise UserError(unknown(name, value, known))
        if request.gpu not in ("auto", "0", "1"):
            raise UserError(f"--config gpu={request.gpu} should be auto, 0 or 1")
        environment.threads(request.threads or None, "--config threads")
        return request

    def experiments(self) -> list[config.Experiment]:
        """The experiments asked for that have the tier.

        Raises:
            UserError: if ``only`` names a paper or an experiment that does not exist.
        """
        every = [e for paper in config.papers() for e in config.load(paper).experiments.values()]
        names = [name.strip() for name in self.only.split(",") if name.strip()]
        known = {e.paper for e in every} | {f"{e.paper}/{e.name}" for e in every}
        for name in names:
            if name not in known:
                raise UserError(unknown("paper or experiment", name, known))
        chosen = [e for e in every if not names or {e.paper, f"{e.paper}/{e.name}"} & set(names)]
        return [e for e in chosen if self.tier in e.tiers]
