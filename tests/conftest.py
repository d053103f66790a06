"""A GPU for every test that asks for one: pretended everywhere, and the real one where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

# how long an example takes says nothing on a machine that does other things, too
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture
def native_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor that computes in bf16, whatever this one does."""
    from shared.runs import api

    monkeypatch.setattr(api, "bf16_is_native", lambda device: True)


@pytest.fixture(params=["pretended", pytest.param("real", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name of a device to send tensors to; with `shared.testing.pretended_gpu` no CUDA is needed."""
    import torch  # not above: tests of the command line do without

    from shared.testing import pretended_gpu

    if request.param == "real":
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        yield "cuda"
        return
    with pretended_gpu():
        yield "cuda"
