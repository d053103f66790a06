"""Settings of the template's runs (no torch here: listing and checking must be quick)."""

from __future__ import annotations

from dataclasses import dataclass

from shared.base.errors import UserError, unknown

MODELS = ("z2cnn", "p4cnn")


@dataclass(frozen=True)
class Settings:
    """One run.

    A field added after results were recorded is written ``name: int = added(0)`` (`shared.runs.api.added`):
    at that value it does not enter a run's identity, so the recorded results stay valid.

    Attributes:
        model: "z2cnn" (plain convolutions) or "p4cnn" (the same depth with p4 convolutions).
        dataset: name in datasets.yaml.
        width: channels, or regular fields of four channels each, per layer.
        size: side of the network's input in pixels; the digits are resized to it.
        train_images, test_images: how many, from the front of the data set's parts.
        epochs, batch_size, lr: Adam with a constant learning rate.
    """

    model: str = "p4cnn"
    dataset: str = "digits"
    width: int = 4
    size: int = 14
    train_images: int = 1000
    test_images: int = 500
    epochs: int = 8
    batch_size: int = 50
    lr: float = 0.01

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UserError(unknown("model", self.model, MODELS))
        if self.size < 8:
            raise UserError(f"size {self.size} is too small for two pools; use 8 or more")

    def takes_precision(self) -> bool:
        """Whether the option ``--precision`` has an effect, that is, `experiment` uses the context's."""
        return True
