"""Fingerprint of the code behind a run: the modules its experiment uses, read as syntax.

Comments, docstrings and layout do not count, and the digest of a module is the same on every supported
Python (that of ``ast.dump`` is not). Followed are the imports of this repository's own modules, by name: a
package's ``__init__`` that only re-exports is looked through, so that a new layer in `shared.nn` does not age
the results of papers that do not use it.

Where code lives does not count: of an import of ours counts what it leads to, that is, which name of which
code, not the module's name. Readers of data sets count for the runs that read such a set. Not seen: other
imports made from computed names, and other libraries.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from shared.base import paths
from shared.base.errors import UserError
from shared.data import catalogue

#: A binding of a name by an import: the module, and the name taken from it (None for the module itself).
Binding = tuple[str, str | None]
#: Names of attributes one after the other, as in ``nn.conv.Conv``.
Chain = tuple[str, ...]
#: Not followed, since they change no number: what they fetch is held against the checksum in the identity.
NOT_FOLLOWED = {
    "shared.runs.config",
    "shared.data.archives",
    "shared.data.catalogue",
    "shared.data.digest",
    "shared.data.obtain",
    "shared.base.errors",
    "shared.base.files",
    "shared.base.paths",
}


def fingerprint(paper: str, data: Collection[str] = ()) -> str:
    """Sixteen hexadecimal digits for the code of ``pipelines/<paper>/experiment.py`` and what it uses.

    Taken once per process, because a process computes with the code it has loaded; `forget` forgets it.

    Args:
        paper: its name.
        data: names of the data sets that a run reads; what the catalogue does not know is passed over.

    Raises:
        UserError: as `modules`.
    """
    return _fingerprint(paths.root(), paper, readers(data))


def readers(data: Collection[str]) -> tuple[str, ...]:
    """The modules that read some data sets, by name."""
    known = catalogue.load() if data else {}
    return tuple(sorted({catalogue.READERS[known[name].format] for name in data if name in known}))


def forget() -> None:
    """Look at the code again at the next call of `fingerprint`."""
    _fingerprint.cache_clear()


@functools.cache
def _fingerprint(root: Path, paper: str, readers: tuple[str, ...]) -> str:
    return _digest(sorted(modules(paper, readers).values()))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def modules(paper: str, readers: Iterable[str] = ()) -> dict[str, str]:
    """Digest of each module that a paper's experiment uses, itself included, by dotted name.

    Args:
        paper: its name.
        readers: modules that are used, too.

    Raises:
        UserError: if the paper has no experiment.py, a module has a syntax error, or an import of ours
            leads nowhere.
    """
    entry = f"pipelines.{paper}.experiment"
    if not (paths.pipeline(paper) / "experiment.py").is_file():
        raise UserError(
            f"pipelines/{paper} has no experiment.py; pipelines/_template/experiment.py shows its form"
        )
    closure = _Closure(paths.root())
    found, todo = {}, [entry, *filter(closure.file, readers)]
    while todo:
        name = todo.pop()
        if name not in found:
            module = closure.module(name)
            ends = [end for end in closure.ends(module) if end.module not in NOT_FOLLOWED]
            links = {(end.local, end.name, closure.module(end.module).digest) for end in ends}
            found[name] = _digest([module.digest, sorted(links)])
            todo += [end.module for end in ends]
    return dict(sorted(found.items()))


class End(NamedTuple):
    """Where an import of ours leads: the name it has here, the module with the code, the name there or ""."""

    local: str
    module: str
    name: str


class _Closure:
    """Finds the modules of one checkout and follows names through them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._modules: dict[str, Source] = {}
        self._files: dict[str, Path | None] = {}

    def file(self, name: str) -> Path | None:
        """The file of a module; the folder of a package without ``__init__``; None if it is not ours."""
        if not _is_ours(name):
            return None
        if name not in self._files:
            base = self.root.joinpath(*name.split("."))
            options = (base.with_name(base.name + ".py"), base / "__init__.py", base)
            found = (f for f in options if f.is_file() or (f == base and f.is_dir()))
            self._files[name] = next(found, None)
        return self._files[name]

    def module(self, name: str) -> Source:
        """The module of a name that has a file or a folder."""
        if name not in self._modules:
            file = self.file(name)
            if file is None:
                raise KeyError(name)
            content = b"" if file.is_dir() else file.read_bytes()
            self._modules[name] = _read(name, None if file.is_dir() else file, content)
        return self._modules[name]

    def ends(self, module: Source) -> set[End]:
        """Where a module's imports lead: modules with code of their own.

        Raises:
            UserError: if one of ours leads nowhere, such as a lazy alias: its code would be overlooked.
        """
        uses = [("*", base, ()) for base in module.stars]
        for local, targets in module.bindings.items():
            for base, name in targets:
                for chain in module.chains.get(local) or {()}:
                    uses.append((local, base, (name, *chain) if name else chain))
        try:
            return {
                End(local, found, rest[0] if rest else "")
                for local, base, chain in uses
                for found, rest in self._follow(base, chain, frozenset())
            }
        except LookupError as error:
            raise UserError(
                f"{module.name} imports {error.args[0]}, which is no module here and no name in one; import "
                "it from the module that defines it"
            ) from None

    def _follow(self, base: str, chain: Chain, seen: frozenset[Any]) -> set[tuple[str, Chain]]:
        """The modules behind the expression ``base.a.b``, each with the part of the chain that is left there.

        An empty chain stands for all that base offers.
        """
        if self.file(base) is None and _is_ours(base) and (self.root / base.partition(".")[0]).is_dir():
            raise LookupError(base)
        if self.file(base) is None or (base, chain) in seen:
            return set()
        seen |= {(base, chain)}
        module = self.module(base)
        if chain:
            first, rest = chain[0], chain[1:]
            bound = first in module.bindings and (base, first) not in module.bindings[first]
            if not bound and first not in module.defined and self.file(f"{base}.{first}"):
                return self._follow(f"{base}.{first}", rest, seen)
            if not module.only_reexports or first in module.defined:
                return {(base, chain)}
            if not bound and not module.stars and not first.startswith("__"):
                raise LookupError(f"{base}.{first}")
            named = [(b, (n, *rest) if n else rest) for b, n in module.bindings.get(first, ())]
            return set().union(*(self._follow(b, names, seen) for b, names in named))
        if not module.only_reexports:
            return {(base, ())}
        everything = [(b, n) for targets in module.bindings.values() for b, n in targets]
        everything += [(star, None) for star in module.stars]
        return set().union(*(self._follow(b, (n,) if n else (), seen) for b, n in everything))


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("shared", "pipelines")


