"""Who may import what, read from the source; and that importing the core is cheap."""

from __future__ import annotations

import ast
import functools
import graphlib
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import shared

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("shared", "pipelines", "benchmarks", "scripts", "tests")
#: What each wing of the core may import of the core, beside itself.
LIBRARY = ("base", "algebra", "nn", "measure", "atlas", "testing")
LAYERS = {
    **{wing: set(LIBRARY[:place]) for place, wing in enumerate(LIBRARY)},
    "atlas": {"base", "algebra", "nn"},  # beside measure, not above it
    "data": {"base"},
    "runs": {"base", "data"},
    "report": {"base", "data", "runs"},
    "workflow": {"base", "data", "runs", "report"},
    "train": {"base", "algebra", "nn", "runs.api"},
}
#: Wings that work where torch is not installed; of `data`, what the others need.
WITHOUT_TORCH = {"base", "runs", "report", "workflow"}
#: Stands for the module of an `import_module` whose name is computed.
COMPUTED = "<computed>"
SOURCES = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))


def part(file: Path) -> str:
    """The wing of a module of the core."""
    return file.relative_to(ROOT).parts[1]


def imports(file: Path) -> set[str]:
    """Full names of all that a file imports, wherever in it, but not for type checkers only."""
    found = set()
    package = list(file.relative_to(ROOT).with_suffix("").parts[:-1])
    todo: list[ast.AST] = [ast.parse(file.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            constant = isinstance(node.args[0], ast.Constant)
            found.add(node.args[0].value if constant else COMPUTED)
    return found


IMPORTS = {file: imports(file) for file in SOURCES}
CORE = [file for file in SOURCES if file.is_relative_to(ROOT / "shared")]
PIPELINES = [file for file in SOURCES if file.is_relative_to(ROOT / "pipelines")]


def offenders(files: list[Path], name: str) -> list[str]:
    """The files that import a top-level module."""
    return [str(f.relative_to(ROOT)) for f in files if any(i.split(".")[0] == name for i in IMPORTS[f])]


def test_something_was_read():
    assert len(CORE) > 40
    assert len(PIPELINES) > 10
    assert imports(Path(__file__)) >= {"ast", "shared", "pathlib.Path", "collections.Counter"}


def test_shared_is_this_repository():
    assert Path(shared.__file__).resolve() == ROOT / "shared" / "__init__.py"


def test_every_module_of_the_core_stands_in_a_wing():
    loose = {part(file) for file in CORE} - set(LAYERS)
    assert loose == {"__init__.py"}


@pytest.mark.parametrize("wing", sorted(LAYERS))
def test_a_wing_imports_only_what_stands_before_it(wing):
    files = [file for file in CORE if part(file) == wing]
    assert files
    upward = set()
    for file in files:
        for module in (name.split(".")[1:] for name in IMPORTS[file] if name.split(".")[0] == "shared"):
            allowed = LAYERS[wing] | {wing}
            if module[0] not in allowed and ".".join(module[:2]) not in allowed:
                upward.add((str(file.relative_to(ROOT)), ".".join(module)))
    assert upward == set()


def module_of(name: str) -> str:
    """The module of ours that the full name of an import leads to; empty if it leads nowhere."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:count])
        if place.with_suffix(".py").is_file():
            found = place.with_suffix(".py")
        elif (place / "__init__.py").is_file():
            found = place / "__init__.py"
        else:
            continue
        names = parts[count:]
        bound = not names or (len(names) == 1 and names[0] in _names(found))
        return ".".join(parts[:count]) if bound else ""
    return ""


@functools.cache
def _names(file: Path) -> set[str]:
    """What a module binds at its top, or gives on demand."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    if "__getattr__" in found:
        package = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found |= set(getattr(importlib.import_module(package), "__all__", ()))
    return found


def test_no_import_leads_nowhere():
    """With an editable install, what was deleted here may still be found in another checkout."""
    lost = set()
    for file in SOURCES:
        for name in IMPORTS[file]:
            if name.split(".")[0] in ("shared", "pipelines", "benchmarks") and not module_of(name):
                lost.add((str(file.relative_to(ROOT)), name))
    assert lost == set()


def test_no_module_of_the_core_needs_itself():
    """By way of others, imports inside functions included; a package may import its parts."""
    needs = {}
    for file in CORE:
        own = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        targets = {module_of(name) for name in IMPORTS[file] if name.split(".")[0] == "shared"}
        lazy = file.name == "__init__.py"
        needs[own] = {t for t in targets if t and t != own and not (lazy and t.startswith(own + "."))}
    try:
        order = tuple(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        order, circle = (), error.args[1]
        raise AssertionError(f"a circle of imports: {' -> '.join(circle)}") from None
    assert len(order) >= len(CORE)


def test_the_core_does_not_know_the_pipelines():
    assert offenders(CORE, "pipelines") == []


def test_pipelines_do_not_know_each_other():
    for file in PIPELINES:
        mine = file.relative_to(ROOT).parts[1]
        others = {i for i in IMPORTS[file] if i.split(".")[0] == "pipelines" and i.split(".")[1] != mine}
        assert others == set(), file


def test_no_torch_where_records_and_reports_are_made():
    files = [file for file in CORE if part(file) in WITHOUT_TORCH]
    files += [file for file in PIPELINES if file.name in ("settings.py", "tables.py", "figures.py")]
    assert offenders(files, "torch") == []
    assert {part(file) for file in files} >= WITHOUT_TORCH


def test_importing_the_torchless_parts_does_not_load_torch():
    """Also not by way of other modules."""
    code = "import sys; [__import__(name) for name in sys.argv[1:]]; print('torch' in sys.modules)"
    names = [".".join(f.relative_to(ROOT).with_suffix("").parts) for f in CORE if part(f) in WITHOUT_TORCH]
    names += ["shared.data", "pipelines.subsampling.tables"]
    done = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_importing_shared_loads_nothing_heavy():
    code = "import shared, sys; print([n for n in ('torch', 'numpy', 'pandas', 'yaml') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


#: Imports every module of the core where modules that only Unix has are missing; prints what that needed.
ELSEWHERE = """
import importlib, pkgutil, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[1:]:
            raise ModuleNotFoundError(f"no module {name} here", name=name)

for name in sys.argv[1:]:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
import signal
for name in ("SIGHUP", "SIGQUIT", "SIGALRM", "SIGKILL", "SIGBUS", "setitimer", "pthread_sigmask"):
    delattr(signal, name)
import shared
for module in pkgutil.walk_packages(shared.__path__, "shared."):
    try:
        importlib.import_module(module.name)
    except (ModuleNotFoundError, AttributeError) as error:
        print(module.name, "needs", error.name)
"""


def test_the_core_can_be_imported_where_there_is_no_unix():
    unix = ("fcntl", "grp", "pwd", "resource", "syslog", "termios")
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *unix], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""


def test_baselines_are_imported_in_one_place():
    for library in ("escnn", "e2cnn"):
        assert set(offenders([*CORE, *PIPELINES], library)) <= {"shared/nn/baselines.py"}
    computed = {"__init__", "data/loading", "nn/baselines", "runs/__init__", "runs/paper_modules"}
    computed = {f"shared/{name}.py" for name in computed}
    assert set(offenders([*CORE, *PIPELINES], COMPUTED)) == computed


def test_pictures_are_drawn_in_figures_only():
    for library in ("matplotlib", "seaborn"):
        for name in offenders([*CORE, *PIPELINES], library):
            kit = name in ("shared/report/plots.py", "shared/report/groups.py")
            assert kit or Path(name).name.startswith("figures"), name


def test_nobody_imports_torchvision():
    assert offenders(SOURCES, "torchvision") == []


def test_test_files_have_names_of_their_own():
    names = Counter(file.name for file in SOURCES if file.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize(
    "file", [f for f in SOURCES if f.name.startswith("test_")], ids=lambda file: file.name
)
def test_test_files_hold_tests_that_can_fail(file):
    functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
    checking = {function.name for function in functions if _checks(function, {"check"})}
    tests = [function for function in functions if function.name.startswith("test_")]
    assert tests, "no test in it"
    assert [test.name for test in tests if not _checks(test, checking)] == []


def _checks(function: ast.FunctionDef, helpers: set[str]) -> bool:
    """Whether a function asserts something, expects an error or warning, or calls a helper that does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in {"raises", "warns"} | helpers or name.startswith("assert_"):
                return True
    return False


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a copy without git")
def test_lines_end_the_same_in_every_clone():
    """With core.autocrlf a clone would have other bytes: changed for DVC, and bash takes no CRLF."""
    done = subprocess.run(["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        facts, _, name = line.partition("\t")
        index, _, attributes = facts.split(maxsplit=2)
        assert index in ("i/lf", "i/none", "i/-text"), name
        assert "eol=lf" in attributes or "-text" in attributes, name
