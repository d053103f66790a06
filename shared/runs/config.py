"""From a paper's ``experiments.yaml`` to the runs it asks for.

A run's settings are those of its experiment, overridden by its arm's, overridden by its tier's; they are
checked against the paper's frozen dataclass ``Settings``, so that a misspelt key is an error and every
run carries a complete, typed set of values.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from shared.base import paths
from shared.base.errors import UserError, each, unknown
from shared.runs import declarations
from shared.runs.paper_modules import attribute, blamed

#: The figure that every report has without declaring it (`shared.report.agreement`).
AGREEMENT = "agreement"


@dataclass(frozen=True)
class Run:
    """One arm with one seed: the unit that is trained, recorded and counted."""

    paper: str
    experiment: str
    arm: str
    tier: str
    seed: int
    settings: Any
    revision: int
    data: Mapping[str, str] = field(hash=False)

    @functools.cached_property
    def inputs(self) -> dict[str, Any]:
        """What the result is made from, as plain data; those made with `added` only off their old value."""
        settings = {
            f.name: _plain(getattr(self.settings, f.name))
            for f in fields(self.settings)
            if "absent" not in f.metadata or getattr(self.settings, f.name) != f.metadata["absent"]
        }
        return {
            "paper": self.paper,
            "settings": settings,
            "seed": self.seed,
            "data": dict(self.data),
            "revision": self.revision,
        }

    @functools.cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits that name the inputs; experiment, arm and tier do not enter."""
        return identity(self.inputs)

    @property
    def spec(self) -> str:
        """``paper/experiment/tier/arm/seed``, as `find` takes it."""
        return f"{self.paper}/{self.experiment}/{self.tier}/{self.arm}/{self.seed}"


@dataclass(frozen=True)
class Tier:
    """How much of the paper's protocol is followed: seeds, overrides, and how many seeds to train at once."""

    name: str
    seeds: tuple[int, ...]
    overrides: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]
    replicas: int | None = None


