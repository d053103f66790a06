"""Networks of the subsampling paper against its fact sheet: parameters, multiplications, sides, weights."""

from __future__ import annotations

import math

import pytest
import torch
from narrow_networks import images, narrow
from torch import nn

from pipelines.subsampling import inventory, models, resnets
from pipelines.subsampling.settings import Settings
from shared.base.errors import UserError
from shared.nn import Conv2d, GlobalAvgPool, GroupBatchNorm, GroupConv, LiftingConv
from shared.runs.api import Context
from shared.train.replicas import stack, stackable

#: Fact sheet 3.1 to 3.4; the p4m networks are ours.
PARAMETERS = {
    "z2cnn": 25_570,
    "p4cnn": 24_990,
    "p4mcnn": 24_328,
    "toy": 14,
    "resnet44_cifar10": 2_636_458,
    "p4resnet44_cifar10": 2_632_026,
    "p4mresnet44_cifar10": 2_486_945,
    "resnet44_cifar100": 2_648_068,
    "p4resnet44_cifar100": 2_637_876,
    "resnet44_pcam": 129_538,
    "p4resnet44_pcam": 128_652,
    "resnet18_flowers102": 11_221_158,
    "p4resnet18_flowers102": 11_189_382,
    "resnet18_imagenet": 11_681_832,
    "p4resnet18_imagenet": 11_420_168,
    "resnet18_imagenet_standard": 11_689_512,
    "p4resnet18_imagenet_standard": 11_424_008,
}


class TestCounts:
    def test_parameters_are_the_fact_sheets(self) -> None:
        assert set(PARAMETERS) == set(inventory.NETWORKS)
        for name, count in PARAMETERS.items():
            network = inventory.find(name)
            module = inventory.skeleton(network.settings, network.classes)
            assert models.count_parameters(module) == count, name

    def test_parameters_by_part(self) -> None:
        """Stem, stages, last norm and classifier of Table 3.2; the skeleton and the network are one."""
        network = models.build(Settings(model="p4resnet44"), 0)
        parts = [models.count_parameters(part) for part in network.children()]
        assert parts == [432, 129_472, 500_640, 2_000_704, 128 + 650]
        assert [name for name, _ in network.named_children()] == [*resnets.STAGES[:4], "head"]
        plain = inventory.skeleton(Settings(model="resnet18"), 102)
        parts = [models.count_parameters(part) for part in plain.children()]
        assert parts == [1728, 147_968, 525_440, 2_099_456, 8_393_216, 1024 + 52_326]

    @pytest.mark.parametrize(("model", "count"), [("resnet18", 11_228_838), ("p4resnet18", 11_193_222)])
    def test_standard_stem_with_102_classes(self, model: str, count: int) -> None:
        module = inventory.skeleton(Settings(model=model, stem="standard"), 102)
        assert models.count_parameters(module) == count

    @pytest.mark.parametrize(
        ("name", "size", "millions", "digits"),
        [
            ("p4cnn", 27, 23.58, 2),
            ("p4cnn", 28, 26.52, 2),
            ("p4cnn", 29, 27.41, 2),
            ("resnet44_cifar10", 32, 389, 0),
            ("p4resnet44_cifar10", 32, 1554, 0),
            ("p4resnet44_cifar10", 33, 1789, 0),
            ("resnet44_pcam", 96, 187, 0),
            ("p4resnet44_pcam", 96, 743, 0),
            ("p4resnet44_pcam", 97, 778, 0),
            ("resnet18_imagenet", 224, 27_200, -2),
            ("p4resnet18_imagenet", 224, 108_700, -2),
            ("p4resnet18_imagenet", 225, 112_300, -2),
            ("resnet18_imagenet_standard", 224, 1810, -1),
            ("resnet18_imagenet_standard", 225, 2050, -1),
            ("p4resnet18_imagenet_standard", 224, 7020, -1),
            ("p4resnet18_imagenet_standard", 225, 7960, -1),
        ],
    )
    def test_multiplications_are_the_fact_sheets(
        self, name: str, size: int, millions: float, digits: int
    ) -> None:
        assert round(inventory.costs(name, size).macs / 1e6, digits) == millions

    @pytest.mark.parametrize(
        ("model", "millions"), [("p4cnn", (23.05, 25.96, 26.80)), ("z2cnn", (5.83, 6.56, 6.78))]
    )
    def test_multiplications_of_one_gray_channel(self, model: str, millions: tuple[float, ...]) -> None:
        module = inventory.skeleton(Settings(model=model, channels=1), 10)
        found = [round(inventory.count(module, 1, size).macs / 1e6, 2) for size in (27, 28, 29)]
        assert found == list(millions)

    @pytest.mark.parametrize(
        ("name", "size", "sides"),
        [
            ("p4resnet44_cifar10", 32, [32, 32, 16, 8]),
            ("p4resnet44_cifar10", 33, [33, 33, 17, 9]),
            ("p4resnet44_pcam", 97, [97, 97, 49, 25]),
            ("p4resnet18_flowers102", 224, [224, 224, 112, 56, 28]),
            ("resnet18_flowers102", 225, [225, 225, 113, 57, 29]),
            ("p4resnet18_imagenet_standard", 224, [56, 56, 28, 14, 7]),
            ("p4resnet18_imagenet_standard", 225, [57, 57, 29, 15, 8]),
        ],
    )
    def test_sides_by_stage(self, name: str, size: int, sides: list[int]) -> None:
        assert list(inventory.costs(name, size).sides.items()) == list(zip(resnets.STAGES, sides))


