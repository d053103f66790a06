"""A training step of P4CNN: ours, escnn, e2cnn, and the dense convolutions of equal width.

python -m benchmarks.p4cnn [--repetitions 15] [--batch 128] [--threads 2] [--out]
"""

from __future__ import annotations

from benchmarks import steps
from benchmarks.cases import Benchmark, Case, Options
from pipelines.subsampling import models
from pipelines.subsampling.settings import Settings

NOTE = (
    "The network of Table 1: 7 convolutions of 10 fields (40 channels dense), 3 input channels, dropout 0.3. "
    + steps.NOTE
)


def cases(options: Options) -> tuple[list[Case], list[str]]:
    """One case: the step at one batch size."""
    settings = Settings(size=12, width=2) if options.tiny else Settings()
    batch = options.batch or (4 if options.tiny else 128)
    images = (batch, settings.channels, settings.size, settings.size)
    case, remarks = steps.case("P4CNN", lambda: models.build(settings, 0), images, options)
    return [case], remarks


BENCHMARK = Benchmark("p4cnn", "Training step of P4CNN", NOTE, cases)

if __name__ == "__main__":
    from benchmarks.runner import start

    start("p4cnn")
