"""Fingerprint of the code behind a paper's results: the modules its experiment uses, read as syntax.

Comments, docstrings and layout do not count (see `shared.syntax`). Followed are the imports of this
repository's own modules, by name: a package's ``__init__`` that only re-exports is looked through, so that
a new layer in `shared.nn` does not age the results of papers that do not use it. Not seen: imports made
from computed names, and other libraries.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from shared import paths, syntax
from shared.errors import UserError

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

    def file(self, name: str) -> Path | None:
        """The file of a module; the folder of a package without ``__init__``; None if it is not ours."""
        top = name.partition(".")[0]
        if top not in ("shared", "pipelines"):
            return None
        base = self.root.joinpath(*name.split("."))
        options = (base.with_name(base.name + ".py"), base / "__init__.py", base)
        return next((f for f in options if f.is_file() or (f == base and f.is_dir())), None)

    def module(self, name: str) -> syntax.Source:
        file = self.file(name)
        if file is None:
            raise KeyError(name)
        if file.is_dir():
            return syntax.read(name, None, b"")
        return syntax.read(name, file, file.read_bytes())

    def uses(self, module: syntax.Source) -> set[str]:
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