@dataclass(frozen=True)
class Experiment:
    """A named set of runs behind one table or figure.

    Attributes:
        rows: what tables say of its arms.
        needs: packages that its runs import and that may be missing: Python 3.13 has no escnn.
    """

    paper: str
    name: str
    title: str
    revision: int
    produces: tuple[str, ...]
    arms: tuple[str, ...]
    tiers: Mapping[str, Tier]
    cost: Mapping[str, Mapping[str, float]]
    settings: Mapping[str, Any]
    arm_settings: Mapping[str, Mapping[str, Any]]
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    _known: dict[tuple[Any, ...], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def lacking(self) -> tuple[str, ...]:
        """The packages that it needs and that are not installed; nothing is imported to know it."""
        return tuple(name for name in self.needs if importlib.util.find_spec(name) is None)

    def tier(self, name: str) -> Tier:
        """The tier called ``name``.

        Raises:
            UserError: if this experiment has no such tier.
        """
        if name not in self.tiers:
            raise UserError(f"{self.paper}/{self.name}: {unknown('tier', name, self.tiers)}")
        return self.tiers[name]

    def settings_of(self, arm: str, tier: str) -> Any:
        """The resolved ``Settings`` of one arm at one tier.

        Raises:
            UserError: for an unknown arm, tier or key, or a value of the wrong type.
        """
        return self._settings(attribute(self.paper, "settings", "Settings"), arm, tier)

    def _settings(self, cls: type, arm: str, tier: str) -> Any:
        """The settings of one arm at one tier, resolved once as long as the paper's class is the same."""
        chosen = self.tier(tier)
        if arm not in self.arm_settings:
            raise UserError(f"{self.paper}/{self.name}: {unknown('arm', arm, self.arms)}")
        if type(self._known.get((tier, arm))) is cls:
            return self._known[tier, arm]
        layers = (self.settings, self.arm_settings[arm], chosen.overrides, chosen.arms.get(arm, {}))
        merged = {key: value for layer in layers for key, value in layer.items()}
        file = f"pipelines/{self.paper}/experiments.yaml"
        where = f"{file}: {self.name}, arm {arm}, tier {tier}"
        lines = {key: line for layer in layers for key, line in getattr(layer, "lines", {}).items()}
        places = {key: f"{file}, line {line}" for key, line in lines.items()}
        with blamed(self.paper):
            found = declarations.resolve(cls, merged, where=where, places=places)
        self._known[tier, arm] = found
        return found

    def _run(self, arm: str, tier: str, seed: int, settings: Any, data: Mapping[str, str]) -> Run:
        """One run; the one made before, whose name is known already, if nothing has changed."""
        run = self._known.get((tier, arm, seed))
        if run is None or run.settings is not settings or run.data != data:
            run = Run(self.paper, self.name, arm, tier, seed, settings, self.revision, data)
            self._known[tier, arm, seed] = run
        return run

    def runs(
        self, tier: str, arms: Iterable[str] | None = None, seeds: Iterable[int] | None = None
    ) -> list[Run]:
        """The runs of a tier in declared order (arm by arm, then seed by seed), or some of them.

        Raises:
            UserError: for an unknown tier, arm or seed.
        """
        declared = self.tier(tier).seeds
        chosen_arms = self.arms if arms is None else tuple(arms)
        chosen_seeds = declared if seeds is None else tuple(seeds)
        for seed in chosen_seeds:
            if seed not in declared:
                raise UserError(f"{self.paper}/{self.name}: {unknown('seed', seed, map(str, declared))}")
        cls = attribute(self.paper, "settings", "Settings")
        made = []
        for arm, settings in zip(chosen_arms, each(lambda arm: self._settings(cls, arm, tier), chosen_arms)):
            try:
                data = {name: checksum(name) for name in datasets(settings)}
            except UserError as error:
                raise UserError(f"{self.paper}/{self.name}, arm {arm}, tier {tier}: {error}") from None
            made += [self._run(arm, tier, seed, settings, data) for seed in chosen_seeds]
        return made


@dataclass(frozen=True)
class Paper:
    """One paper's experiments, and the names of the tables and figures that its report declares."""

    name: str
    title: str
    revision: int
    tables: tuple[str, ...]
    figures: tuple[str, ...]
    experiments: Mapping[str, Experiment]

    @property
    def artefacts(self) -> dict[str, tuple[str, str]]:
        """The files of the report, in its folder, each with its kind and what it shows."""
        tables = {f"{name}{end}": ("Tables", name) for name in self.tables for end in (".md", ".csv")}
        names = (*self.figures, AGREEMENT)
        figures = {f"{name}{end}": ("Figures", name) for name in names for end in (".svg", ".png")}
        return dict.fromkeys(("index.html", "report.md"), ("Report", "report")) | tables | figures

    def experiment(self, name: str) -> Experiment:
        """The experiment called ``name``.

        Raises:
            UserError: if there is none.
        """
        if name not in self.experiments:
            raise UserError(f"{self.name}: {unknown('experiment', name, self.experiments)}")
        return self.experiments[name]


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def identity(inputs: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of the inputs' canonical JSON."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def datasets(settings: Any) -> tuple[str, ...]:
    """Names of the data sets that a run reads: those of ``Settings.datasets()``, else its ``dataset``."""
    if hasattr(settings, "datasets"):
        return tuple(settings.datasets())
    name = getattr(settings, "dataset", "")
    return (name,) if name else ()


def checksum(name: str) -> str:
    """Identity of a data set's content, from the catalogue.

    Raises:
        UserError: if the catalogue does not have it.
    """
    from shared.data import catalogue

    known = catalogue.load()
    if name not in known:
        raise UserError(unknown("data set", name, known))
    return str(known[name].checksum)


def possible(experiments: Iterable[Experiment]) -> tuple[list[Experiment], list[str]]:
    """Those whose packages are installed, and a sentence on each of the others."""
    there, left = [], []
    for experiment in experiments:
        if lacking := experiment.lacking:
            name = f"{experiment.paper}/{experiment.name}"
            left.append(
                f"{name}: not run here, without {' and '.join(lacking)}; README.md says how to install it"
            )
        else:
            there.append(experiment)
    return there, left


def papers(include_templates: bool = False) -> list[str]:
    """Names of the papers, that is, of the folders of pipelines/ with an experiments.yaml.

    Raises:
        UserError: if one is not the name of a package.
    """
    names = sorted(file.parent.name for file in paths.pipelines().glob("*/experiments.yaml"))
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):  # it is imported, and part of addresses
            raise UserError(
                f"pipelines/{name}: a folder with an experiments.yaml is a package of Python, whose name has "
                "letters, digits and _ only; rename it"
            )
    return [name for name in names if include_templates or not name.startswith("_")]


def load(paper: str) -> Paper:
    """Read a paper's experiments.yaml.

    Raises:
        UserError: if there is no such paper or the file has a mistake; the message says where.
    """
    return _load(paper, declarations.text_of(paper))


@functools.lru_cache(maxsize=64)
def _load(paper: str, text: str) -> Paper:
    declared = declarations.parse(paper, text)
    revision = declared["revision"]
    made = {
        name: _experiment(paper, name, revision, values) for name, values in declared["experiments"].items()
    }
    tables, figures = (tuple(declared.get(key, ())) for key in ("tables", "figures"))
    return Paper(paper, str(declared["title"]), revision, tables, figures, made)


def _experiment(paper: str, name: str, revision: int, values: Mapping[str, Any]) -> Experiment:
    tiers = {}
    for tier in (t for t in paths.TIERS if t in values["tiers"]):
        given = values["tiers"][tier]
        tiers[tier] = Tier(
            name=tier,
            seeds=declarations.seeds(given["seeds"], f"{paper}/{name}, tier {tier}"),
            overrides=given.without(declarations.TIER_KEYS),
            arms={arm: v or {} for arm, v in (given.get("arms") or {}).items()},
            replicas=given.get("replicas"),
        )
    return Experiment(
        paper=paper,
        name=name,
        title=str(values["title"]),
        revision=revision,
        produces=tuple(values.get("produces") or ()),
        arms=tuple(values["arms"]),
        tiers=tiers,
        cost=values.get("cost") or {},
        settings=values.get("settings") or {},
        arm_settings={arm: v or {} for arm, v in values["arms"].items()},
        rows={
            arm: {"title": row} if isinstance(row, str) else row
            for arm, row in (values.get("rows") or {}).items()
        },
        needs=tuple(values.get("needs") or ()),
    )


def find(spec: str) -> Run:
    """The run that ``paper/experiment/tier/arm/seed`` names.

    Raises:
        UserError: if the text has another form or names something that is not declared.
    """
    parts = spec.split("/")
    if len(parts) != 5 or not re.fullmatch(r"[0-9]{1,10}", parts[4]):
        raise UserError(f"{spec!r} should have the form paper/experiment/tier/arm/seed")
    paper, experiment, tier, arm, seed = parts
    return load(paper).experiment(experiment).runs(tier, [arm], [int(seed)])[0]
