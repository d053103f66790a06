"""Settings of the subsampling experiments (no torch here: listing and checking must be quick)."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import UserError, unknown

MODELS = ("z2cnn", "p4cnn", "toy")
TRAININGS = ("upright", "uniform")
SPLITS = ("swapped", "standard")


@dataclass(frozen=True)
class Settings:
    """One run. Defaults are the protocol of the authors' logs (fact sheet, sections 3 to 5).

    Attributes:
        model: "z2cnn", "p4cnn" or "toy" (the two-sample network of Figure 3).
        dataset: name in datasets.yaml; the toy draws its own image.
        size: side of the network's input; images are resized to it.
        training: "upright", or "uniform": each training image turned once by U(0, 360) degrees.
        split: "swapped" takes the official test images for training and the official training images for
            testing, as the authors' logs do; "standard" the other way round.
        train_images, validation_images: drawn per seed from the training pool.
        test_images: test images used at multiples of 90 degrees.
        sweep_images: test images used at the other angles.
        angle_step: degrees between test angles; divides 90.
        channels: copies of the grey channel (the logs have 3).
        width: regular fields per layer; 0 for 20 (z2cnn) or 10 (p4cnn).
        crop: blank everything outside the inscribed circle, in training and testing (paper: yes).
        dropout: rate.
        dropout_after: blocks followed by dropout, "1345" (logs) or "12345" (paper text).
        epochs, batch_size, lr, weight_decay, step_every, step_factor: Adam with a step schedule.
        steps: optimizer steps of the toy.
        precision, channels_last: see `shared.train.FitSettings`; tests are always in float32.
    """

    model: str = "p4cnn"
    dataset: str = "mnist"
    size: int = 28
    training: str = "upright"
    split: str = "swapped"
    train_images: int = 8000
    validation_images: int = 2000
    test_images: int = 60_000
    sweep_images: int = 60_000
    angle_step: int = 10
    channels: int = 3
    width: int = 0
    crop: bool = True
    dropout: float = 0.3
    dropout_after: str = "1345"
    epochs: int = 50
    batch_size: int = 256
    lr: float = 0.01
    weight_decay: float = 1e-5
    step_every: int = 10
    step_factor: float = 0.5
    steps: int = 5000
    precision: str = "float32"
    channels_last: bool = True

    def __post_init__(self) -> None:
        for name, value, known in (
            ("model", self.model, MODELS),
            ("training", self.training, TRAININGS),
            ("split", self.split, SPLITS),
            ("dropout_after", self.dropout_after, ("1345", "12345", "")),
        ):
            if value not in known:
                raise UserError(unknown(name, value, known))
        if self.model != "toy" and not 8 <= self.size <= 256:
            raise UserError(f"size {self.size} is out of range; the networks take 8 to 256 pixels")
        if self.angle_step < 1 or 90 % self.angle_step:
            raise UserError(f"angle_step {self.angle_step} must divide 90; choose 10, 15, 30, 45 or 90")

    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets that this run reads."""
        return () if self.model == "toy" else (self.dataset,)
