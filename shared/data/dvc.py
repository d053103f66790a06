"""The little that is needed of DVC: pull one data set, if this checkout keeps it in a DVC remote."""

from __future__ import annotations

import configparser
import importlib.util
import subprocess
import sys

from shared.base import bounded, paths, strict_yaml
from shared.base.errors import UserError

#: Seconds that DVC may take at least, and the bytes a second that it may be slow at.
SECONDS, _SLOWEST = 600, 100_000
#: What :func:`pull` says when DVC was not asked at all.
NOT_KEPT = "not kept in a DVC remote"


def pull(path: str, size: int = 0) -> str:
    """Run ``dvc pull PATH`` and return what went wrong, one line; empty if it succeeded.

    DVC is asked only if it is installed, this checkout names a default remote (as ``dvc remote add -d`` does)
    and data.dvc lists the path: ``dvc pull`` without a remote fails even when nothing is missing.

    Args:
        path: relative to the checkout.
        size: bytes of what is pulled, which decide how long DVC may take.
    """
    if importlib.util.find_spec("dvc") is None or not has_remote() or path not in kept():
        return NOT_KEPT
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "pull", path]
    seconds = SECONDS + size // _SLOWEST
    try:
        done = subprocess.run(
            command,
            cwd=paths.root(),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end in {seconds} seconds and was stopped"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    return errors[0] if errors else f"exit status {done.returncode}"


def has_remote() -> bool:
    """Whether the configuration of this checkout (shared or local) names a default remote."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    folder = paths.root() / ".dvc"
    try:
        config.read([folder / "config", folder / "config.local"])
    except configparser.Error:
        return False
    return bool(config.get("core", "remote", fallback=""))


def kept() -> dict[str, dict]:
    """Outputs of data.dvc that DVC keeps, by path."""
    try:
        content = strict_yaml.load(bounded.read_text(paths.root() / "data.dvc", "data.dvc"), "data.dvc")
    except (OSError, UserError):
        return {}
    outputs = content.get("outs") if isinstance(content, dict) else None
    entries = [out for out in outputs if isinstance(out, dict)] if isinstance(outputs, list) else []
    return {
        out["path"]: out for out in entries if isinstance(out.get("path"), str) and out.get("cache", True)
    }
