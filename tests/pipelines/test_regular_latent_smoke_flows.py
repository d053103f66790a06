"""SMOKE: windows, and that turned arrays show turned flows."""

from __future__ import annotations

import pytest
import torch

from pipelines.regular_latent import smoke_data
from pipelines.regular_latent.settings import Settings
from pipelines.regular_latent.smoke_flows import Flows, downwards, load, turn, turn_maps
from shared.algebra.actions import act_image, act_vectors
from shared.algebra.groups import cyclic
from shared.base.errors import UserError
from shared.data import smoke
from shared.runs.api import Context

SMOKE = {"kind": "smoke", "dataset": "", "shifted": 0.0}
DATA = {"kind": "smoke_data", "dataset": ""}


@pytest.fixture
def no_simulation(monkeypatch):
    """In place of velocities the number of the simulation, and the frame, in each cell."""

    def simulate(plumes, size, steps, device):
        known = smoke.rotation_plumes()
        numbers = torch.tensor([known.index(p) + 1.0 for p in plumes])[:, None]
        cells = torch.stack(torch.broadcast_tensors(numbers, torch.arange(steps - 1.0)), -1)
        return cells[..., None, None].expand(-1, -1, -1, size, size)

    monkeypatch.setattr(smoke, "simulate", simulate)


def test_windows_are_those_of_the_paper(no_simulation):
    flows = load(Settings(**SMOKE, size=8), "cpu")
    counts = {name: len(windows) for name, windows in flows.windows.items()}
    assert counts == {"train": 4000, "valid": 1000, "future": 1250, "domain": 1000}
    starts = {name: (w[:, 1].min().item(), w[:, 1].max().item()) for name, w in flows.windows.items()}
    assert starts == {"train": (0, 159), "valid": (160, 199), "future": (200, 249), "domain": (0, 99)}
    assert flows.fields.shape[:2] == (35, 281)  # the last window of the future ends with the last frame
    known = set(flows.clips(flows.windows["train"], 1)[:, 0, 0, 0, 0].tolist())
    others = set(flows.clips(flows.windows["domain"], 1)[:, 0, 0, 0, 0].tolist())
    assert len(known) == 25
    assert len(others) == 10
    assert set(range(1, 37)) - known - others == {32}
    for name in ("valid", "future"):
        assert set(flows.clips(flows.windows[name], 1)[:, 0, 0, 0, 0].tolist()) == known


def test_a_clip_begins_two_frames_after_its_window(no_simulation):
    flows = load(Settings(**SMOKE, size=8), "cpu")
    clips = flows.clips(torch.tensor([[3, 160], [0, 7]]), 16)
    assert clips[:, :, 0, 0, 0].unique(dim=1).tolist() == [[28.0], [27.0]]  # as listed
    assert clips[0, :, 1, 0, 0].tolist() == list(range(162, 178))
    assert clips[1, [0, -1], 1, 0, 0].tolist() == [9, 24]


@pytest.mark.parametrize("turns", range(4))
def test_turning_is_the_action_on_vector_fields(turns):
    x = torch.randn(3, 20, 6, 6, generator=torch.Generator().manual_seed(0))
    each = torch.full((3,), turns)
    moved = act_vectors(cyclic(4), turns, x.unflatten(1, (10, 2))).flatten(1, 2)
    torch.testing.assert_close(turn(x, each), moved, rtol=0, atol=0)
    torch.testing.assert_close(turn_maps(x, each), act_image(cyclic(4), turns, x), rtol=0, atol=0)


