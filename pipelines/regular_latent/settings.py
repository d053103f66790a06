"""Settings of the runs of this paper (no torch here: listing and checking must be quick)."""

from __future__ import annotations

from dataclasses import dataclass

from shared.base.errors import UserError, unknown

#: What a run is; `experiment.RUNS` has the function of each.
KINDS = ("ddmnist", "medmnist", "exploration", "null", "smoke", "networks", "pictures")
#: Networks by kind of run; kinds that are not here have no network, or one.
MODELS = {
    "ddmnist": ("cnn", "scnn", "restriction", "rpp", "pscnn"),
    "medmnist": ("cnn", "scnn", "rpp", "pscnn"),
}
#: Groups by kind of run. Of DDMNIST each digit has its own, so that pairs of elements act.
GROUPS = {"ddmnist": ("C4", "D1", "D4"), "medmnist": ("S4",)}
CHOICES = {
    "kind": KINDS,
    "representation": ("regular", "trivial", "cosets", "shuffled", "wrong_group", "none"),
    "forwards": ("separate", "joint"),
    "rotation": ("undone", "released"),
    "validation": ("test", "train"),
    "handedness": ("left", "released"),
}
POSITIVE = (
    *("channels", "filters", "train_per_class", "validation_per_class", "test_per_class"),
    *("lr", "epochs", "batch_size", "patience"),
)


@dataclass(frozen=True)
class Settings:
    """One run. Defaults are the paper's protocol for DDMNIST, with what its code gets wrong put right.

    A field added after results were recorded is written ``name: int = added(0)`` (`shared.runs.api.added`).

    Attributes:
        kind: "ddmnist" (Table 4), "medmnist" (Table 5), "smoke" (Table 6), "exploration" and "null" (Tables
            1 to 3), "networks" (parameters and symmetries), "pictures" (Figures 5 to 7).
        model: the network; "cnn" is the baseline and, with a ``weight``, the paper's own method.
        dataset: name in datasets.yaml.
        group: "C4", "D1", "D4" or "S4".
        channels: c, width of the CNNs.
        filters: of DDMNIST, size of the latent vector (66 in the paper, 48 in the code it builds on).
        weight: lambda of the latent loss; 0 for the plain network, which sees one augmented image a step.
        representation: how latent vectors are asked to move: "regular" (copies of the regular representation,
            then trivial padding); and controls of the same size: "trivial", "cosets" (a random permutation
            representation: permutations of cosets of random subgroups), "shuffled" (a random permutation for
            each element, no representation), "wrong_group" (the regular representation of the cyclic group of
            equal order), "none" (both images are trained on, without the latent loss).
        shifted: part of the task loss that is of the moved image; the released code has 0 on DDMNIST.
        forwards: the two images of a pair go through the network one after the other ("separate", as
            released) or in one batch ("joint").
        rotation: of DDMNIST, the random rotation that blurs the digits is "undone" (text), or not ("released",
            then digits have arbitrary angles).
        validation: of DDMNIST, from which images of MNIST the validation pairs are drawn: those of the "test"
            split, as released, or of the "train" split.
        handedness: of MedMNIST3D, volumes move by a "left" action, or by the inverses ("released"), with which
            no left regular representation can agree.
        train_per_class, validation_per_class, test_per_class: of DDMNIST, pairs of digits for each of the 100
            classes.
        orbit: also measure the accuracy of predictions averaged over all moved copies of a test image.
        train_images, validation_images, test_images: of MedMNIST3D, how many from the front; 0 for all.
        lr, epochs, batch_size, patience: Adam with a constant rate; training ends after so many epochs
            without a better validation accuracy, and the best epoch is tested.
    """

    kind: str = "ddmnist"
    model: str = "cnn"
    dataset: str = "mnist"
    group: str = "C4"
    channels: int = 6
    filters: int = 66
    weight: float = 0.0
    representation: str = "regular"
    shifted: float = 0.5
    forwards: str = "separate"
    rotation: str = "undone"
    validation: str = "test"
    handedness: str = "left"
    train_per_class: int = 100
    validation_per_class: int = 20
    test_per_class: int = 50
    orbit: bool = False
    train_images: int = 0
    validation_images: int = 0
    test_images: int = 0
    lr: float = 5e-4
    epochs: int = 150
    batch_size: int = 256
    patience: int = 20

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UserError(unknown(name, getattr(self, name), known))
        for name, by_kind in (("model", MODELS), ("group", GROUPS)):
            if self.kind in by_kind and getattr(self, name) not in by_kind[self.kind]:
                raise UserError(unknown(f"{name} of {self.kind}", getattr(self, name), by_kind[self.kind]))
        for name in POSITIVE:
            if getattr(self, name) <= 0:
                raise UserError(f"{name} is {getattr(self, name):g}, but it must be positive")
        if self.weight < 0:
            raise UserError(f"weight is {self.weight:g}, but it must be 0 or more")
        if not 0 <= self.shifted <= 1:
            raise UserError(f"shifted is {self.shifted:g}; it is a part of the task loss, from 0 to 1")
        if self.representation != "regular" and not self.weight:
            raise UserError(f"representation {self.representation} needs a weight above 0")
        if self.weight and self.model != "cnn" and self.kind in MODELS:
            raise UserError(f"the latent loss is for the cnn; set the weight of {self.model} to 0")

    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets that this run reads."""
        return (self.dataset,) if self.dataset else ()

    def takes_precision(self) -> bool:
        """Whether the option ``--precision`` has an effect."""
        return self.kind in ("ddmnist", "medmnist", "smoke")
