"""A training step of the p4 ResNet-44 of Table 2: ours, escnn, e2cnn, and the dense network of equal width.

python -m benchmarks.resnet [--repetitions 15] [--batch 32] [--threads 2] [--out]
"""

from __future__ import annotations

from benchmarks import steps
from benchmarks.cases import Benchmark, Case, Options
from pipelines.subsampling import models
from pipelines.subsampling.settings import Settings

NOTE = "The p4 ResNet-44 of Table 2: 16, 32 and 64 fields (64, 128 and 256 channels dense). " + steps.NOTE


def cases(options: Options) -> tuple[list[Case], list[str]]:
    """The step at the approximate and at the exact input size."""
    small = {"blocks": 1, "width": 2} if options.tiny else {}
    batch = options.batch or (2 if options.tiny else 256 if options.device.startswith("cuda") else 8)
    found, remarks = [], []
    for size in (32,) if options.tiny else (32, 33):
        settings = Settings(model="p4resnet44", dataset="cifar10", size=size, **small)
        images = (batch, settings.channels, size, size)
        case, remarks = steps.case(
            f"p4 ResNet-44 at {size} pixels", lambda s=settings: models.build(s, 0), images, options, False
        )
        found.append(case)
    return found, remarks


BENCHMARK = Benchmark("resnet", "Training step of the p4 ResNet-44", NOTE, cases)

if __name__ == "__main__":
    from benchmarks.runner import start

    start("resnet")
