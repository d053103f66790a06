"""Importing a pipeline's modules by name; the shared core never imports them otherwise."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from shared import paths
from shared.errors import UserError


def module(paper: str, name: str) -> ModuleType:
    """Import ``pipelines.<paper>.<name>`` of the checkout that `paths.root` names.

    If another checkout's ``pipelines`` was imported before, it is forgotten first.

    Raises:
        UserError: if there is no such module, or one that it imports has a syntax error.
    """
    if not (paths.pipeline(paper) / f"{name}.py").is_file():
        raise UserError(f"pipelines/{paper} has no {name}.py; pipelines/_template/{name}.py shows its form")
    root = paths.root()
    loaded = sys.modules.get("pipelines")
    if loaded is not None and root / "pipelines" not in [Path(p).resolve() for p in loaded.__path__]:
        for key in [key for key in sys.modules if key == "pipelines" or key.startswith("pipelines.")]:
            del sys.modules[key]
        loaded = None
    if loaded is None:
        sys.path[:] = [str(root), *(p for p in sys.path if p != str(root))]
        importlib.invalidate_caches()
    try:
        return importlib.import_module(f"pipelines.{paper}.{name}")
    except SyntaxError as error:
        where = paths.shown(Path(error.filename or f"pipelines/{paper}/{name}.py"))
        raise UserError(f"{where}, line {error.lineno}: {error.msg}; correct it") from error
