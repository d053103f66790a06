"""Random networks in three ways that must agree, a bounded number of them; `make fuzz` takes more."""

from __future__ import annotations

import dataclasses
import random

import differential
import pytest
import torch
from torch import nn

from shared.algebra.groups import cyclic
from shared.measure import Errors
from shared.nn import LiftingConv
from shared.testing import random_network
from shared.testing.scripts import built, shrunk, source
from shared.train.replicas import obstacle

COUNT = 40


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("measure", {"measured": COUNT // 2}),
        ("atlas", {"exact": COUNT // 10, "not exact": COUNT // 10}),
        ("training", {"side by side": COUNT // 10, "one by one": COUNT // 10}),
    ],
)
def test_the_ways_agree(way: str, said: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differential, "CHECKS", {way: differential.CHECKS[way]})
    counts, programs = differential.run(iter(range(COUNT)))
    assert not programs, "\n\n".join(programs)
    assert counts["networks"] == COUNT
    for word, least in said.items():
        assert counts[f"{way}: {word}"] >= least, counts
    assert counts["training: fails"] <= COUNT // 10


def test_seeds_that_mix_are_found_and_shrunk_to_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: nobody looks whether the joint network does what each network does alone."""
    monkeypatch.setattr("shared.train.loop.difference", lambda models, *rest: obstacle(models[0]))
    monkeypatch.setattr(differential, "CHECKS", {"training": differential.check_training})
    _, programs = differential.run(iter([25, 27, 33]))
    assert programs
    shortest = min(programs, key=lambda program: program.count("\n    "))
    assert "from training alone" in shortest or "side by side" in shortest
    assert shortest.count("\n    ") <= 3  # layers
    exec(compile(shortest, "program", "exec"), {})


def test_a_measurement_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments, **options):
        found = right(*arguments, **options).elements
        return Errors({g: dataclasses.replace(e, relative_mean=e.relative_max) for g, e in found.items()})

    right = differential.equivariance_error
    monkeypatch.setattr(differential, "equivariance_error", wrong)
    monkeypatch.setattr(differential, "CHECKS", {"measure": differential.check_measure})
    _, programs = differential.run(iter(range(6)))
    assert any("by the formula" in program for program in programs)


def test_the_source_of_a_network_builds_it() -> None:
    for seed in range(40):
        network = random_network(random.Random(seed).choice, cyclic(4), strange=bool(seed % 2))
        again = built(network.layers)
        plain = random_network(random.Random(seed).choice, cyclic(4), strange=bool(seed % 2))
        if not network.edits:
            assert str(again) == str(plain.module)
    with pytest.raises(ValueError, match="does not keep its argument"):
        source(nn.Hardtanh(-0.5, 0.5))
    torch.testing.assert_close(built([source(LiftingConv(1, 2, 3))])[0].kernel_size, (3, 3))


def test_shrinking_keeps_what_fails() -> None:
    layers, edits = shrunk(list("abcdef"), ["x", "y"], lambda layers, edits: {"b", "e"} <= {*layers})
    assert (layers, edits) == (["b", "e"], [])
    layers, edits = shrunk(list("abc"), ["x", "y"], lambda layers, edits: "b" in layers and "y" in edits)
    assert (layers, edits) == (["nn.Identity()", "b", "nn.Identity()"], ["y"])
