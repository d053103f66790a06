"""What tests of every paper share."""

from __future__ import annotations

import pytest
from all_papers import ROOT


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work on this checkout."""
    monkeypatch.setenv("REPRO_ROOT", str(ROOT))