@functools.cache
def _read(name: str, file: Path | None, content: bytes) -> Source:
    """The module of a name from its file's content; None and no content for a folder without ``__init__``.

    Raises:
        UserError: if it has a syntax error.
    """
    return Source(name, file, content)


class Source:
    """One module.

    Attributes:
        is_package: whether it is a folder.
        bindings: what each imported name may stand for.
        stars: modules from which everything is imported.
        only_reexports: whether it only passes on names of other modules.
        defined: the names it binds itself.
        chains: the attribute chains each imported name is used with.
        digest: sixteen hexadecimal digits for its code, without its imports of ours.
    """

    def __init__(self, name: str, file: Path | None, content: bytes) -> None:
        self.name = name
        self.is_package = file is None or file.name == "__init__.py"
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError) as error:  # the latter for null bytes
            line = f" in line {error.lineno}" if getattr(error, "lineno", None) else ""
            raise UserError(f"{name} has a syntax error{line}: {getattr(error, 'msg', error)}") from None
        self.bindings: dict[str, set[Binding]] = {}
        self.stars: set[str] = set()
        nodes = list(_walk(tree))
        for node in nodes:
            self._bind(node)
        self.only_reexports = all(_is_plumbing(node) for node in tree.body)
        self.defined = {name for node in tree.body for name in _names_defined(node)}
        self.chains = _chains(nodes, set(self.bindings))
        for node in nodes:
            for part in ("body", "orelse", "finalbody"):
                block = getattr(node, part, None)
                if isinstance(block, list):
                    setattr(node, part, [child for child in block if not self._is_of_ours(child)])
        self.digest = _digest(_plain(tree))

    def _is_of_ours(self, node: ast.stmt) -> bool:
        """Whether a statement imports from this repository only."""
        if isinstance(node, ast.Import):
            return all(_is_ours(alias.name) for alias in node.names)
        return isinstance(node, ast.ImportFrom) and _is_ours(self._base(node))

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.partition(".")[0]
                target = alias.name if alias.asname else local
                self.bindings.setdefault(local, set()).add((target, None))
                if not alias.asname and "." in alias.name:
                    self.bindings.setdefault(alias.name, set()).add((alias.name, None))
        elif isinstance(node, ast.ImportFrom):
            base = self._base(node)
            for alias in node.names:
                if alias.name == "*":
                    self.stars.add(base)
                else:
                    self.bindings.setdefault(alias.asname or alias.name, set()).add((base, alias.name))

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".") if self.is_package else self.name.split(".")[:-1]
        parts = parts[: len(parts) - node.level + 1]
        return ".".join([*parts, node.module] if node.module else parts)


