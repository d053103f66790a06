"""Every network of the paper without training: parameters, multiplications, and where it is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipelines.subsampling import models
from pipelines.subsampling.settings import Settings
from shared.atlas import SizeVerdict, sizes
from shared.base.errors import UserError, unknown
from shared.nn import GroupConv, LiftingConv, SpatialMaxPool
from shared.runs.api import Context, Row

_COUNTED = (nn.Conv2d, LiftingConv, GroupConv, nn.Linear)
_POOLS = (nn.MaxPool2d, SpatialMaxPool)


@dataclass(frozen=True)
class Network:
    """A network of the paper, and the input sizes of interest.

    Args:
        settings: what `models.build` needs.
        classes: number of outputs.
        used: sizes at which it is trained or compared.
        shown: sizes at which it is judged, wide enough to show the period of its exact sizes.
    """

    settings: Settings
    classes: int
    used: tuple[int, ...]
    shown: range

    @property
    def plain(self) -> bool:
        """Whether its filters are not tied over a group, so that only its sampling grid can be judged."""
        return not self.settings.model.startswith(("p4", "toy"))


_DIGITS = {"classes": 10, "used": (27, 28, 29), "shown": range(20, 37)}
_CIFAR = {"used": (29, 32, 33, 34, 36), "shown": range(28, 41)}
_PCAM = {"classes": 2, "used": (96, 97), "shown": range(88, 105)}
_LARGE = {"used": (224, 225), "shown": range(216, 233)}
_LARGE_STANDARD = {"classes": 1000, "used": (224, 225), "shown": range(192, 259)}  # a period of 32
_PCAM_WIDTHS = {"resnet44": (8, 14, 28), "p4resnet44": (4, 7, 14)}
_FLOWERS, _IMAGENET = {"classes": 102, **_LARGE}, {"classes": 1000, **_LARGE}

NETWORKS: dict[str, Network] = {
    **{model: Network(Settings(model=model), **_DIGITS) for model in models.WIDTHS},
    "toy": Network(Settings(model="toy", channels=1), 2, (32, 33), range(20, 37)),
    **{
        f"{model}_cifar10": Network(Settings(model=model), 10, **_CIFAR)
        for model in ("resnet44", "p4resnet44", "p4mresnet44")
    },
    **{
        f"{model}_cifar100": Network(Settings(model=model), 100, **_CIFAR)
        for model in ("resnet44", "p4resnet44")
    },
    **{
        f"{model}_pcam": Network(Settings(model=model, stage_widths=fields), **_PCAM)
        for model, fields in _PCAM_WIDTHS.items()
    },
    **{
        f"{model}_{data}": Network(Settings(model=model), **sides)
        for data, sides in (("flowers102", _FLOWERS), ("imagenet", _IMAGENET))
        for model in ("resnet18", "p4resnet18")
    },
    **{
        f"{model}_imagenet_standard": Network(Settings(model=model, stem="standard"), **_LARGE_STANDARD)
        for model in ("resnet18", "p4resnet18")
    },
}


class Costs(NamedTuple):
    """What a network takes: parameters, multiply-accumulates per image, and its sides in pixels by child.

    Counted are convolutions and linear layers, the filter banks of groups as the dense convolutions that
    they are expanded to.
    """

    parameters: int
    macs: int
    sides: dict[str, int]


def find(name: str) -> Network:
    """The network of a name.

    Raises:
        UserError: if there is none.
    """
    if name not in NETWORKS:
        raise UserError(unknown("network", name, NETWORKS))
    return NETWORKS[name]


def skeleton(settings: Settings, classes: int) -> nn.Module:
    """A network without weights, on torch's meta device: built and run at no cost."""
    with torch.device("meta"):
        return models.build(settings, 0, classes).eval()


