"""Random networks, each looked at in three ways that must agree; `make fuzz` runs it for long.

The atlas against measurement; measurement against its formula, written anew; seeds trained side by side
against each alone. What fails is shrunk, and printed as a program.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import itertools
import random
import sys
import time
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from shared.algebra.groups import Group, cyclic, dihedral
from shared.atlas import SYMMETRIES, atlas
from shared.atlas.symmetry import embedding
from shared.base.errors import UserError
from shared.measure import equivariance_error, errors_by_stage
from shared.nn.copies import copied
from shared.testing import RandomNetwork, random_network, randomize
from shared.testing.parts import Apply
from shared.testing.scripts import built, script, shrunk
from shared.train import FitSettings, TrainingSet, fit

GROUPS = (cyclic(4), cyclic(4), dihedral(4), cyclic(2), dihedral(2))
#: Draws of weights and inputs: "exact" must hold in all, "not exact" must show in one.
EXACT_DRAWS, LUCKY_DRAWS = 2, 100
ROUNDING = 1e-9
#: Mismatches that are shrunk; of others, the seed is said.
SHOWN = 20


class Mismatch(AssertionError):
    """Two ways do not agree; ``ending`` are the lines of a program that shows it."""

    def __init__(self, what: str, ending: str) -> None:
        super().__init__(what)
        self.ending = ending


def made(seed: int) -> RandomNetwork:
    """The network of a seed: every other one strange."""
    choose = random.Random(seed).choice
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        return random_network(choose, choose(GROUPS), depth=5, sides=range(3, 10), strange=bool(seed % 4))


def inputs(network: RandomNetwork, generator: torch.Generator, draw: int, count: int = 8) -> Tensor:
    x = torch.randn((count, network.in_channels, *network.size), generator=generator, dtype=torch.float64)
    means = 2 * torch.randn((count, 1, 1, 1), generator=generator, dtype=torch.float64)
    return (x**3 if draw % 2 else x) + means


def is_random(network: RandomNetwork) -> bool:
    return any(isinstance(m, Apply) and m.name == "dropped" for m in network.module.modules())


# --- the formula, written anew ---------------------------------------------------------------------------


def moved(group: Group, g: int, t: Tensor) -> Tensor:
    """An element on images or regular features, by the group's own multiplication."""
    order = group.family[1][0]
    turns, mirrored = (g % order) * 4 // order, g >= order
    t = t.flip(-1) if mirrored else t
    t = torch.rot90(t, turns, (-2, -1))
    if t.dim() == 5:
        places = [group.table[group.inverse[g]][h] for h in range(group.order)]
        t = torch.stack([t[:, :, place] for place in places], 2)
    return t


def acted(group: Group, g: int, y: Tensor) -> Tensor:
    if y.dim() < 3:
        return y
    if y.dim() == 3:
        return moved(group, g, y[..., None, None])[..., 0, 0]
    return moved(group, g, y)


def relative(module: nn.Module, group: Group, g: int, x: Tensor) -> float:
    with torch.no_grad():
        y = module(x)
        after, before = module(moved(group, g, x)), acted(group, g, y)
    if after.shape != before.shape:
        return float("inf")
    distance, scale = (after - before).norm().item(), before.norm().item()
    return distance / scale if scale else 0.0 if not distance else float("inf")


# --- the three ways --------------------------------------------------------------------------------------