def _walk(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes of a module, once its docstrings and the imports that only type checkers see are removed."""
    todo: deque[ast.AST] = deque([tree])
    while todo:
        node = todo.popleft()
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
            node.body = [child for child in node.body if not _is_type_checking(child)]
        todo.extend(ast.iter_child_nodes(node))
        yield node


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _is_plumbing(node: ast.stmt) -> bool:
    """Whether a statement of a module only passes names on: imports, constants, lazy loading."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    if isinstance(node, ast.FunctionDef):
        return node.name in ("__getattr__", "__dir__")
    return isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets)


def _names_defined(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    stores = (n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    return {n.id for n in stores}


def _chains(nodes: list[ast.AST], names: set[str]) -> dict[str, set[tuple[str, ...]]]:
    """The attribute chains each imported name is used with: ``nn.conv.f(x)`` gives ``("conv", "f")``."""
    found: dict[str, set[tuple[str, ...]]] = {}
    inner = {id(n.value) for n in nodes if isinstance(n, ast.Attribute)}
    for node in nodes:
        if id(node) in inner:
            continue
        chain: list[str] = []
        while isinstance(node, ast.Attribute):
            chain.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in names:
            found.setdefault(node.id, set()).add(tuple(reversed(chain)))
    return found


def _plain(node: Any) -> Any:
    """A syntax tree as plain data without the fields that are empty, positional or of one Python version."""
    if isinstance(node, list):
        return [_plain(child) for child in node]
    if not isinstance(node, ast.AST):
        return node if node is None or isinstance(node, (bool, int)) else repr(node)
    if isinstance(node, ast.JoinedStr):
        return ["JoinedStr", _joined(node.values)]
    pairs = {}
    for name in _counted(type(node)):
        value = getattr(node, name, None)
        if value is not None and value != []:  # most are empty: this is where the time goes
            plain = _plain(value)
            if plain not in ([], ["JoinedStr", []]):
                pairs[name] = plain
    return [type(node).__name__, pairs]


@functools.cache
def _counted(kind: type[ast.AST]) -> list[str]:
    """The fields of a kind of node that count, by name."""
    return sorted(set(kind._fields) - {"type_comment", "kind", "ctx"})


def _joined(values: list[ast.expr]) -> list[Any]:
    """The parts of an f-string with neighboring texts joined, since Python versions cut them differently."""
    parts: list[Any] = []
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            if parts and isinstance(parts[-1], str):
                parts[-1] += value.value
            elif value.value:
                parts.append(value.value)
        else:
            parts.append(_plain(value))
    return parts
