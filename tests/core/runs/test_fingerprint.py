"""The code fingerprint: what changes it, and what must not."""

from __future__ import annotations

import ast

import data_server
import pytest
import yaml

from shared.runs import fingerprint

FILES = {
    "datasets.yaml": "{}\n",
    "pipelines/paper/__init__.py": '"""A paper."""\n',
    "pipelines/paper/experiment.py": '''\
"""Train."""
from __future__ import annotations
from typing import TYPE_CHECKING
import numpy as np
from shared import nn
from shared.train import fit as train
from . import data
from .models import build
if TYPE_CHECKING:
    from shared.typing_only import Thing

def run(settings):
    """Train one arm."""
    # a comment
    from shared.late import late
    return train(build(nn.conv.Conv(), nn.Pool), data.load(), late)
''',
    "pipelines/paper/data.py": "from shared.data import prepare\ndef load():\n    return prepare.turn()\n",
    "pipelines/paper/models.py": "from ..paper.layers import *\ndef build(*parts):\n    return parts\n",
    "pipelines/paper/layers.py": "class Layer: pass\n",
    "pipelines/paper/tables.py": "def tables(): return []\n",
    "shared/__init__.py": '_PARTS = ("nn",)\ndef __getattr__(name): raise AttributeError(name)\n',
    "shared/nn/__init__.py": "from shared.nn.pool import Pool\nfrom .norm import Norm\n__all__ = ['Pool']\n",
    "shared/nn/conv.py": "from shared.algebra.groups import C4\nclass Conv: group = C4\n",
    "shared/nn/pool.py": "class Pool: pass\n",
    "shared/nn/norm.py": "class Norm: pass\n",
    "shared/algebra/groups.py": "import shared.nn.pool\nC4 = 4\nK = shared.nn.pool.Pool\n",
    "shared/train/__init__.py": "from shared.train.loop import fit\nfrom shared.train.other import unused\n",
    "shared/train/loop.py": "from shared.base.errors import UserError\n"
    "def fit(*parts):\n    raise UserError\n",
    "shared/train/other.py": "def unused(): pass\n",
    "shared/base/errors.py": "class UserError(Exception): pass\n",
    "shared/late.py": "late = 1\n",
    "shared/typing_only.py": "class Thing: pass\n",
    "shared/data/__init__.py": "from shared.data.obtain import get\ndef load(): return get()\n",
    "shared/data/obtain.py": "def get(): pass\n",
    "shared/data/prepare.py": "def turn(): return 1\n",
    "shared/report.py": "def report(): pass\n",
}
USED = {
    *(
        "pipelines.paper.experiment",
        "pipelines.paper.data",
        "pipelines.paper.models",
        "pipelines.paper.layers",
    ),
    *(
        "shared.nn.conv",
        "shared.nn.pool",
        "shared.algebra.groups",
        "shared.train.loop",
        "shared.late",
        "shared.data.prepare",
    ),
}


class Tree:
    """A checkout whose fingerprint is looked at again and again."""

    def __init__(self, root):
        self.root = root
        for name, text in FILES.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    def edit(self, name, old, new):
        text = (self.root / name).read_text()
        assert old in text
        (self.root / name).write_text(text.replace(old, new))

    def fingerprint(self):
        fingerprint.forget()
        return fingerprint.fingerprint("paper")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_ROOT", str(tmp_path))
    yield Tree(tmp_path)
    fingerprint.forget()


def test_closure_is_what_the_experiment_uses(tree):
    assert set(fingerprint.modules("paper")) == USED


@pytest.mark.parametrize("module", sorted(USED))
def test_a_change_of_any_used_module_counts(tree, module):
    before = tree.fingerprint()
    file = tree.root / (module.replace(".", "/") + ".py")
    file.write_text(file.read_text() + "more = 1\n")
    assert tree.fingerprint() != before


