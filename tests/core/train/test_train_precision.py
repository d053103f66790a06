"""Number formats: what holds in the forward and in the backward pass, and what is measured where."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from shared.base import paths
from shared.base.errors import UserError
from shared.nn.norm import _moments_of_rows
from shared.runs import api
from shared.runs.environment import Meter
from shared.train import FitSettings, TrainingSet, fit, precision
from shared.train.precision import tf32


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


class Watched(torch.autograd.Function):
    """The identity, which notes the flags of both passes."""

    seen: list[tuple[bool, bool]]

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        Watched.seen.append(flags())
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        Watched.seen.append(flags())
        return grad


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Watched.apply(self.head(x.flatten(1)))


def test_float32_means_float32_in_the_backward_pass_too():
    Watched.seen = []
    images = torch.rand(6, 1, 2, 2)
    data = TrainingSet(images, torch.arange(6) % 2, [torch.arange(6)], lambda x, _: x, lambda x: x, None)
    with tf32(True):  # as it is outside
        fit([Network()], data, FitSettings(epochs=1, batch_size=3), [0])
        assert flags() == (True, True), "as it was before"
    assert Watched.seen == [(False, False)] * 4, "two steps, each forward and backward"


def test_formats_that_a_device_lacks_are_refused(monkeypatch):
    with pytest.raises(UserError, match="choose float32 or bf16"), precision("tf32", "cpu"):
        pass
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **how: bool(asked.append(how)))
    with pytest.raises(UserError, match="choose float32 or tf32"), precision("bf16", "cuda"):
        pass
    assert asked == [{"including_emulation": False}]
    monkeypatch.setattr(api, "bf16_is_native", lambda device: False)
    with pytest.raises(UserError, match="no bf16 arithmetic"), precision("bf16", "cpu"):
        pass


@pytest.mark.parametrize(("limit", "native"), [("AVX2", False), ("AVX512_CORE_BF16", None)])
def test_whether_bf16_is_native_is_asked_of_what_may_be_used(limit, native):
    """None: what this processor says."""
    code = "import torch; from shared.runs.api import bf16_is_native as ask; import torch.cpu as cpu; "
    code += "print(ask('cpu'), cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": limit},
        capture_output=True,
        text=True,
        check=True,
    )
    said, able = done.stdout.split()
    assert said == (able if native is None else str(native))


def test_the_moments_of_bf16_activations_far_from_zero():
    """On any device but the CPU, whose kernel is another: squares are not rounded before they are added."""
    rows = (8 + torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0))).bfloat16()
    mean, variance = _moments_of_rows(rows)
    exact = rows.double()
    assert mean.dtype == variance.dtype == torch.float32
    torch.testing.assert_close(mean.double(), exact.mean(0), rtol=1e-5, atol=0)
    torch.testing.assert_close(variance.double(), exact.var(0, correction=0), rtol=1e-3, atol=0)


def test_memory_is_metered_in_a_process_that_has_not_used_cuda_yet(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "init", lambda: calls.append("init"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: calls.append(device))
    Meter("cuda:0")
    assert calls == ["init", "cuda:0"]


@pytest.mark.gpu
def test_memory_is_metered_on_a_gpu():
    program = "import torch; from shared.runs.environment import Meter; print(Meter('cuda:0').read())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=paths.root(), capture_output=True, text=True, check=True
    )
    assert "device_peak_mb" in done.stdout
