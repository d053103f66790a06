"""README, CONTRIBUTING and docs: code runs, commands exist, links resolve, versions agree."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

import shared
from shared.base import paths
from shared.report import page as front
from shared.runs import config, declarations
from shared.workflow import cli

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / name
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "benchmarks/README.md",
        "pipelines/_template/README.md",
        ".github/pull_request_template.md",
    )
] + sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What stands for a name in a command.
PLACEHOLDERS = {
    "<paper>": "subsampling",
    "<experiment>": "table1",
    "<tier>": "lite",
    "<arm>": "p4cnn_28_upright",
}
RENDERED = (ROOT / "reports" / "index.html").is_file()


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(text) if kind == language]


def code(text: str) -> Iterator[str]:
    """Every piece of code that may be a command: lines of blocks, and inline code."""
    for kind, body in FENCE.findall(text):
        if kind not in ("python", "text"):
            yield from body.splitlines()
    rest = FENCE.sub("", text)
    yield from (line.strip() for line in rest.splitlines() if line.startswith("    "))
    yield from re.findall(r"`([^`\n]+)`", rest)


def commands(text: str) -> Iterator[list[str]]:
    for piece in code(text):
        for placeholder, name in PLACEHOLDERS.items():
            piece = piece.replace(placeholder, name)
        for command in piece.split(" && "):
            words = (
                shlex.split(command.replace("#", " #"), comments=True) if command.count('"') % 2 == 0 else []
            )
            if len(words) > 1:
                yield words


def all_commands(*start: str) -> list[tuple[str, list[str]]]:
    return [
        (page.name, words)
        for page in PAGES
        for words in commands(read(page))
        if tuple(words[: len(start)]) == start
    ]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(read(p), "python")], ids=lambda p: p.name)
def test_python_examples_run(page: Path) -> None:
    if "escnn" in page.name:
        if int(np.__version__.split(".")[0]) >= 2:
            pytest.skip("escnn needs numpy below 2")
        pytest.importorskip("escnn")
    for example in blocks(read(page), "python"):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(example, page.name, "exec"), {})
        assert printed.getvalue().strip(), "an example should show something"


def test_readme_example_prints_what_the_readme_says() -> None:
    text = read(ROOT / "README.md")
    example, promised = blocks(text, "python")[0], blocks(text, "text")[0]
    assert len([line for line in example.splitlines() if line]) <= 6
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(example, "README.md", "exec"), {})
    for said, shown in zip(promised.splitlines(), printed.getvalue().splitlines(), strict=True):
        (number, verdict), (measured, found) = said.split(" ", 1), shown.split(" ", 1)
        assert found == verdict
        assert (float(measured) < 1e-5) == (float(number) < 1e-5) == verdict.startswith("exact")


def test_first_screen_of_the_readme() -> None:
    text = read(ROOT / "README.md")
    order = ["# ", front.README_START, front.README_END, "make reports", "make test", "![", "```python"]
    found = [text.index(part) for part in order]
    assert found == sorted(found)
    assert text.count(front.README_START) == text.count(front.README_END) == 1


def test_readme_says_which_papers_are_here() -> None:
    paragraph = next(p for p in read(ROOT / "README.md").split("\n\n") if p.startswith("**What is here now"))
    assert set(re.findall(r"`(\w+)`", paragraph)) == set(config.papers())


def test_make_targets_exist() -> None:
    makefile = read(ROOT / "Makefile")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    variables = {"TORCH", *re.findall(r"^([A-Z]+) *\?=", makefile, re.MULTILINE)}
    found = all_commands("make")
    assert len(found) > 10
    for name, words in found:
        for word in words[1:]:
            assert word in targets or word.partition("=")[0] in variables, f"{name}: {' '.join(words)}"


def test_pipeline_commands_exist() -> None:
    seen = 0
    for name, words in all_commands("python", "-m"):
        module, _, paper = words[2].partition(".")
        if module != "pipelines" or len(words) == 3:
            continue
        seen += 1
        try:
            asked = cli.parser(paper or None).parse_args(words[3:])
        except SystemExit:
            pytest.fail(f"{name}: {' '.join(words)} is refused by the command line")
        if paper and asked.command == "run":
            check_run(config.load(paper), asked)
    assert seen > 10


def check_run(paper: config.Paper, asked: object) -> None:
    """A run that is named must be declared; without names, every experiment that has the tier is meant."""
    able = [name for name, experiment in paper.experiments.items() if asked.tier in experiment.tiers]
    assert able
    for target in asked.targets or able:
        seeds = declarations.seeds(asked.seeds, "--seeds") if asked.seeds else None
        assert paper.experiment(target).runs(asked.tier, asked.arms, seeds)


def test_benchmark_commands_exist() -> None:
    runner = pytest.importorskip("benchmarks.runner")
    found = [w for _, w in all_commands("python", "-m") if w[2].split(".")[0] == "benchmarks"]
    assert {w[2] for w in found} >= {"benchmarks", *(f"benchmarks.{name}" for name in runner.NAMES)}
    for words in found:
        runner._parser().parse_args(words[3:])


def test_engine_commands_exist() -> None:
    from shared.workflow.orchestrate import Request

    rules = set(re.findall(r"^rule (\w+):", read(ROOT / "Snakefile"), re.MULTILINE))
    options = {field.name for field in dataclasses.fields(Request)}
    found = all_commands("snakemake")
    assert found
    files = {f"reports/{paper}/{file}" for paper in config.papers() for file in config.load(paper).artefacts}
    targets = rules | files
    for name, words in found:
        settings = [w for w in words if "=" in w and not w.startswith("-")]
        assert {s.partition("=")[0] for s in settings} <= options, f"{name}: {words}"
        assert words[-1] in targets or words[-1] in settings or words[-1].startswith("-"), f"{name}: {words}"
        if "--workflow-profile" in words:
            assert (ROOT / words[words.index("--workflow-profile") + 1] / "config.yaml").is_file()
    recorded = yaml.safe_load(read(ROOT / "dvc.yaml"))["vars"][-1]["recorded"]
    for name, words in all_commands("dvc", "repro"):
        if len(words) > 2:
            paper, _, experiment = words[2].partition("@")
            assert experiment in recorded[paper], f"{name}: {words}"


def anchors(text: str) -> set[str]:
    """GitHub's names of the headings."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", read(page))):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        if place.is_relative_to(ROOT / "reports") and not RENDERED:
            continue  # a checkout whose reports are not rendered yet
        assert place.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(read(place)), f"{target}: no such heading"