@pytest.mark.parametrize("name", sorted(set(FILES) - {f"{module.replace('.', '/')}.py" for module in USED}))
def test_a_change_of_any_other_file_does_not(tree, name):
    before = tree.fingerprint()
    file = tree.root / name
    file.write_text(file.read_text() + ("MORE = 1\n" if name.endswith(".py") else "more: {}\n"))
    assert tree.fingerprint() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Train one arm."""\n', '"""Train one arm, well."""\n'),
        ('    """Train one arm."""\n', ""),
        ("# a comment", "# another comment, and (brackets)"),
        ("    return train(build(", "    return train(\n        build("),
        ("from shared.typing_only import Thing", "from shared.report import report"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(tree, old, new):
    before = tree.fingerprint()
    tree.edit("pipelines/paper/experiment.py", old, new)
    assert tree.fingerprint() == before


def test_a_new_export_beside_the_used_ones_does_not_count(tree):
    before = tree.fingerprint()
    (tree.root / "shared/nn/lconv.py").write_text("class LConv: pass\n")
    tree.edit("shared/nn/__init__.py", "from .norm", "from .lconv import LConv\nfrom .norm")
    assert tree.fingerprint() == before


@pytest.mark.parametrize(
    "use",
    ["nn.Norm", "getattr(nn, name)", "list(map(nn.Norm, x))"],
)
def test_using_another_export_counts(tree, use):
    tree.edit("pipelines/paper/experiment.py", "nn.Pool)", f"nn.Pool, {use})")
    assert set(fingerprint.modules("paper")) == USED | {"shared.nn.norm"}


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("from shared.train import *", "shared.train.other"),
        ("import shared.train.other", "shared.train.other"),
        ("import shared.train.other as o", "shared.train.other"),
        ("from ..paper import tables", "pipelines.paper.tables"),
        ("from . import tables as t", "pipelines.paper.tables"),
        ("from shared import report", "shared.report"),
        ("from shared.data import load", "shared.data"),
        ("import shared.data; shared.data.load()", "shared.data"),
    ],
)
def test_every_form_of_import_is_followed(tree, line, module):
    tree.edit("pipelines/paper/layers.py", "class Layer", f"{line}\nclass Layer")
    assert set(fingerprint.modules("paper")) == USED | {module}


#: Where code lives, changed: files moved, then texts replaced.
MOVES = {
    "a module": (
        {"shared/algebra/groups.py": "shared/algebra/groups.py"},
        {"shared/nn/conv.py": ("from shared.algebra.groups import", "from shared.algebra.groups import")},
    ),
    "a module of the paper": (
        {"pipelines/paper/layers.py": "pipelines/paper/parts/layers.py"},
        {"pipelines/paper/models.py": ("from ..paper.layers", "from .parts.layers")},
    ),
    "a module that is imported in a function": (
        {"shared/late.py": "shared/base/late.py"},
        {"pipelines/paper/experiment.py": ("from shared.late", "from shared.base.late")},
    ),
    "one that is not followed": (
        {"shared/base/errors.py": "shared/base/errors.py"},
        {"shared/train/loop.py": ("shared.base.errors", "shared.base.errors")},
    ),
    "past a package": (
        {},
        {"pipelines/paper/experiment.py": ("from shared.train", "from shared.train.loop")},
    ),
    "lines": (
        {},
        {
            "pipelines/paper/experiment.py": (
                "from . import data\nfrom .models import build",
                "from .models import build\nfrom pipelines.paper import data",
            )
        },
    ),
}


@pytest.mark.parametrize("move", MOVES)
def test_where_code_lives_does_not_count(tree, monkeypatch, move):
    before = tree.fingerprint()
    files, edits = MOVES[move]
    monkeypatch.setattr(fingerprint, "NOT_FOLLOWED", fingerprint.NOT_FOLLOWED | {"shared.base.errors"})
    for old, new in files.items():
        (tree.root / new).parent.mkdir(exist_ok=True)
        (tree.root / old).rename(tree.root / new)
    for name, (old, new) in edits.items():
        tree.edit(name, old, new)
    assert tree.fingerprint() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import turn", "import back as turn"),
        ("from shared.data.prepare import turn", "from shared.data.other import turn"),
        ("from shared.data import prepare", "from shared.data import other as prepare"),
        (
            "from shared.data.prepare import turn\nfrom shared.data.other import late",
            "from shared.data.prepare import late\nfrom shared.data.other import turn",
        ),
    ],
)
def test_what_a_name_is_imported_from_counts(tree, old, new):
    """Also where the same modules are used before and after."""
    code = "def turn(): return 1\ndef back(): return 2\nlate = 3\n"
    (tree.root / "shared/data/prepare.py").write_text(code)
    (tree.root / "shared/data/other.py").write_text(code + "more = 4\n")
    (tree.root / "pipelines/paper/data.py").write_text(
        "from shared.data import prepare\nfrom shared.data.prepare import turn\n"
        "from shared.data.other import late\ndef load():\n    return prepare.back(), turn(), late\n"
    )
    uses = "from shared.data import other, prepare\nUSES = (other.turn, prepare.turn)\n"
    tree.edit("pipelines/paper/layers.py", "class Layer", f"{uses}class Layer")
    before, used = tree.fingerprint(), set(fingerprint.modules("paper"))
    tree.edit("pipelines/paper/data.py", old, new)
    assert set(fingerprint.modules("paper")) == used
    assert tree.fingerprint() != before


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("from shared import alias", "shared.alias"),
        ("import shared.alias", "shared.alias"),
        ("from shared.alias import Group", "shared.alias"),
        ("from shared.nn import Pooll", "shared.nn.Pooll"),
        ("from .nothing import x", "pipelines.paper.nothing"),
    ],
)
def test_an_import_that_leads_nowhere_is_an_error(tree, line, name):
    """For example a lazy alias of another module: that module's code would be overlooked."""
    tree.edit("pipelines/paper/layers.py", "class Layer", f"{line}\nclass Layer")
    message = rf"^pipelines.paper.layers imports {name}, which is no module here"
    with pytest.raises(fingerprint.UserError, match=message):
        tree.fingerprint()


