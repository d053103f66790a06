"""The little that is needed of DVC: pull one data set, if this checkout keeps it in a DVC remote."""

from __future__ import annotations

import configparser
import importlib.util
import subprocess
import sys

import yaml

from shared.base import paths

#: What :func:`pull` says when DVC was not asked at all.
NOT_KEPT = "not kept in a DVC remote"


def pull(path: str) -> str:
    """Run ``dvc pull PATH`` and return what went wrong, one line; empty if it succeeded.

    DVC is asked only if it is installed, this checkout names a default remote (as ``dvc remote add -d`` does)
    and data.dvc lists the path: ``dvc pull`` without a remote fails even when nothing is missing.
    """
    if importlib.util.find_spec("dvc") is None or not has_remote() or path not in kept():
        return NOT_KEPT
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "pull", path]
    done = subprocess.run(command, cwd=paths.root(), capture_output=True, text=True, check=False)
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
        content = yaml.safe_load((paths.root() / "data.dvc").read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    outputs = content.get("outs", []) if isinstance(content, dict) else []
    return {out["path"]: out for out in outputs if out.get("cache", True)}