def test_every_page_is_found_from_the_readme() -> None:
    text = read(ROOT / "README.md")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in text


def test_symmetry_table_agrees_with_the_atlas() -> None:
    from shared import atlas, nn
    from shared.algebra import groups

    text = read(ROOT / "docs" / "when-equivariance-breaks.md")
    layer = nn.LiftingConv(1, 2, 3, group=groups.dihedral(4), stride=2, padding=1)
    sizes = [(8, 8), (9, 9), (8, 9), (9, 8)]
    header = next(line for line in text.splitlines() if line.startswith("| symmetry | needs |"))
    assert [f"{h}x{w}" for h, w in sizes] == [cell.strip() for cell in header.split("|")[3:-1]]
    rows = re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\|(.*)\|$", text, re.MULTILINE)
    assert {name for name, _ in rows} == set(atlas.SYMMETRIES)
    for name, cells in rows:
        found = ["exact" if atlas.atlas(layer, size, name) else "broken" for size in sizes]
        assert [cell.strip() for cell in cells.split("|")] == found, name


def test_versions_agree() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    released = re.findall(r"^## \[(\d[\w.]*)\] - \d{4}-\d\d-\d\d$", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    citation = yaml.safe_load(read(ROOT / "CITATION.cff"))
    assert released[0] == project["version"] == citation["version"] == shared.__version__
    assert project["license"] == citation["license"] == "Apache-2.0"


def test_changelog_knows_every_revision() -> None:
    text = read(ROOT / "CHANGELOG.md")
    for name in config.papers():
        assert f"- {name}, revision {config.load(name).revision}:" in text


def test_citation_names_the_papers() -> None:
    citation = yaml.safe_load(read(ROOT / "CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    papers = {r["title"]: r for r in citation["references"] if r["type"] != "software"}
    assert len(papers) >= 4
    assert all(r["authors"] and r["year"] and r["url"] for r in papers.values())
    assert {config.load(name).title for name in config.papers()} <= set(papers)


def test_licence_is_the_whole_standard_text() -> None:
    lines = [line.strip() for line in read(ROOT / "LICENSE").splitlines()]
    assert "Version 2.0, January 2004" in lines
    assert [line for line in lines if re.match(r"\d\. [A-Z]", line)][-1].startswith("9. Accepting Warranty")
    assert "Copyright 2026 The equivariance reproductions authors" in lines
    assert lines[-1] == "limitations under the License."


def test_root_of_this_checkout() -> None:
    assert paths.root() == ROOT