def check_measure(network: RandomNetwork, seed: int) -> str:
    """`measure` gives what its formula gives; a copy in float64 is as good as the network itself."""
    generator, module, group = torch.Generator().manual_seed(seed), network.module.eval(), network.group
    randomize(module, generator)
    x = inputs(network, generator, seed)
    ending = (
        "from shared.measure import equivariance_error\n"
        f"group = {_named(group)}\nprint(equivariance_error(network.eval(), x, group).table())"
    )
    if is_random(network):
        for trial in (equivariance_error, errors_by_stage):
            with contextlib.suppress(UserError):
                trial(module, x, group)
                raise Mismatch("a random network is measured", ending)
        return "refused: random"
    try:
        found = equivariance_error(module, x, group)
    except UserError as error:
        said = str(error)
        if "cannot tell how" in said or "not turned ones" in said:
            return "refused: " + said.split(";")[0].split("of shape")[0][:60]
        with torch.no_grad():
            idle = [g for g in range(1, group.order) if torch.equal(moved(group, g, x), x)]
        if idle and "not tested" in said.replace("nothing was tested", "not tested"):
            return "refused: nothing moves"
        raise Mismatch(f"measuring is refused: {said}", ending) from error
    except Exception as error:
        raise Mismatch(f"measuring fails: {type(error).__name__} {error}", ending) from error
    stages = dict(network.module.named_children())
    last = list(stages)[-1]
    staged = errors_by_stage(module, x, group, [last], batch_size=3)[last]
    if not any("other forward" in edit for edit in network.edits):  # which belongs to one network
        single = copied(module, torch.float32)
        again = equivariance_error(single, x.float(), group, dtype=torch.float64)
    else:
        again = found
    for g in range(1, group.order):
        name = group.element_names[g]
        right, value = relative(module, group, g, x), found.elements[name].relative_mean
        if not _close(value, right):
            raise Mismatch(f"{name}: measured {value}, by the formula {right}", ending)
        if not _close(staged.elements[name].relative_mean, value) and not network_over_batch(network):
            raise Mismatch(f"{name}: by stage {staged.elements[name].relative_mean}, whole {value}", ending)
        rounded = again.elements[name].relative_mean
        if abs(rounded - value) > 1e-2 * (1 + value) and found.elements[name].absolute_max > 1e-6:
            raise Mismatch(f"{name}: measured {value}, of a copy made float32 and back {rounded}", ending)
    return "measured"


def network_over_batch(network: RandomNetwork) -> bool:
    """Whether the outputs for an input depend on the others of the batch."""
    names = ("centered", "scale")
    return any(isinstance(m, Apply) and m.name in names for m in network.module.modules())


def check_atlas(network: RandomNetwork, seed: int) -> str:
    """A verdict of the atlas is what measurement shows; what it does not know, it refuses."""
    choose = random.Random(seed).choice
    inside = set(embedding(network.group))
    symmetry = choose([s for s in SYMMETRIES.values() if inside.issuperset(s.elements)])
    ending = (
        f"from shared.atlas import atlas\nprint(atlas(network, {network.size}, {symmetry.name!r}).explain())"
    )
    try:
        verdict = atlas(network.module, network.size, symmetry.name)
    except UserError:
        return "refused"
    except Exception as error:
        raise Mismatch(f"the atlas fails: {type(error).__name__} {error}", ending) from error
    if is_random(network):
        raise Mismatch("the atlas judges a random network", ending)
    place = {turned: g for g, turned in enumerate(embedding(network.group))}
    elements = [place[element] for element in symmetry.elements]
    generator, module = torch.Generator().manual_seed(seed), network.module.eval()
    measured = True
    for draw in range(EXACT_DRAWS if verdict.exact else LUCKY_DRAWS):
        randomize(module, generator)
        x = inputs(network, generator, draw)
        try:
            measured = all(relative(module, network.group, g, x) < ROUNDING for g in elements)
        except (RuntimeError, ValueError):  # it cannot even read the turned rectangle
            measured = False
        if not measured:
            break
    if verdict.exact != measured:
        raise Mismatch(f"atlas for {symmetry.name}: exact {verdict.exact}, measured {measured}", ending)
    return "exact" if measured else "not exact"


class Classifier(nn.Module):
    """A network with a linear layer behind the mean over its pixels and orientations."""

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network, self.last = network, nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.network(x)
        return self.last(y.flatten(2).mean(2) if y.dim() > 2 else y.view(len(y), -1))


def check_training(network: RandomNetwork, seed: int) -> str:
    """Two seeds at once train as each of them alone: the same losses and weights, or both fail."""
    generator = torch.Generator().manual_seed(seed)
    data = inputs(network, generator, 0, 12), torch.randint(0, 3, (12,), generator=generator)
    ending = "# train two seeds: fit(models, data, FitSettings(epochs=2, batch_size=4, lr=0.01), [0, 1])"
    both, lines = _trained(network, *data, [0, 1])
    alone = [_trained(network, *data, [number])[0] for number in range(2)]
    fails = [found for found in alone if isinstance(found, str)]
    if isinstance(both, str) or fails:
        if isinstance(both, str) and fails:
            return "fails"
        raise Mismatch(
            f"alone: {fails or 'no error'}, side by side: {both if not fails else 'no error'}", ending
        )
    for number, (found,) in enumerate(alone):
        for name, value in found.items():
            other = both[number][name]
            if not torch.allclose(other, value, rtol=1e-6, atol=1e-8, equal_nan=True):
                gap = (other - value).abs().max().item()
                raise Mismatch(f"seed {number}: {name} differs by {gap:.1e} from training alone", ending)
    return "one by one" if any("one by one" in line for line in lines) else "side by side"


