"""A GPU for every test that asks for one: pretended everywhere, and the real one where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(params=["pretended", pytest.param("real", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name of a device to send tensors to; with `shared.testing.pretended_gpu` no CUDA is needed."""
    if request.param == "real":
        yield "cuda"
        return
    from shared.testing import pretended_gpu  # tests of the command line do without torch

    with pretended_gpu():
        yield "cuda"