def test_each_sample_is_turned_by_its_own_number():
    x = torch.randn(4, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    all_at_once = turn(x, torch.tensor([2, 0, 3, 1]))
    for i, turns in enumerate((2, 0, 3, 1)):
        assert torch.equal(all_at_once[i : i + 1], turn(x[i : i + 1], torch.tensor([turns])))


def test_a_turned_array_shows_the_flow_of_the_turned_set_up_if_rows_count_downwards():
    """In the released layout the same rule shows it in reverse (the paper's code; fact sheet 7.3)."""
    plume = smoke.rotation_plumes(18)[16]
    fields = smoke.simulate([plume, smoke.turned(plume)], size=16, steps=40)[:, -1]
    once = torch.tensor([1])
    first, second = downwards(fields)
    moved, flow = smoke_data.shifted(turn(first[None], once)[0], second)
    assert (moved - flow).norm() < 1e-4 * flow.norm()
    first, second = fields  # as released
    moved, flow = smoke_data.shifted(turn(first[None], torch.tensor([3]))[0], second)  # arrays turn clockwise
    assert (moved - flow).norm() > 1.9 * flow.norm()
    assert (moved + flow).norm() < 1e-4 * flow.norm()


def test_released_fields_are_the_same_rows_upside_down():
    tiny = {"size": 8, "starts": (1, 1, 1, 1), "simulations": (1, 1)}
    turned, released = (
        load(Settings(**SMOKE, **tiny, layout=name), "cpu") for name in ("turned", "released")
    )
    assert turned.fields.abs().max() > 0
    assert torch.equal(turned.fields, released.fields.flip(-2))


@pytest.fixture(scope="module")
def facts():
    rows = smoke_data.run(Settings(**DATA, size=16, starts=(60, 5, 5, 5)), [0, 1], Context())
    assert rows[0] == rows[1]
    return {(row.metric, row.step): row.value for row in rows[0]}


def test_the_third_side_is_ten_percent_stronger_and_else_the_set_up_is_symmetric(facts):
    assert facts["side_error", 1] == pytest.approx(0.1, abs=0.005)
    assert facts["shifted_error", 50] < 1e-4
    assert facts["turned_error", 50] > 0.01  # faces are taken for cells


def test_simple_predictions_are_measured_as_networks_are(facts):
    flows = load(Settings(**DATA, size=16, starts=(60, 5, 5, 5)), "cpu")
    clips = flows.clips(flows.windows["domain"], 30)
    squares = [(part[:, 9:10] - part[:, 10:16]).square().mean() for part in clips.split(16)]
    assert facts["persistence_domain_6", ""] == pytest.approx(torch.stack(squares).mean().sqrt().item())
    assert facts["zero_domain_20", ""] > facts["persistence_domain_6", ""] > 0


def test_pictures_show_turned_vectors(facts):
    panels = {name: [v for (m, _), v in facts.items() if m == name] for name, _ in facts if "figure" in name}
    assert len(panels) == 4 + 6
    plain_x, plain_y = (torch.tensor(panels[f"figure7_plain_{axis}"]).view(16, 16) for axis in "xy")
    vectors_x = torch.tensor(panels["figure7_vectors_x"]).view(16, 16)
    pixels_x = torch.tensor(panels["figure7_pixels_x"]).view(16, 16)
    assert torch.equal(pixels_x, torch.rot90(plain_x))
    torch.testing.assert_close(vectors_x, -torch.rot90(plain_y), rtol=1e-3, atol=1e-4)
    bottom, top = (torch.tensor(panels[f"figure2_{side}"]).view(16, 16) for side in (1, 3))
    assert bottom[-2, 7:9].min() >= 1
    assert top[1, 7:9].min() >= 1


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"size": 9}, "even number of cells"),
        ({"starts": (0, 1, 1, 1)}, "starts of 1 or more"),
        ({"simulations": (26, 1)}, "1 to 25 simulations"),
        ({"model": "e2cnn", "shifted": 0.5}, "only the cnn sees turned copies"),
        ({"weight": 0.1}, "set shifted to 0.5"),
        ({"transposed": True}, "defect of rgroup"),
        ({"model": "scnn"}, "model of smoke"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong, match):
    with pytest.raises(UserError, match=match):
        Settings(**{**SMOKE, **wrong})


def test_flows_can_be_indexed_by_many_windows():
    flows = Flows(torch.arange(2 * 40.0).view(2, 40, 1, 1, 1).expand(-1, -1, 2, 8, 8), {})
    assert flows.clips(torch.tensor([[0, 0], [1, 1]]), 3)[:, :, 0, 0, 0].tolist() == [[2, 3, 4], [43, 44, 45]]


def test_what_is_no_flow_is_refused():
    none = torch.zeros(2, dtype=torch.int64)
    for shape in ((2, 3, 8, 8), (2, 2, 8)):
        with pytest.raises(ValueError, match="channels in pairs"):
            turn(torch.randn(shape), none)
    with pytest.raises(ValueError, match="elements are 0 to 3, not 0 to 4"):
        turn(torch.randn(2, 2, 8, 8), torch.tensor([0, 4]))
