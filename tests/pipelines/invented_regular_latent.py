"""Invented results of the pipeline regular_latent whose verdicts are known (no test file itself)."""

from __future__ import annotations

import functools
import math

import pandas as pd

from shared.runs import config

COLUMNS = ["run", "experiment", "arm", "seed", "metric", "step", "value"]
#: Largest distance of learned counts from regular: of the arms that learn, and under the algebra loss alone.
COUNTS = {"C2": (21, 21), "D3": (5, 5, 10), "C4": (16, 16, 16, 16)}
CHARACTERS = {
    "C2": ("trivial", "sign"),
    "D3": ("trivial", "sign", "standard"),
    "C4": ("trivial", "rotation", "sign"),
}
RELATORS = {"C2": ("g^2",), "D3": ("r^3", "s^2", "rsrs"), "C4": ("g^4",)}
#: Accuracies on DDMNIST that agree with all that the paper says.
DIGITS = {
    ("cnn", "C4"): 0.907, ("cnn", "D1"): 0.938, ("cnn", "D4"): 0.800,
    ("scnn", "C4"): 0.484, ("scnn", "D1"): 0.474, ("scnn", "D4"): 0.431,
    ("restriction", "C4"): 0.890, ("restriction", "D1"): 0.890, ("restriction", "D4"): 0.837,
    ("rpp", "C4"): 0.880, ("rpp", "D1"): 0.903, ("rpp", "D4"): 0.827,
    ("pscnn", "C4"): 0.880, ("pscnn", "D1"): 0.871, ("pscnn", "D4"): 0.842,
    ("ours", "C4"): 0.915, ("ours", "D1"): 0.947, ("ours", "D4"): 0.868,
}  # fmt: skip
VOLUMES = {"nodule": 0.88, "synapse": 0.77, "organ": 0.64}
FLOWS = {
    "cnn": (0.81, 0.63), "mlp": (1.38, 1.34), "e2cnn": (1.05, 0.76), "rpp": (0.96, 0.82), "lift": (0.82, 0.73),
    "rgroup": (0.82, 0.73), "rsteer": (0.80, 0.67), "pscnn": (0.75, 0.57), "ours": (0.77, 0.60),
}  # fmt: skip