def costs(name: str, size: int) -> Costs:
    """Costs of a network of the paper on an image of ``size`` x ``size`` pixels.

    Raises:
        UserError: if there is no such network.
    """
    network = find(name)
    return count(skeleton(network.settings, network.classes), network.settings.channels, size)


def count(module: nn.Module, channels: int, size: int) -> Costs:
    """Run a network without weights (see `skeleton`) once and count."""
    macs: list[int] = []
    sides: dict[str, int] = {}

    def add(layer: nn.Module, _: object, output: Tensor) -> None:
        macs.append(output.numel() * layer.weight[0].numel())

    def note(child: str, output: Tensor) -> None:
        if output.dim() > 3:
            sides[child] = output.shape[-1]

    hooks = [m.register_forward_hook(add) for m in module.modules() if isinstance(m, _COUNTED)]
    for name, child in module.named_children():
        hooks.append(child.register_forward_hook(lambda _, __, output, name=name: note(name, output)))
    with torch.no_grad():
        module(torch.empty(1, channels, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    return Costs(models.count_parameters(module), sum(macs), sides)


@lru_cache(maxsize=64)
def verdicts(
    settings: Settings, shown: range | tuple[int, ...], geometry: bool
) -> tuple[tuple[SizeVerdict, ...], frozenset[int]]:
    """The atlas on a network at many sizes; the number of classes does not enter.

    Args:
        settings: of the network.
        shown: sizes in pixels.
        geometry: judge the sampling grid alone, as is done for plain networks.

    Returns:
        the verdicts on quarter turns, and the sizes that are exact for mirrors as well.
    """
    module = skeleton(settings, 1)
    turned = sizes(module, shown, "p4", geometry=geometry)
    exact = [verdict.size for verdict in turned if verdict.exact]  # without turns there is no need to look
    mirrored = sizes(module, exact, "p4m", geometry=geometry)
    return tuple(turned), frozenset(verdict.size[0] for verdict in mirrored if verdict.exact)


def stage_of(module: nn.Module, layer: str) -> int:
    """Number of the stage that holds a layer: 1 for the stem of a residual network, 2 for its stage1, ...

    The stages of a digit network are what comes before its pool (1), and the pool and all behind it (2).
    """
    names = [name for name, _ in module.named_children()]
    place = names.index(layer.partition(".")[0])
    if "stem" in names:
        return place + 1
    pools = [i for i, child in enumerate(module.children()) if isinstance(child, _POOLS)]
    return 1 + sum(place >= i for i in pools)


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """List the network ``settings.network``; nothing depends on the seed.

    Rows: ``parameters``; ``macs`` (multiply-accumulates per image) by size used; by size shown ``exact`` and
    ``exact_p4m`` (1 or 0: quarter turns; mirrors, too), ``breaks_stage`` (the first stage that breaks the
    quarter turns, see `stage_of`; 0 for none) and ``fits`` (0 if the image is too small). Plain networks are
    judged as if their filters were tied over the group.

    Raises:
        UserError: if there is no such network.
    """
    name = settings.network
    network = find(name)
    module = skeleton(network.settings, network.classes)
    rows = [Row("parameters", "", float(models.count_parameters(module)))]
    rows += [Row("macs", size, float(costs(name, size).macs)) for size in network.used]
    shown = network.used if settings.only_used else network.shown
    turned, mirrored = verdicts(network.settings, shown, network.plain)
    for verdict in turned:
        size, fits = verdict.size[0], verdict.output is not None
        stage = stage_of(module, verdict.first_break) if fits and not verdict.exact else 0
        rows += [
            Row("exact", size, float(verdict.exact)),
            Row("exact_p4m", size, float(size in mirrored)),
            Row("breaks_stage", size, float(stage)),
            Row("fits", size, float(fits)),
        ]
    exact = sum(verdict.exact for verdict in turned)
    context.log(f"{name}: judged at {len(turned)} sizes, {exact} of them exact for quarter turns")
    return dict.fromkeys(seeds, rows)
