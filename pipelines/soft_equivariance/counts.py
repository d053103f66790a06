"""Tables 1 and 5: what the kernels of a network see, and its parameters part by part; nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.soft_equivariance import data, models
from pipelines.soft_equivariance.settings import Settings
from shared.runs.api import Context, Row


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Rows of each seed; described in `pipelines.soft_equivariance.experiment.run`.

    Raises:
        UserError: if a map of the network is smaller than the support of its kernels.
    """
    channels, side, _ = data.shape(settings)
    network = models.build(settings, 0, channels, side, data.classes(settings))
    rows = [
        Row(name, "", float(value)) for name, value in {**_parameters(network), **_inputs(network)}.items()
    ]
    return dict.fromkeys(seeds, rows)


def _parameters(network: models.CKResNet) -> dict[str, int]:
    """All parameters, and those of each part; intervals and learned omega' are parts of their own."""
    intervals = len(network.intervals())
    parts = {name: models.count_parameters(layer.network) for name, layer in network.layers.items()}
    for name in ("block1", "block2"):
        parts[f"{name}_shortcut"] = sum(
            models.count_parameters(shortcut) for key, shortcut in network.shortcuts.items() if key == name
        )
    parts["norms"] = models.count_parameters(network.norms)
    parts["biases"] = models.count_parameters(network.biases)
    parts["classifier"] = models.count_parameters(network.classifier)
    parts["intervals"] = intervals
    total = models.count_parameters(network)
    assert total == sum(parts.values()), "a part of the network is not counted"
    return {"parameters": total, **{f"parameters_{name}": count for name, count in parts.items()}}


def _inputs(network: models.CKResNet) -> dict[str, int]:
    """How many coordinates kernels see, in all and absolute ones."""
    lift, group = (network.layers[name].network for name in ("lift", "last"))
    kinds = {"lift": lift, "group": group, "shortcut": network.shortcuts["block2"].network}
    found = {f"inputs_{kind}": sum({**net.columns, **net.extra}.values()) for kind, net in kinds.items()}
    absolute = {f"absolute_{name}": group.extra.get(name, 0) for name in ("angle", "position")}
    return found | absolute
