"""Checkpoints that were damaged: named, not used, and the training gives what it would have given anyway."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
import torch
import torture

from shared.base.errors import UserError
from shared.train import FitSettings, TrainingSet, fit, load_checkpoint, save_checkpoint

SETTINGS = FitSettings(epochs=3, batch_size=8, lr=0.05, selection="best")


def trained(path: Path | None, epochs: int = 3) -> tuple[list[list[float]], list[torch.Tensor], list[str]]:
    """Losses, weights and log of a small training, ended after some epochs."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    g = torch.Generator().manual_seed(5)
    images, labels = torch.rand(24, 1, 4, 4, generator=g), torch.arange(24) % 2
    index = torch.arange(24)
    data = TrainingSet(images, labels, [index[:16]], validation=[index[16:]])
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        if line.startswith(f"epoch {epochs + 1}/"):
            raise KeyboardInterrupt

    try:
        found = fit([model], data, SETTINGS, [3], checkpoint=path, log=log)
    except KeyboardInterrupt:
        return [], [], lines
    return found.losses, list(model.state_dict().values()), lines


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@torture.sizes(8, 400)
def test_no_flipped_bit_changes_a_result(tmp_path, size, tally):
    path, draw = tmp_path / "state.pt", random.Random(0)
    losses, weights, _ = trained(None)
    trained(path, epochs=1)
    content = path.read_bytes()
    assert len(losses[0]) == 3
    named = wrong = 0
    for bit in draw.sample(range(8 * len(content)), size):
        path.write_bytes(flipped(content, bit))
        again, same, lines = trained(path)
        named += "state.pt" in lines[0] and lines[0].endswith("it is not used, training begins anew")
        wrong += again != losses or not all(map(torch.equal, weights, same))
    came = f"{named:,} named and not used; training began anew and gave the same bits"
    tally("one bit of a checkpoint flipped", size, came, wrong + (size - named))


def test_a_whole_checkpoint_is_used(tmp_path):
    """Else the test above would hold of a training that looks at none."""
    path = tmp_path / "state.pt"
    trained(path, epochs=1)
    losses, _, lines = trained(path)
    assert lines[0] == "resumed after epoch 1 of 3"
    assert losses == trained(None)[0]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-40], "is damaged; delete it to start over"),
        (lambda content: content + b"0", "is damaged; delete it to start over"),
        (lambda content: b"", "has no digest .it is older, or damaged.; delete it to start over"),
        (lambda content: content[:30], "is damaged; delete it to start over"),
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path, damage, said):
    path = tmp_path / "state.pt"
    save_checkpoint(path, {"epoch": 1})
    assert load_checkpoint(path) == {"epoch": 1}
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=f"state.pt {said}"):
        load_checkpoint(path)


def test_an_older_checkpoint_is_refused_as_such(tmp_path):
    """Nothing tells whether it is whole."""
    buffer = io.BytesIO()
    torch.save({"epoch": 1}, buffer)
    (tmp_path / "state.pt").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="has no digest"):
        load_checkpoint(tmp_path / "state.pt")
    assert load_checkpoint(tmp_path / "none.pt") is None