def test_a_reader_counts_for_the_data_sets_of_its_format_only(tree):
    entries = data_server.catalogue([data_server.NOWHERE])
    entries["packed"] = {**entries["tiny"], "path": "data/packed", "format": "hdf5"}
    (tree.root / "datasets.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    for name in ("readers", "hdf5"):
        (tree.root / f"shared/data/{name}.py").write_text(f"def read(): pass\n{name} = 1\n")

    def of_all():
        fingerprint.forget()
        sets = ((), ("gone",), ("tiny",), ("packed",), ("tiny", "packed"))
        return [fingerprint.fingerprint("paper", data) for data in sets]

    before = of_all()
    assert before[0] == before[1] == tree.fingerprint()
    assert len(set(before)) == 4
    for name, changed in (("hdf5", {3, 4}), ("readers", {2, 4})):
        (tree.root / f"shared/data/{name}.py").write_text(f"def read(): return 1\n{name} = 1\n")
        after = of_all()
        assert {i for i, (old, new) in enumerate(zip(before, after)) if old != new} == changed
        before = after


def test_what_only_fetches_verified_content_is_not_followed(tree):
    tree.edit("pipelines/paper/data.py", "prepare\n", "prepare, get\n")
    assert "shared.data.obtain" not in fingerprint.modules("paper")
    assert "shared.base.errors" not in fingerprint.modules("paper")


def test_a_syntax_error_is_named(tree):
    tree.edit("shared/late.py", "late = 1", "late = (")
    with pytest.raises(fingerprint.UserError, match=r"shared\.late has a syntax error in line 1"):
        tree.fingerprint()


@pytest.mark.parametrize("content", [b"late = '\xe9'", b"late = 1\0"])
def test_bytes_that_are_no_source_are_named(tree, content):
    (tree.root / "shared/late.py").write_bytes(content)
    with pytest.raises(fingerprint.UserError, match=r"shared\.late has a syntax error"):
        tree.fingerprint()


SAMPLE = '''
"""Doc."""
from typing import Generic, TypeVar
T = TypeVar("T")
@staticmethod
async def f(a, /, b: int = 1, *c, d=None, **e) -> "int":
    """Doc."""
    x = f"{a!r:>{b}} {'quoted' if b else u'text'}" "tail" rf"\\d{a:}{a:.2f}" f"{{}}" ''
    y: list[int] = [*c, -1, 1_000, 0x10, 1e-3, 2j, b"bytes", ..., None, True, not a, a if b else c]
    match a:
        case {"k": [1, *rest], **others} | Point(x=0) if rest: pass
        case _: return lambda q, *, r=1: (q := r)
    async with a as b, c: await d
    try:
        del x[1:2, ::3], y.z
    except* (ValueError, KeyError) as error:
        raise RuntimeError from error
    for i, *j in e: continue
    else: yield {k: v async for k, v in a if k for w in v}
class C(Generic[T], metaclass=type): "Doc."
'''


def test_text_is_the_same_on_every_python():
    """Pinned on one version; if others disagreed, everybody's results would seem to be of earlier code."""
    digest = fingerprint.Source("sample", None, SAMPLE).digest
    assert digest == "d1d8cca2d4b86609"


def test_nothing_of_the_syntax_gets_lost():
    """Trees that differ in one constant or name have different texts."""
    seen = set()
    names = [node for node in ast.walk(ast.parse(SAMPLE)) if isinstance(node, ast.Name)]
    for index in range(len(names)):
        tree = ast.parse(SAMPLE)
        [node for node in ast.walk(tree) if isinstance(node, ast.Name)][index].id = "other"
        seen.add(fingerprint.Source("sample", None, ast.unparse(tree)).digest)
    assert len(seen) == len(names)
