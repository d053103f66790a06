"""One Python source read as syntax: what it imports, defines and uses, and a digest of its code.

Comments, docstrings and layout do not count, and the digest is the same on every supported Python (that of
``ast.dump`` is not).
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from shared.errors import UserError

#: A binding of a name by an import: the module, and the name taken from it (None for the module itself).
Binding = tuple[str, str | None]


@functools.cache
def read(name: str, file: Path | None, content: bytes) -> Source:
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
        _strip(tree)
        self.bindings: dict[str, set[Binding]] = {}
        self.stars: set[str] = set()
        for node in ast.walk(tree):
            self._bind(node)
        self.only_reexports = all(_is_plumbing(node) for node in tree.body)
        self.defined = {name for node in tree.body for name in _names_defined(node)}
        self.chains = _chains(tree, set(self.bindings))
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


def _strip(tree: ast.Module) -> None:
    """Remove docstrings and the imports that only type checkers see."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
            node.body = [child for child in node.body if not _is_type_checking(child)]


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


def _chains(tree: ast.AST, names: set[str]) -> dict[str, set[tuple[str, ...]]]:
    """The attribute chains each imported name is used with: ``nn.conv.f(x)`` gives ``("conv", "f")``."""
    found: dict[str, set[tuple[str, ...]]] = {}
    inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    for node in ast.walk(tree):
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
