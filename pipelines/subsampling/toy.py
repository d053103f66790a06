"""Figure 3: a network with one p4 filter that is asked to tell an image from its quarter turn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.subsampling import data, models
from pipelines.subsampling.settings import Settings
from shared.algebra.actions import act_features, act_image
from shared.algebra.groups import cyclic
from shared.runs.api import Context, OutOfTime, Row
from shared.train import guesses, precision

C4 = cyclic(4)
#: Steps between recorded values of the loss and of the gap between the two logits.
RECORD_EVERY = 100
#: The seed whose pictures are kept: the figure shows one network, and pixels are many rows.
PICTURED_SEED = 0


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Train the toy on two samples, x with label 0 and its quarter turn with label 1.

    Rows: ``loss`` and ``logit_gap`` (largest difference between the logits of x and of its turn) by
    step; ``accuracy`` (percent of the two samples) and ``parameters``; and, for the figure, the pixels of
    ``input``, ``filter``, ``map`` = f(x) and ``map_of_rotated`` = T^-1 f(T x) (both summed over the group)
    with the flat pixel index as step, of `PICTURED_SEED`.

    Seeds that the context's deadline leaves no time for are not among the result.

    Raises:
        OutOfTime: if the deadline comes before the first seed.
    """
    rows = {}
    for seed in seeds:
        if context.time_is_up():
            break
        with precision("float32", context.device):
            rows[seed] = _train(settings, seed, context)
    if not rows:
        raise OutOfTime("time is up before the first seed")
    return rows


def _train(settings: Settings, seed: int, context: Context) -> list[Row]:
    x = data.line_figure(settings.size).to(context.device)
    samples = torch.cat([x, act_image(C4, 1, x)])
    labels = torch.arange(2, device=context.device)
    network = models.build(settings, seed).to(context.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=settings.lr, momentum=0.9)
    rows = [Row("parameters", "", float(models.count_parameters(network)))]
    for step in range(settings.steps + 1):
        logits = network(samples)
        loss = F.cross_entropy(logits, labels)
        if step % RECORD_EVERY == 0 or step == settings.steps:
            rows.append(Row("loss", step, loss.item()))
            rows.append(Row("logit_gap", step, (logits[0] - logits[1]).abs().max().item()))
        if step < settings.steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    context.log(f"toy, {settings.size} pixels, seed {seed}: loss {loss.item():.4f} at step {settings.steps}")
    # with equal logits the two samples get one class, so half of them are right
    rows.append(Row("accuracy", "", 100 * (guesses(logits) == labels).double().mean().item()))
    return rows + _pictures(network, x) if seed == PICTURED_SEED else rows


@torch.no_grad()
def _pictures(network: models.Toy, x: Tensor) -> list[Row]:
    """The four panels of Figure 3, as pixels."""
    back = int(C4.inverse[1])
    returned = act_features(C4, back, network.lift(act_image(C4, 1, x)))
    panels = {
        "input": x,
        "filter": network.lift.weight,
        "map": network.lift(x).sum(2),
        "map_of_rotated": returned.sum(2),
    }
    return [
        Row(name, index, value)
        for name, panel in panels.items()
        for index, value in enumerate(panel.flatten().tolist())
    ]