def _trained(
    network: RandomNetwork, images: Tensor, labels: Tensor, seeds: list[int]
) -> tuple[list[dict[str, Tensor]] | str, list[str]]:
    """State and losses of each seed after a short training, or what went wrong; the log."""
    lines: list[str] = []
    with torch.no_grad():
        channels = (*network.module.eval()(images).shape, 1)[1]
    models = []
    for seed in seeds:
        torch.manual_seed(seed)
        models.append(Classifier(built(network.layers, network.edits), channels).double())
    rows = [torch.randperm(12, generator=torch.Generator().manual_seed(s))[:8] for s in seeds]
    data = TrainingSet(images, labels, rows)
    how = FitSettings(epochs=2, batch_size=4, lr=0.01, optimizer="sgd", replicas="auto")
    try:
        losses = fit(models, data, how, seeds, log=lines.append).losses
    except (UserError, RuntimeError, ValueError) as error:
        return type(error).__name__, lines
    states = [{**model.state_dict(), "losses": torch.tensor(of)} for model, of in zip(models, losses)]
    return states, lines


def _named(group: Group) -> str:
    return f"{group.family[0]}({group.family[1][0]})"


def _close(a: float, b: float) -> bool:
    return a == b or abs(a - b) <= 1e-9 * (1 + abs(b)) or (a != a and b != b)


# --- many of them ----------------------------------------------------------------------------------------

CHECKS = {"measure": check_measure, "atlas": check_atlas, "training": check_training}


def check(network: RandomNetwork, seed: int) -> dict[str, str]:
    """What each way says of a network.

    Raises:
        Mismatch: if two do not agree.
    """
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        return {name: one(network, seed) for name, one in CHECKS.items()}


def report(network: RandomNetwork, seed: int, found: Mismatch) -> str:
    """The mismatch as a program, of as few layers as show it."""
    what = str(found).split(":")[0][:12]
    last = [found]

    def fails(layers: list[str], edits: list[str]) -> bool:
        try:
            module = built(layers, edits)
            module.eval()(torch.zeros(3, network.in_channels, *network.size, dtype=torch.float64))
            check(dataclasses.replace(network, module=module, layers=tuple(layers), edits=tuple(edits)), seed)
        except Mismatch as error:
            if str(error).split(":")[0][:12] != what:
                return False
            last[0] = error
            return True
        except Exception:  # a network that cannot be built or run shows something else
            return False
        return False

    layers, edits = shrunk(network.layers, network.edits, fails)
    return f"# seed {seed}: {last[0]}\n{script(layers, edits, network.size, last[0].ending)}"


def run(seeds: Iterator[int], seconds: float = float("inf")) -> tuple[collections.Counter, list[str]]:
    """Check the networks of ``seeds`` until time is up; what was said how often, and what does not agree."""
    counts: collections.Counter = collections.Counter()
    programs: list[str] = []
    end = time.monotonic() + seconds
    for seed in seeds:
        network = made(seed)
        try:
            counts.update(f"{name}: {said}" for name, said in check(network, seed).items())
        except Mismatch as error:
            programs.append(
                report(network, seed, error) if len(programs) < SHOWN else f"# seed {seed}: {error}"
            )
        except Exception as error:
            error.add_note(f"seed {seed}: {network.layers} {network.edits} at {network.size}")
            raise
        counts["networks"] += 1
        if time.monotonic() > end:
            break
    return counts, programs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1_000_000, help="of the first network; the next follow")
    parser.add_argument("--ways", nargs="+", choices=CHECKS, default=list(CHECKS))
    arguments = parser.parse_args()
    for way in set(CHECKS) - set(arguments.ways):
        del CHECKS[way]
    torch.set_num_threads(1)
    counts, programs = run(itertools.count(arguments.seed), 60 * arguments.minutes)
    for name, count in sorted(counts.items()):
        print(f"{count:8d}  {name}")
    for program in programs:
        print(f"\n{program}")
    print(f"{len(programs)} mismatches")
    return bool(programs)


if __name__ == "__main__":
    sys.exit(main())
