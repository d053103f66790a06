"""The size atlas against measurement, on hundreds of random networks: they may never disagree."""

from __future__ import annotations

import collections

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from shared.algebra.actions import act_image
from shared.atlas import SYMMETRIES, atlas
from shared.atlas.symmetry import embedding
from shared.base.errors import UserError
from shared.measure import ElementErrors, compare, equivariance_error, find_action
from shared.testing import RandomNetwork, randomize
from shared.testing.strategies import networks, symmetries

ROUNDING = 1e-9
#: Draws of weights and inputs. A broken maximum or a dead activation can agree by luck in one of them, so
#: "exact" must hold in all, and "not exact" must show in one.
EXACT_DRAWS, LUCKY_DRAWS = 2, 200

QUIET = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


def images(network: RandomNetwork, draw: int, generator: torch.Generator) -> Tensor:
    """A batch of images of different means; every other draw has heavy tails, for the sake of maxima."""
    x = torch.randn((8, network.in_channels, *network.size), generator=generator, dtype=torch.float64)
    means = 2 * torch.randn((8, 1, 1, 1), generator=generator, dtype=torch.float64)
    return (x**3 if draw % 2 else x) + means


def element_errors(network: RandomNetwork, x: Tensor, elements: list[int]) -> list[ElementErrors]:
    """Of a single row, which some elements do not move, `measure` says nothing; its output may be larger."""
    f, group = network.module.eval(), network.group
    if min(network.size) > 1:
        return list(equivariance_error(f, x, group, elements=elements).elements.values())
    with torch.no_grad():
        y = f(x)
        act = find_action(None, y, group, "out")
        try:
            return [compare(f(act_image(group, g, x)), act(group, g, y)) for g in elements]
        except RuntimeError as error:
            raise UserError(str(error)) from error


def measured_exact(network: RandomNetwork, symmetry: str, seed: int, draws: int) -> bool:
    generator = torch.Generator().manual_seed(seed)
    place = {moved: g for g, moved in enumerate(embedding(network.group))}
    elements = [place[moved] for moved in SYMMETRIES[symmetry].elements]
    for draw in range(draws):
        randomize(network.module, generator)
        x = images(network, draw, generator)
        try:
            errors = element_errors(network, x, elements)
        except UserError:  # the network cannot even read the turned rectangle
            return False
        if not all(e.relative_mean < ROUNDING for e in errors):
            return False
    return True


def agree(network: RandomNetwork, symmetry: str, seed: int) -> bool:
    """Assert that both agree, and return what they say."""
    verdict = atlas(network.module, network.size, symmetry)
    measured = measured_exact(network, symmetry, seed, EXACT_DRAWS if verdict.exact else LUCKY_DRAWS)
    assert verdict.exact == measured, f"{network.module}\n{verdict.explain()}\nmeasured exact: {measured}"
    return measured


@st.composite
def cases(draw: st.DrawFn, depth: int = 6, sides: range = range(4, 17)) -> tuple[RandomNetwork, str]:
    network = draw(networks(depth=depth, sides=sides))
    return network, draw(symmetries(network.group))


def run_cases(count: int, depth: int, sides: range) -> collections.Counter:
    seen: collections.Counter = collections.Counter()

    @settings(max_examples=count, **QUIET)
    @given(case=cases(depth, sides), seed=st.integers(0, 2**31))
    def check(case: tuple[RandomNetwork, str], seed: int) -> None:
        seen[agree(*case, seed)] += 1

    check()
    return seen


def test_verdict_equals_measurement() -> None:
    seen = run_cases(400, depth=6, sides=range(4, 17))
    assert seen.total() >= 400
    assert min(seen[True], seen[False]) >= 100  # else the test would prove little


def test_verdict_equals_measurement_on_tiny_maps() -> None:
    """On a few pixels, windows hold the whole map, only padding, or equal pixels in spite of a remainder."""
    seen = run_cases(200, depth=8, sides=range(1, 7))
    assert seen.total() >= 200
    assert min(seen[True], seen[False]) >= 50


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "sides"), [(6, range(4, 17)), (10, range(1, 7)), (12, range(8, 25))])
def test_verdict_equals_measurement_on_many(depth: int, sides: range) -> None:
    seen = run_cases(2000, depth, sides)
    assert seen.total() >= 2000
