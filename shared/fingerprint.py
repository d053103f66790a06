"""Fingerprint of the code behind a paper's results: the modules its experiment uses, read as syntax.

Comments, docstrings and layout do not count, and the digest of a module is the same on every supported
Python (that of ``ast.dump`` is not). Followed are the imports of this repository's own modules, by name: a
package's ``__init__`` that only re-exports is looked through, so that a new layer in `shared.nn` does not age
the results of papers that do not use it. Not seen: imports made from computed names, and other libraries.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared import paths
from shared.errors import UserError

#: A binding of a name by an import: the module, and the name taken from it (None for the module itself).
Binding = tuple[str, str | None]
#: Not followed, since they change no number: what they fetch is held against the checksum in the identity.
NOT_FOLLOWED = {
    "shared.config",
    "shared.data.archives",
    "shared.data.catalogue",
    "shared.data.digest",
    "shared.data.obtain",
    "shared.errors",
    "shared.files",
    "shared.paths",
}


def fingerprint(paper: str) -> str:
    """Sixteen hexadecimal digits for the code of ``pipelines/<paper>/experiment.py`` and what it uses.

    Taken once per process, because a process computes with the code it has loaded; `forget` forgets it.

    Raises:
        UserError: if the paper has no experiment.py, or a module has a syntax error.
    """
    return _fingerprint(paths.root(), paper)


def forget() -> None:
    """Look at the code again at the next call of `fingerprint`."""
    _fingerprint.cache_clear()


@functools.cache
def _fingerprint(root: Path, paper: str) -> str:
    text = json.dumps(modules(paper), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def modules(paper: str) -> dict[str, str]:
    """Digest of each module that a paper's experiment uses, itself included, by dotted name.

    Raises:
        UserError: if the paper has no experiment.py, or a module has a syntax error.
    """
    entry = f"pipelines.{paper}.experiment"
    if not (paths.pipeline(paper) / "experiment.py").is_file():
        raise UserError(
            f"pipelines/{paper} has no experiment.py; pipelines/_template/experiment.py shows its form"
        )
    closure = _Closure(paths.root())
    found, todo = {}, [entry]
    while todo:
        name = todo.pop()
        if name not in found:
            module = closure.module(name)
            found[name] = module.digest
            todo += closure.uses(module) - NOT_FOLLOWED
    return dict(sorted(found.items()))


class _Closure:
    """Finds the modules of one checkout and follows names through them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._modules: dict[str, Source] = {}
        self._files: dict[str, Path | None] = {}

    def file(self, name: str) -> Path | None:
        """The file of a module; the folder of a package without ``__init__``; None if it is not ours."""
        if name.partition(".")[0] not in ("shared", "pipelines"):
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

    def uses(self, module: Source) -> set[str]:
        """The modules with code of their own that a module's imports lead to."""
        found: set[str] = set()
        for base in module.stars:
            found |= self._follow(base, (), frozenset())
        for local, targets in module.bindings.items():
            for base, name in targets:
                for chain in module.chains.get(local) or {()}:
                    found |= self._follow(base, (name, *chain) if name else chain, frozenset())
        return found

    def _follow(self, base: str, chain: tuple[str, ...], seen: frozenset[Any]) -> set[str]:
        """The modules behind the expression ``base.a.b``; an empty chain stands for all that base offers."""
        if self.file(base) is None or (base, chain) in seen:
            return set()
        seen |= {(base, chain)}
        module = self.module(base)
        if chain:
            bound = chain[0] in module.bindings and (base, chain[0]) not in module.bindings[chain[0]]
            if not bound and chain[0] not in module.defined and self.file(f"{base}.{chain[0]}"):
                return self._follow(f"{base}.{chain[0]}", chain[1:], seen)
            if not module.only_reexports or not bound:
                return {base} if not module.only_reexports or chain[0] in module.defined else set()
            targets = module.bindings[chain[0]]
            return set().union(
                *(self._follow(b, (n, *chain[1:]) if n else chain[1:], seen) for b, n in targets)
            )
        if not module.only_reexports:
            return {base}
        everything = [(b, n) for targets in module.bindings.values() for b, n in targets]
        everything += [(star, None) for star in module.stars]
        return set().union(*(self._follow(b, (n,) if n else (), seen) for b, n in everything))


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
        digest: sixteen hexadecimal digits for its code.
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
        self.digest = hashlib.sha256(json.dumps(_plain(tree)).encode()).hexdigest()[:16]

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
    if isinstance(node, ast.JoinedStr):
        return ["JoinedStr", _joined(node.values)]
    if isinstance(node, ast.AST):
        pairs = {k: _plain(v) for k, v in ast.iter_fields(node) if k not in ("type_comment", "kind", "ctx")}
        return [
            type(node).__name__,
            {k: v for k, v in sorted(pairs.items()) if v not in (None, [], ["JoinedStr", []])},
        ]
    if isinstance(node, list):
        return [_plain(child) for child in node]
    return node if node is None or isinstance(node, (bool, int)) else repr(node)


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
