"""Rows, explanations, tables and suggestions of the size atlas."""

from __future__ import annotations

import torch
from atlas_networks import lifted, p4cnn, resnet44, toy
from torch import nn

from shared.algebra.groups import cyclic
from shared.atlas import atlas, sizes
from shared.measure import equivariance_error
from shared.nn import GlobalAvgPool, GroupConv, LiftingConv, SpatialAvgPool, SpatialMaxPool

C4 = cyclic(4)


class TestReport:
    def test_rows(self) -> None:
        found = atlas(p4cnn(), 27)
        pool = next(row for row in found.rows if row.kind == "max_pool")
        assert found.first_break is pool
        assert (pool.input_size, pool.output_size) == ((27, 27), (13, 13))
        assert (pool.reach, pool.stride, pool.padding) == ((2, 2), (2, 2), ((0, 0), (0, 0)))
        assert pool.remainder == (1, 1)
        assert not pool.exact_here
        assert pool.broken == ("r",)
        before, after = found.rows[: found.rows.index(pool)], found.rows[found.rows.index(pool) + 1 :]
        assert all(row.exact_so_far for row in before)
        assert not any(row.exact_so_far for row in after)
        assert all(row.exact_here for row in (*before, *after))
        assert not found
        assert atlas(p4cnn(), 28)

    def test_explanation(self) -> None:
        text = str(atlas(toy(), 32))
        why = "(32 + 2 - 3) mod 2 = 1: the last window ends 1 pixel before the padded edge"
        assert text.splitlines() == [
            f"not exact for p4 at 32x32: '0' breaks it first: {why}",
            f"  0 (lift): 32 -> 16, broken ({why})",
            "  (the other 3 layers have stride 1 or no grid: exact themselves)",
            "nearest exact sizes to 32: 31 and 33",
            "or keep 32 and give 0 kernel 4, padding 1",
        ]
        assert "nearest other exact sizes to 33: 31 and 35" in atlas(toy(), 33).explain()

    def test_reasons(self) -> None:
        def why(*layers: nn.Module, size: int = 9) -> str:
            return atlas(nn.Sequential(*layers), size).first_break.reason

        assert "last window ends 1 pixel beyond" in why(SpatialAvgPool(2, ceil_mode=True))
        assert "pads one end more" in why(nn.ZeroPad2d((0, 1, 0, 1)))
        assert "treats height and width differently" in why(SpatialMaxPool((1, 2)), size=8)
        assert "nearest sampling of 9x9 to 13x13 is off center" in why(nn.Upsample(scale_factor=1.5))
        assert "turns the 9x9 positions into channels" in why(nn.Flatten())
        assert "turns the orientations into channels" in why(
            LiftingConv(1, 1, 3), GlobalAvgPool(), nn.Flatten()
        )

    def test_markdown(self) -> None:
        lines = atlas(toy(), 32).to_markdown().splitlines()
        assert lines[0].startswith("| layer | kind | in | out | K | stride | padding | remainder |")
        assert lines[2].startswith("| 0 | lift | 32 | 16 | 3 | 2 | 1 | 1 | **no** | **no** |")
        assert len({line.count("|") for line in lines}) == 1
        assert len(atlas(p4cnn(), 28).to_markdown(everything=True).splitlines()) > len(
            atlas(p4cnn(), 28).to_markdown().splitlines()
        )
        assert "| 9x8 | 5x4 |" in atlas(toy(), (9, 8)).to_markdown()

    def test_alternatives_are_exact_when_built(self) -> None:
        found = atlas(resnet44(), 32)
        (other,) = found.alternatives
        names = {old.name: new for old, new in other.changes}
        assert set(names) == {f"stages.{n}.{layer}" for n in (1, 2) for layer in ("conv1", "shortcut.0")}
        net = resnet44()
        for name, layer in names.items():
            old = net.get_submodule(name)
            parent, _, child = name.rpartition(".")
            new = GroupConv(1, 1, layer.kernel, stride=old.stride, padding=layer.padding[0][0], bias=False)
            setattr(net.get_submodule(parent), child, new)
        assert atlas(net, 32).exact
        errors = equivariance_error(net, torch.randn(2, 1, 32, 32), C4, dtype=torch.float64)
        assert errors.relative_max < 1e-10

    def test_adaptive_pool_as_alternative(self) -> None:
        kernel, adaptive = atlas(lifted(SpatialMaxPool(2)), 9).alternatives
        assert "kernel 3" in kernel.sentence
        assert adaptive.sentence == "or keep 9 and make 2 an adaptive pool to 4"
        assert atlas(lifted(nn.AdaptiveMaxPool3d((None, 4, 4))), 9).exact

    def test_no_size_helps(self) -> None:
        found = atlas(nn.Conv2d(1, 1, 3), 9)
        assert (found.nearest_exact.below, found.nearest_exact.above) == (None, None)
        assert found.alternatives == ()
        assert "no input size near 9 is exact" in found.explain()

    def test_sizes_that_do_not_fit_count_as_not_exact(self) -> None:
        found = sizes(p4cnn(), [6, 27, 28, (28, 30), (28, 29)])
        assert [v.exact for v in found] == [False, False, True, True, False]
        assert "use a larger input than 6" in found[0].first_break
        assert found[1].first_break == found[4].first_break == "7"
        assert found[0].output is None
        assert found[2].output == (1, 1)
