"""The pretended GPU: it computes what the CPU computes, and refuses what CUDA refuses."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.testing import pretended_gpu
from shared.train import load_checkpoint, save_checkpoint

OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
}


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def trained(device: str, optimizer: str) -> list[float]:
    model, images = network().to(device), numbers(4, 3, 8, 8).to(device)
    labels, step = torch.tensor([0, 1, 2, 0], device=device), OPTIMIZERS[optimizer](model.parameters())
    losses = []
    for _ in range(3):
        loss = F.cross_entropy(model(images), labels)
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.item())
    assert all(p.device.type == p.grad.device.type == torch.device(device).type for p in model.parameters())
    with torch.inference_mode():
        return [*losses, *model.eval()(images).cpu().flatten().tolist()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_there_has_the_bits_of_the_cpu(optimizer):
    here = trained("cpu", optimizer)
    with pretended_gpu():
        assert trained("cuda:0", optimizer) == here
    assert here[2] < here[0]


MISTAKES = {
    "sum": lambda there, here: there + here,
    "sum in place": lambda there, here: there.add_(here),
    "parameters left behind": lambda there, here: network()(there),
    "images left behind": lambda there, here: network().to("cuda")(here),
    "labels left behind": lambda there, here: F.cross_entropy(there.flatten(1), torch.tensor([0, 1, 2, 0])),
    "indices left behind": lambda there, here: there.index_select(0, torch.tensor([1])),
    "indices there": lambda there, here: here[torch.tensor([1]).to("cuda")],
    "one number in a list": lambda there, here: torch.cat([there.flatten(), torch.ones(1)]),
    "mask left behind": lambda there, here: torch.where(here > 0, there, there),
    "numpy": lambda there, here: there.numpy(),
    "generator left behind": lambda there, here: torch.randn(3, generator=torch.Generator(), device="cuda"),
    "generator there": lambda there, here: torch.randn(3, generator=torch.Generator("cuda")),
    "drawing in place": lambda there, here: there.random_(generator=torch.Generator()),
    "state there": lambda there, here: torch.Generator("cuda").set_state(
        torch.Generator("cuda").get_state().to("cuda")
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_it_refuses_what_cuda_refuses(mistake):
    with pretended_gpu():
        here = numbers(4, 3, 8, 8)
        with pytest.raises((RuntimeError, TypeError), match=r"same device|generator|to numpy|ByteTensor"):
            MISTAKES[mistake](here.to("cuda"), here)


def test_the_refusal_says_what_is_where():
    with pretended_gpu(), pytest.raises(RuntimeError, match=r"cuda:0 and cpu \(of shape \(3,\)\)"):
        torch.ones(3, device="cuda") * torch.ones(3)


def test_it_allows_what_cuda_allows():
    with pretended_gpu():
        here = numbers(4, 3)
        there = here.cuda()
        assert there.device == torch.device("cuda:0")
        assert (there * torch.tensor(2.0)).sum().item() == (2 * here).sum().item()
        assert torch.equal(there[torch.tensor([2, 0])].cpu(), here[[2, 0]])
        there[torch.tensor([1])] = 0.0
        there[0].mul_(3)  # a view
        assert there[:2].tolist() == [(3 * here[0]).tolist(), [0.0] * 3]
        here.copy_(there)
        assert torch.equal(here, there.cpu())
        assert torch.arange(3, device=there.device).is_cuda
        assert there.new_tensor([1.0]).device == there.new_zeros(2).device == there.device
        assert (there[0, 0] > -100).item()


def test_numbers_drawn_there_follow_from_the_seed():
    with pretended_gpu():
        first, again = (
            torch.rand(3, generator=torch.Generator("cuda").manual_seed(4), device="cuda") for _ in range(2)
        )
        assert torch.equal(first.cpu(), again.cpu())
        with torch.random.fork_rng():
            torch.manual_seed(1)


def test_autocast_makes_products_bf16_and_losses_float32():
    with pretended_gpu():
        images, model = numbers(4, 3, 8, 8).cuda(), network().cuda()
        with torch.autocast("cuda", torch.bfloat16):
            scores = model(images)
            assert scores.dtype == torch.bfloat16
            loss = F.cross_entropy(scores, torch.zeros(4, dtype=torch.int64, device="cuda"))
        assert loss.dtype == torch.float32
        loss.backward()
        assert model[0].weight.grad.dtype == torch.float32
        assert torch.matmul(images, images).dtype == torch.float32


def test_networks_and_parts_of_tensors_can_be_copied():
    with pretended_gpu():
        model = network().cuda()
        model.register_buffer("part", torch.arange(6.0, device="cuda")[4:])
        copied = copy.deepcopy(model)
        copied[0].weight.data.zero_()
        assert model[0].weight.abs().sum().item() > 0
        assert copied.part.tolist() == [4.0, 5.0]
        assert len(list(copied.parameters())) == len(list(model.parameters()))
        assert copied[0].weight.requires_grad


class Doubled(torch.autograd.Function):
    """Its gradient is made on the device that is asked for by name."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad + torch.ones(grad.shape, device=grad.device)


@pytest.mark.parametrize("by_hand", [False, True])
def test_gradients_in_python(by_hand):
    with pretended_gpu():
        x = torch.zeros(3, device="cuda", requires_grad=True)
        out = Doubled.apply(x)
        how = {"gradient": torch.ones(3, device="cuda")} if by_hand else {}
        (out if by_hand else out.sum()).backward(**how)
        assert x.grad.is_cuda
        assert x.grad.tolist() == [2.0] * 3


def test_checkpoints_come_back_to_either_device(tmp_path):
    path = tmp_path / "state.pt"
    with pretended_gpu():
        model = network().cuda()
        save_checkpoint(path, model.state_dict())
        back = load_checkpoint(path, "cuda:0")
        assert back["0.weight"].is_cuda
        model.load_state_dict(back)
        assert load_checkpoint(path)["0.weight"].device.type == "cpu"
    assert torch.equal(load_checkpoint(path)["0.weight"], network()[0].weight)


def test_nothing_of_it_is_left_behind():
    before = torch.Generator, torch.load, torch.cuda.is_available()
    with pretended_gpu():
        kept = torch.ones(3, device="cuda")
        assert torch.cuda.is_available()
    assert (torch.Generator, torch.load, torch.cuda.is_available()) == before
    with pytest.raises(RuntimeError, match="outside of pretended_gpu"):
        kept + 1