class TestConstruction:
    def test_plain_networks_are_made_of_torchs_layers(self) -> None:
        for stem in ("small", "standard"):
            parts = models.build(narrow("resnet18", stem=stem), 0).modules()
            foreign = {type(m) for m in parts if not type(m).__module__.startswith("torch.nn")}
            block = resnets.PreActivation if stem == "small" else resnets.PostActivation
            assert foreign == {block, GlobalAvgPool, Conv2d}, "Conv2d is torch's but for a wrong kernel"

    def test_initialization(self) -> None:
        """Fact sheet 1.5: p4 uniform, fan-in without orientations; plain He normal by fan-out."""
        tied = models.build(Settings(model="p4resnet44", blocks=1), 0)
        convs = [m for m in tied.modules() if isinstance(m, LiftingConv | GroupConv)]
        assert len(convs) == 1 + 6 + 2
        for conv in convs:
            bound = 1 / math.sqrt(conv.in_channels * conv.kernel_size[0] ** 2)
            assert conv.weight.abs().max() <= bound
            assert conv.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert conv.bias is None
        plain = models.build(Settings(model="resnet44", blocks=1), 0)
        for conv in (m for m in plain.modules() if isinstance(m, nn.Conv2d)):
            deviation = math.sqrt(2 / (conv.out_channels * conv.kernel_size[0] ** 2))
            assert conv.weight.std().item() == pytest.approx(deviation, rel=0.1)
            assert conv.bias is None
        for m in [*tied.modules(), *plain.modules()]:
            if isinstance(m, GroupBatchNorm | nn.BatchNorm2d):
                assert (m.weight == 1).all()
                assert (m.bias == 0).all()

    def test_depth(self) -> None:
        """44 and 18 layers with the classifier, shortcuts not counted."""
        for model, depth in (("resnet44", 44), ("p4resnet44", 44), ("resnet18", 18), ("p4resnet18", 18)):
            network = inventory.skeleton(Settings(model=model), 10)
            counted = [
                m for n, m in network.named_modules() if hasattr(m, "kernel_size") and "shortcut" not in n
            ]
            assert len(counted) + 1 == depth

    def test_recorded_networks_still_draw_their_weights_in_this_order(self) -> None:
        """Recorded results rest on these draws: convolutions in order, then the classifier."""
        kernels = [(3, 1)] * 6 + [(4, 0)]
        with torch.random.fork_rng():
            torch.manual_seed(11)
            lift = LiftingConv(3, 10, 3, padding=1)
            convs = [lift] + [GroupConv(10, 10, k, padding=p) for k, p in kernels[1:]]
            expected = [*convs, nn.Linear(10, 10)]
        found = [m for m in models.build(Settings(), 11) if hasattr(m, "weight") and m.weight.dim() > 1]
        for ours, theirs in zip(found, expected, strict=True):
            assert torch.equal(ours.weight, theirs.weight)
            assert torch.equal(ours.bias, theirs.bias)
        with torch.random.fork_rng():
            torch.manual_seed(11)
            convs = [nn.Conv2d(20 if i else 3, 20, k, padding=p) for i, (k, p) in enumerate(kernels)]
        found = [m for m in models.build(Settings(model="z2cnn"), 11) if isinstance(m, nn.Conv2d)]
        assert all(torch.equal(a.weight, b.weight) for a, b in zip(found, convs, strict=True))

    @pytest.mark.parametrize("repair", ["", "resize", "pool"])
    @pytest.mark.parametrize("model", ["resnet18", "p4resnet44", "p4mcnn"])
    def test_seeds_train_side_by_side(self, model: str, repair: str) -> None:
        settings = narrow(model, repair=repair, dropout=0.0)
        networks = [models.build(settings, seed, 3) for seed in (0, 1)]
        assert all(map(stackable, networks))
        x = torch.stack([images(settings, 18), images(settings, 18).flip(0)], 1)
        together = stack(networks)(x.flatten(1, 2)).unflatten(1, (2, 3))
        for i, network in enumerate(networks):
            torch.testing.assert_close(together[:, i], network(x[:, i]), atol=2e-5, rtol=1e-4)

    def test_widths(self) -> None:
        assert resnets.widths(Settings(model="p4mresnet44")) == (11, 22, 44)
        assert resnets.widths(Settings(model="p4resnet18", width=5)) == (5, 10, 20, 40)
        assert resnets.widths(Settings(model="resnet44", stage_widths=(8, 14, 28))) == (8, 14, 28)
        with pytest.raises(UserError, match="stage_widths has 2 numbers, but resnet44 has 3 stages"):
            models.build(Settings(model="resnet44", stage_widths=(8, 14)), 0)

    def test_what_is_no_network_is_said(self) -> None:
        with pytest.raises(UserError, match="unknown network 'inventory'"):
            models.build(Settings(model="inventory"), 0)
        with pytest.raises(UserError, match="unknown residual network 'p4cnn'"):
            resnets.resnet(Settings(), 10)
        with pytest.raises(UserError, match="did you mean 'p4cnn'"):
            inventory.run(Settings(model="inventory", network="p4cn"), [0], Context())
