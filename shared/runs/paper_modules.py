"""Importing a pipeline's modules by name; the shared core never imports them otherwise."""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.base import paths
from shared.base.errors import UserError


def module(paper: str, name: str) -> ModuleType:
    """Import ``pipelines.<paper>.<name>`` of the checkout that `paths.root` names.

    If another checkout's ``pipelines`` was imported before, it is forgotten first.

    Raises:
        UserError: if there is no such module, or importing it fails (other than for a missing library).
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
        with blamed(paper):
            return importlib.import_module(f"pipelines.{paper}.{name}")
    except SyntaxError as error:
        where = paths.shown(Path(error.filename or f"pipelines/{paper}/{name}.py"))
        raise UserError(f"{where}, line {error.lineno}: {error.msg}; correct it") from error


def attribute(paper: str, name: str, wanted: str) -> Any:
    """Something that a module of a paper must define, such as the class ``Settings`` of its ``settings.py``.

    Raises:
        UserError: as `module`, or if it does not define it.
    """
    found = getattr(module(paper, name), wanted, None)
    if found is None:
        raise UserError(
            f"pipelines/{paper}/{name}.py has no {wanted}; pipelines/_template/{name}.py shows its form"
        )
    return found


def made(paper: str, name: str, *arguments: Any) -> list[Any]:
    """What the function of a paper's module that has the module's name returns, as a list.

    Raises:
        UserError: if there is no such function, or it fails or returns no list; the message names the line.
    """
    function = attribute(paper, name, name)
    with blamed(paper):
        found = function(*arguments)
        if isinstance(found, Iterable):
            return list(found)
    raise UserError(f"pipelines/{paper}/{name}.py: {name}() should return a list, not {found!r}")


@contextlib.contextmanager
def blamed(paper: str) -> Iterator[None]:
    """Turn an error in a paper's own code into a sentence that names the line.

    Left as they are: what its user is told already, syntax errors, missing libraries, and errors that no line
    of the paper had a part in.

    Raises:
        UserError: in place of any other error.
    """
    try:
        yield
    except (UserError, SyntaxError, OSError):
        raise
    except Exception as error:
        library = (getattr(error, "name", None) or "").partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and library not in ("shared", "pipelines")
        folder = str(paths.pipeline(paper))
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame for frame in frames if _is_in(frame.filename, folder)]
        if missing or not lines:
            raise
        place = f"{paths.shown(Path(lines[-1].filename))}, line {lines[-1].lineno}"
        said = " ".join(str(error).split())
        raise UserError(f"{place}: {type(error).__name__}: {said} (--debug shows the traceback)") from error


def _is_in(file: str, folder: str) -> bool:
    return Path(file).resolve().is_relative_to(folder)
