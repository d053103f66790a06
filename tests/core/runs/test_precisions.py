"""``--precision`` and GPUs: what is refused, and which results and checkpoints are another precision's."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from toy_results import execute

from shared.base.errors import UserError
from shared.runs import api, devices, records

pytestmark = pytest.mark.usefixtures("native_bf16")


def test_declared_bf16_becomes_float32_where_it_would_be_emulated(toy, monkeypatch):
    toy.edit("settings.py", '    trouble: str = ""', '    trouble: str = ""\n    precision: str = "bf16"')
    toy.edit(
        "experiment.py",
        "def run(settings, seeds, context):",
        f"def run(settings, seeds, context):\n    {LOOK}",
    )
    monkeypatch.setattr(api, "bf16_is_native", lambda device: False)
    lines = []
    first, second = toy.runs()[:2]
    execute([first, second], log=lines.append)
    assert [line for line in lines if "bf16" in line] == [
        "toy/walk: this processor has no bf16 arithmetic; training in float32"
    ], "said once"
    assert records.stored(first.id).environment["precision"] == "float32"
    assert execute([first]).valid == [first], "a run is valid at any precision"


#: What the experiment is given must be what is recorded.
LOOK = "assert settings.precision == context.precision == 'float32'"


def test_precision_that_is_a_setting_cannot_be_overridden(toy):
    toy.edit("settings.py", '    trouble: str = ""', '    trouble: str = ""\n    precision: str = "bf16"')
    with pytest.raises(UserError, match=r"precision is a setting here \(bf16\)"):
        execute(toy.runs()[:1], precision="float32")
    execute(toy.runs()[:1])
    assert records.stored(toy.runs()[0].id).environment["precision"] == "bf16"


def take_precision(toy):
    """Let the toy's settings say that the option has an effect."""
    method = "    def takes_precision(self) -> bool:\n        return self.rate < 1\n"
    toy.edit("settings.py", '    trouble: str = ""\n', f'    trouble: str = ""\n\n{method}')


def precisions_of(found):
    return [records.stored(run.id).environment["precision"] for run in found]


def test_precision_is_refused_where_an_experiment_does_not_take_it(toy):
    with pytest.raises(
        UserError, match="toy/walk: the arm slow does not look at --precision; leave the option out"
    ):
        execute(toy.runs(), precision="bf16")
    take_precision(toy)
    with pytest.raises(UserError, match="toy/walk: the arm fast does not look at --precision"):
        execute(toy.runs(), precision="float32")
    assert toy.trained() == [], "refused before anything is computed"
    slow = toy.runs()[:3]
    assert execute(slow, precision="bf16").done == slow
    assert precisions_of(slow) == ["bf16"] * 3


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ("tf32", "precision tf32 needs a CUDA device"),
        ("float99", "unknown precision 'float99'; use one of float32, tf32, bf16"),
    ],
)
def test_what_a_cpu_does_not_compute_is_refused(toy, wish, says):
    take_precision(toy)
    with pytest.raises(UserError, match=says):
        execute(toy.runs()[:1], precision=wish)
    assert toy.trained() == []


def test_a_result_at_another_precision_is_not_valid_for_who_asks_for_one(toy):
    take_precision(toy)
    slow = toy.runs()[:2]
    execute(slow, precision="bf16")
    assert execute(slow).valid == slow
    assert execute(slow, precision="bf16").valid == slow
    assert execute(slow, precision="float32").done == slow
    assert precisions_of(slow) == ["float32"] * 2
    assert execute(slow, precision="float32").valid == slow


def test_a_checkpoint_is_not_taken_over_at_another_precision(toy):
    take_precision(toy)
    toy.declare("slow: {rate: 0.25}", "slow: {rate: 0.25, trouble: late}")
    run = toy.runs()[:1]
    for precision in ("bf16", "float32", "float32"):
        assert execute(run, precision=precision, minutes=10).left == run
    assert len(list((toy.root / ".repro" / "checkpoints").iterdir())) == 2


class TorchWithoutCuda:
    """Stands for a CPU build of torch on a machine with a GPU."""

    threads = 0
    cuda = SimpleNamespace(is_available=lambda: False)
    version = SimpleNamespace(cuda=None)
    backends = SimpleNamespace(cpu=SimpleNamespace(get_cpu_capability=lambda: "AVX2"))

    @classmethod
    def set_num_threads(cls, count):
        cls.threads = count


def test_a_gpu_that_torch_cannot_use(toy, monkeypatch):
    monkeypatch.setenv("REPRO_GPUS", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(devices, "_held", {"0": None})
    monkeypatch.setitem(sys.modules, "torch", TorchWithoutCuda)
    outcome = execute(toy.runs()[:1], device="cuda")
    assert "this PyTorch cannot use the GPU" in outcome.failed[0][1]
    take_precision(toy)
    outcome = execute(toy.runs()[:1], device="auto", precision="tf32")
    assert "precision tf32 needs a CUDA device" in outcome.failed[0][1]
    assert execute(toy.runs()[:1], device="auto", threads=3).done == toy.runs()[:1]
    assert records.stored(toy.runs()[0].id).environment["device"] == "cpu"
    assert TorchWithoutCuda.threads == 3
