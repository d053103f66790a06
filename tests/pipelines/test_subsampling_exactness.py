"""Where the networks of the subsampling paper are exact: atlas against measurement, padding, repairs."""

from __future__ import annotations

import pytest
import torch
from narrow_networks import images, narrow

from pipelines.subsampling import inventory, models, resnets
from pipelines.subsampling.settings import Settings
from shared.algebra.actions import act_features
from shared.algebra.groups import cyclic, dihedral
from shared.atlas import atlas, sizes
from shared.base.errors import UserError
from shared.measure import errors_by_stage, invariance_error
from shared.nn import FitStride, SpatialMaxPool
from shared.runs.api import Context
from shared.testing import assert_equivariant

C4, D4 = cyclic(4), dihedral(4)


def rows(name: str) -> dict[str, dict[object, float]]:
    """What the inventory says of a network, by metric and step."""
    found = inventory.run(Settings(model="inventory", network=name), [4], Context(log=lambda line: None))
    assert list(found) == [4]
    table: dict[str, dict[object, float]] = {}
    for row in found[4]:
        table.setdefault(row.metric, {})[row.step] = row.value
    return table


class TestVerdicts:
    @pytest.mark.parametrize(
        ("name", "exact", "approximate"),
        [
            ("toy", 33, [32, 34]),
            ("p4cnn", 28, [27, 29]),
            ("p4resnet44_cifar10", 33, [32]),
            ("p4resnet44_pcam", 97, [96]),
            ("p4resnet18_flowers102", 225, [224]),
            ("p4resnet18_imagenet_standard", 225, [224, 226]),
        ],
    )
    def test_one_pixel_switches_the_verdict(self, name: str, exact: int, approximate: list[int]) -> None:
        """S21, on the networks themselves; the nearest exact sizes are in test_atlas."""
        network = inventory.find(name)
        module = inventory.skeleton(network.settings, network.classes)
        found = sizes(module, [exact, *approximate])
        assert [verdict.exact for verdict in found] == [True] + [False] * len(approximate)

    def test_inventory_of_resnet44(self) -> None:
        """At 34 it breaks at stage 2, at 31 and 35 at stage 3 only, at 36 at stage 2 (fact sheet 2.7)."""
        table = rows("resnet44_cifar10")
        assert table["parameters"] == {"": 2_636_458}
        assert set(table["macs"]) == {29, 32, 33, 34, 36}
        assert [size for size, exact in table["exact"].items() if exact] == [29, 33, 37]
        stages = {size: resnets.STAGES[int(i) - 1] for size, i in table["breaks_stage"].items() if i}
        assert stages == {
            size: "stage3" if size % 4 == 3 else "stage2" for size in range(28, 41) if size % 4 != 1
        }
        assert table["exact_p4m"] == table["exact"]
        assert all(table["fits"].values())

    def test_the_atlas_says_which_stages_break(self) -> None:
        for size, broken in ((31, {"stage3"}), (34, {"stage2"}), (36, {"stage2", "stage3"})):
            found = atlas(inventory.skeleton(Settings(model="p4resnet44"), 10), size)
            assert {row.name.partition(".")[0] for row in found.rows if not row.exact_here} == broken

    @pytest.mark.parametrize("name", ["z2cnn", "p4cnn", "p4mcnn", "toy"])
    def test_inventory_of_small_networks(self, name: str) -> None:
        table = rows(name)
        exact = {size: size % 2 == (name == "toy") for size in range(20, 37)}
        assert table["exact"] == exact
        stage = 1 if name == "toy" else 2
        assert table["breaks_stage"] == {size: 0 if good else stage for size, good in exact.items()}
        mirrored = exact if name != "p4cnn" else dict.fromkeys(exact, False)  # C4 has no mirrors
        assert table["exact_p4m"] == mirrored

    def test_the_toy_does_not_see_mirrors_at_odd_sizes(self) -> None:
        """One linear filter, averaged: at odd sizes the sums under its taps are themselves symmetric."""
        toy = models.build(Settings(model="toy", channels=1), 0)
        for size in (32, 33):
            error = invariance_error(toy, images(Settings(channels=1), size), D4, dtype=torch.float64)
            assert (error.relative_max < 1e-12) == (size == 33)


class TestSymmetry:
    @pytest.mark.parametrize(
        ("model", "stem", "sides"),
        [
            ("p4resnet44", "small", (29, 31, 32, 33, 34)),
            ("p4resnet18", "small", (32, 33)),
            ("p4resnet18", "standard", (32, 33)),
        ],
    )
    def test_errors_start_at_the_stage_that_the_atlas_names(
        self, model: str, stem: str, sides: tuple[int, ...]
    ) -> None:
        settings = narrow(model, stem=stem)
        network = models.build(settings, 3)
        for size in sides:
            errors = errors_by_stage(network, images(settings, size), C4, dtype=torch.float64)
            assert list(errors) == [name for name, _ in network.named_children()]
            found = atlas(network, size)
            first = len(errors) if found.exact else inventory.stage_of(network, found.first_break.name) - 1
            for place, error in enumerate(errors.values()):
                assert (error.relative_max < 1e-10) if place < first else (error.relative_max > 1e-4)

    @pytest.mark.parametrize(
        ("settings", "exact", "approximate"),
        [
            (narrow("p4mcnn"), 28, 27),
            (narrow("p4mcnn", padding_mode="reflect"), 28, 29),
            (narrow("p4mresnet44"), 33, 32),
            (narrow("p4mresnet44", stem="standard"), 33, 32),
        ],
        ids=lambda value: value.model if isinstance(value, Settings) else str(value),
    )
    def test_p4m_networks_are_invariant_to_turns_and_mirrors(
        self, settings: Settings, exact: int, approximate: int
    ) -> None:
        network = models.build(settings, 1)
        assert_equivariant(network, "p4m", size=exact, trials=2)
        with pytest.raises(AssertionError, match="breaks it first"):
            assert_equivariant(network, "p4m", size=approximate, trials=1)

    def test_features_of_a_p4m_network_move_with_the_image(self) -> None:
        network = models.build(narrow("p4mresnet44"), 1)
        assert_equivariant(network[:4], D4, size=33, in_channels=3, trials=1)

    def test_p4_networks_are_not_invariant_to_mirrors(self) -> None:
        with pytest.raises(AssertionError, match="which lacks"):
            assert_equivariant(models.build(narrow("p4resnet44"), 1), "p4m", size=33, trials=1)


