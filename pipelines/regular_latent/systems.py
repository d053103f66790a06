"""Names of systems, groups and data as tables, figures and claims use them, and where their runs are."""

from __future__ import annotations

from shared.report.build import Where

GROUPS = ("C4", "D1", "D4")
#: Systems of Table 4.
DIGITS = {
    "cnn": "CNN, augmented",
    "scnn": "SCNN",
    "restriction": "Restriction",
    "rpp": "RPP",
    "pscnn": "PSCNN",
    "ours": "Ours (the paper's method)",
}
#: Systems of Table 5: title, group, whether trained on turned volumes.
VOLUMES = {
    "cnn": ("CNN", "-", "no"),
    "cnn_augmented": ("CNN", "-", "yes"),
    "scnn_SO3": ("SCNN", "SO(3)", "no"),
    "rpp_SO3": ("RPP", "SO(3)", "no"),
    "pscnn_SO3": ("PSCNN", "SO(3)", "no"),
    "scnn_O3": ("SCNN", "O(3)", "no"),
    "rpp_O3": ("RPP", "O(3)", "no"),
    "pscnn_O3": ("PSCNN", "O(3)", "no"),
    "ours": ("Ours (the paper's method)", "S4", "yes"),
}
#: Systems of Table 6, in the same way.
FLOWS = {
    "cnn": ("CNN", "-", "no"),
    "cnn_augmented": ("CNN", "-", "yes"),
    "mlp": ("MLP", "-", "no"),
    "e2cnn": ("E2CNN", "C4", "no"),
    "rpp": ("RPP", "C4", "no"),
    "lift": ("Lift", "C4", "no"),
    "rgroup": ("RGroup", "C4", "no"),
    "rsteer": ("RSteer", "C4", "no"),
    "pscnn": ("PSCNN", "C4", "no"),
    "ours": ("Ours (the paper's method)", "C4", "yes"),
}
#: Systems that are convolutional networks without symmetry.
PLAIN = ("cnn", "cnn_augmented", "ours")


def arm4(model: str, group: str) -> str:
    """Arm of a system, or of a control, on DDMNIST."""
    return f"{model}_{group}"


def where4(model: str, group: str) -> Where:
    """Experiment and arm of a system of Table 4."""
    steerable = "table4_steerable_D1" if group == "D1" else "table4_steerable"
    return "table4" if model in PLAIN else steerable, arm4(model, group)


def narrow4(model: str, group: str) -> Where:
    """Experiment and arm of a system of Table 4 with 48 filters."""
    return "filters", arm4(model, group)


def one_rate4(model: str, group: str, rate: str = "") -> Where:
    """Experiment and arm of the CNN or the method at one learning rate; ``rate`` is "" or "_slow"."""
    return "one_rate_D4" if group == "D4" else "one_rate", f"{model}_{group}{rate}"


def where5(key: str, data: str) -> Where:
    """Experiment and arm of a system of Table 5."""
    return f"table5_{data}" if key in PLAIN else f"table5_steerable_{data}", key


def where6(key: str) -> Where:
    """Experiment and arm of a system of Table 6."""
    return "table6" if key in PLAIN else "table6_baselines", key


def counted4(model: str, group: str, filters: str = "") -> Where:
    """Where the network of a system of Table 4 is counted; ``filters`` is "" or "_48"."""
    return "networks", ("cnn" if model in PLAIN else arm4(model, group)) + filters


def counted5(key: str) -> Where:
    """Where the network of a system of Table 5 is counted."""
    return "networks", f"volumes_{'cnn' if key in PLAIN else key}"


def counted6(key: str) -> Where:
    """Where the network of a system of Table 6 is counted."""
    return "networks", f"flows_{'cnn' if key in PLAIN else key}"