class TestPaddingAndRepair:
    @pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "circular", "replicate"])
    @pytest.mark.parametrize("model", ["p4cnn", "p4resnet44"])
    def test_padding_does_not_change_the_verdict(self, model: str, padding_mode: str) -> None:
        exact, approximate = (28, 27) if model == "p4cnn" else (33, 32)
        settings = narrow(model, padding_mode=padding_mode)
        network = models.build(settings, 2)
        for size in (exact, approximate):
            error = invariance_error(network, images(settings, size), C4, dtype=torch.float64)
            assert (error.relative_max < 1e-10) == (size == exact)
            assert atlas(network, size).exact == (size == exact)

    def test_padding_mode_reaches_every_padded_convolution(self) -> None:
        for model in ("z2cnn", "p4mcnn", "resnet18", "p4resnet18"):
            network = models.build(narrow(model, padding_mode="circular"), 0)
            modes = {m.padding_mode for m in network.modules() if hasattr(m, "padding_mode")}
            assert modes == {"circular"}

    def test_padding_before_the_pool_is_that_of_blocks_1_and_2(self) -> None:
        for model in ("z2cnn", "p4cnn"):
            settings = narrow(model, padding_mode="reflect", padding_before_pool="zeros")
            layers = models.build(settings, 0).modules()
            modes = [layer.padding_mode for layer in layers if hasattr(layer, "padding_mode")]
            assert modes == ["zeros"] * 2 + ["reflect"] * 5
        with pytest.raises(UserError, match="set padding_mode"):
            narrow("p4resnet44", padding_before_pool="zeros")

    @pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "circular", "replicate"])
    def test_only_zeros_draw_a_frame_which_the_pool_cuts_at_odd_sizes(self, padding_mode: str) -> None:
        network = models.build(narrow("p4cnn", padding_mode=padding_mode), 4).double().eval()
        front = network[: 1 + next(i for i, m in enumerate(network) if isinstance(m, SpatialMaxPool))]
        for size in (27, 28):
            blank = torch.full((1, 3, size, size), -0.42, dtype=torch.float64)
            maps = front(blank)
            framed = (maps - maps[..., 6:7, 6:7]).abs().amax() > 1e-3
            symmetric = torch.allclose(maps, act_features(C4, 1, maps))
            assert framed == (padding_mode == "zeros")
            assert symmetric == (padding_mode != "zeros" or size == 28)

    @pytest.mark.parametrize("repair", ["resize", "pool"])
    @pytest.mark.parametrize(
        ("model", "stem", "sides"),
        [
            ("p4cnn", "small", (27, 28, 29)),
            ("p4mcnn", "small", (27, 29)),
            ("p4resnet44", "small", (31, 32, 33, 34)),
            ("p4resnet18", "small", (32,)),
            ("p4resnet18", "standard", (32,)),
        ],
    )
    def test_a_repaired_network_is_exact_at_every_size(
        self, model: str, stem: str, sides: tuple[int, ...], repair: str
    ) -> None:
        settings = narrow(model, stem=stem, repair=repair)
        network = models.build(settings, 2)
        group = D4 if model == "p4mcnn" else C4
        for size in sides:
            assert_equivariant(network, group, size=size, trials=1)
            assert atlas(network, size, group).exact

    @pytest.mark.parametrize("repair", ["resize", "pool"])
    @pytest.mark.parametrize(("model", "size"), [("p4cnn", 28), ("z2cnn", 28), ("p4resnet44", 33)])
    def test_a_repair_changes_nothing_where_the_network_is_exact(
        self, model: str, size: int, repair: str
    ) -> None:
        published = models.build(narrow(model), 5).eval()
        repaired = models.build(narrow(model, repair=repair), 5).eval()
        assert models.count_parameters(repaired) == models.count_parameters(published)
        assert any(isinstance(m, FitStride) for m in repaired.modules())
        x = images(Settings(), size)
        assert torch.equal(repaired(x), published(x))
        assert not torch.equal(
            repaired(images(Settings(), size - 1)), published(images(Settings(), size - 1))
        )

    def test_sides_of_repaired_networks(self) -> None:
        """Resizing goes up from even sizes, as the paper does with images; a pool keeps all sides."""
        sides = {
            repair: inventory.count(inventory.skeleton(narrow("p4resnet44", repair=repair), 10), 3, 32).sides
            for repair in ("", "resize", "pool")
        }
        assert list(sides[""].values()) == list(sides["pool"].values()) == [32, 32, 16, 8]
        assert list(sides["resize"].values()) == [32, 32, 17, 9]
