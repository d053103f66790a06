"""Settings of the runs of this paper (no torch here: listing and checking must be quick)."""

from __future__ import annotations

from dataclasses import dataclass

from shared.base.errors import UserError, unknown
from shared.runs.api import added

#: What a run is; `experiment.RUNS` has the function of each.
KINDS = ("ddmnist", "medmnist", "exploration", "null", "smoke", "smoke_data", "networks", "pictures")
#: Networks by kind of run; kinds that are not here have no network, or one.
MODELS = {
    "ddmnist": ("cnn", "scnn", "restriction", "rpp", "pscnn"),
    "medmnist": ("cnn", "scnn", "rpp", "pscnn"),
    "smoke": ("cnn", "mlp", "e2cnn", "rpp", "lift", "rgroup", "rsteer", "pscnn"),
}
#: Groups by kind of run. Of DDMNIST each digit has its own, so that pairs of elements act.
GROUPS = {
    **{"ddmnist": ("C4", "D1", "D4"), "medmnist": ("S4", "SO3", "O3")},
    **dict.fromkeys(("exploration", "null"), ("C2", "D3", "C4")),
}
CHOICES = {
    "kind": KINDS,
    "representation": ("regular", "trivial", "cosets", "shuffled", "wrong_group", "none"),
    "forwards": ("separate", "joint"),
    "rotation": ("undone", "released"),
    "validation": ("test", "train"),
    "handedness": ("left", "released"),
    "start": ("uniform", "normal", "orthogonal", "identity", "far"),
    "interpolation": ("bilinear", "nearest"),
    "softmax": ("once", "released"),
    "tested": ("test", "train"),
    "layout": ("turned", "released"),
    "latent_loss": ("each", "released"),
}
#: Kinds of run whose networks are counted.
TASKS = ("ddmnist", "medmnist", "smoke")
POSITIVE = (
    *("channels", "filters", "train_per_class", "validation_per_class", "test_per_class"),
    *("lr", "epochs", "batch_size", "patience", "latent", "steps"),
)
NOT_NEGATIVE = (
    *("weight", "algebra", "to_output", "to_latent", "noise"),
    *("train_images", "validation_images", "test_images"),
)


@dataclass(frozen=True)
class Settings:
    """One run. Defaults are the paper's protocol for DDMNIST, with what its code gets wrong put right.

    A field added after results were recorded is written ``name: int = added(0)`` (`shared.runs.api.added`).

    Attributes:
        kind: "ddmnist" (Table 4), "medmnist" (Table 5), "smoke" (Table 6), "smoke_data" (its simulations),
            "exploration" and "null" (Tables 1 to 3), "networks" (parameters and symmetries), "pictures"
            (Figures 5 and 6).
        model: the network; "cnn" is the baseline and, with a ``weight``, the paper's own method.
        dataset: name in datasets.yaml.
        group: "C4", "D1", "D4"; of volumes "S4" (CNN), "SO3" or "O3" (steerable networks).
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
        rotation: of DDMNIST, the random rotation that blurs the digits is "undone" (text), or not
            ("released": then digits have arbitrary angles).
        validation: of DDMNIST, from which images of MNIST the validation pairs are drawn: those of the
            "test" split, as released, or of the "train" split.
        handedness: of MedMNIST3D, volumes move by a "left" action, or by the inverses ("released"), with
            which no left regular representation can agree.
        augmented: of MedMNIST3D, training volumes are turned at random; false for a row of Table 5.
        train_per_class, validation_per_class, test_per_class: of DDMNIST, pairs of digits for each of the 100
            classes.
        orbit: also measure the accuracy of predictions averaged over all moved copies of a test image.
        train_images, validation_images, test_images: of MedMNIST3D, how many from the front; 0 for all. Of
            the exploration, how many of the training split are trained on and how many validate (drawn by
            seed), and how many are tested on; of the glyphs, pairs in an epoch, a validation, a test.
        lr, epochs, batch_size, patience: Adam with a constant rate; training ends after so many epochs
            without a better validation accuracy, and the best epoch is tested.
        latent: of the exploration, size of the latent vector and of the learned matrices.
        algebra, to_latent, to_output: of the exploration, weights of the losses of the relations (c), from
            input to latent vector (L3, b), and from latent vector to output (L2, a). Table 7.
        omega: with the regularizing terms of Equations 6 to 8, or without.
        start: of the learned matrices: entries "uniform" on [0, 1) or "normal"; "orthogonal"; the "identity";
            or "far", a representation far from regular (`exploration_study.FAR`). The last three ``noise``.
        noise: standard deviation of normal noise added to each entry of the start.
        steps: of the null, optimizer steps on the loss of the relations alone.
        glyphs: 20, or 18 as released (without the digit 0).
        interpolation: of turned and scaled glyphs, "bilinear", or "nearest" as released.
        degrees: of D3, what the generator r turns images by, clockwise: 120, or 60 as released.
        softmax: of C4, logits go through the cross-entropy's own softmax "once", or through two more before
            it ("released").
        adaptive: of C4, the weight of the relations follows their error after each epoch, as released.
        tested: of C4, images that are tested on: of the "test" split, or of the "train" split, as released.
        pictures: record what Figures 3 to 5 show (seed 0 only).
        size: of SMOKE, cells along a side of the grid.
        starts: of SMOKE, first frames in each simulation that are trained on, validate, test the future, and
            test other simulations (from frame 0 on); the first three follow each other.
        simulations: of SMOKE, how many are trained on, and how many others are tested on, from the front of
            the authors' lists.
        layout: of SMOKE, arrays are "turned" so that rows count downwards, or as "released": then turned
            arrays show the flow in reverse after odd quarter turns, to augmentation and steerable networks.
        latent_loss: of SMOKE, "each" latent is compared with its own, or all with the batch's first one
            ("released").
        transposed: of SMOKE's rgroup, predictions have rows and columns exchanged, as released.
        task: of "networks", the kind of run whose network is counted.
        duplicated: of pscnn, as released, elements of the filter basis have several weights with one effect.
        normalized: of pscnn, elements of the filter basis have norm 1 at the start.
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

    latent: int = 42
    algebra: float = 1.0
    to_output: float = 0.025
    to_latent: float = 0.475
    omega: bool = True
    start: str = "uniform"
    noise: float = 0.0
    steps: int = 11_250
    glyphs: int = 20
    interpolation: str = "bilinear"
    degrees: float = 120.0
    softmax: str = "once"
    adaptive: bool = False
    tested: str = "test"
    pictures: bool = False

    size: int = 64
    starts: tuple[int, int, int, int] = (160, 40, 50, 100)
    simulations: tuple[int, int] = (25, 10)
    layout: str = "turned"
    latent_loss: str = "each"
    transposed: bool = False

    task: str = ""
    duplicated: bool = False
    normalized: bool = True

    augmented: bool = added(True)

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UserError(unknown(name, getattr(self, name), known))
        if self.kind == "networks" and self.task not in TASKS:
            raise UserError(unknown("task", self.task, TASKS))
        kind = self.task or self.kind
        for name, by_kind in (("model", MODELS), ("group", GROUPS)):
            if kind in by_kind and getattr(self, name) not in by_kind[kind]:
                raise UserError(unknown(f"{name} of {kind}", getattr(self, name), by_kind[kind]))
        if kind == "medmnist" and (self.group == "S4") != (self.model == "cnn"):
            raise UserError(
                f"{self.model} and {self.group} do not go together; the cnn is for S4, others for SO3 and O3"
            )
        if self.task and self.kind != "networks":
            raise UserError(f"task is of networks; set it to '' for {self.kind}")
        if (self.duplicated or not self.normalized) and self.model != "pscnn":
            raise UserError(f"duplicated and normalized are of pscnn; leave them out for {self.model}")
        for name in POSITIVE:
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name):g}, but it must be positive")
        for name in NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} is {getattr(self, name):g}, but it must be 0 or more")
        if not 0 <= self.shifted <= 1:
            raise UserError(f"shifted is {self.shifted:g}; it is a part of the task loss, from 0 to 1")
        if self.representation != "regular" and not self.weight:
            raise UserError(f"representation {self.representation} needs a weight above 0")
        if self.weight and self.model != "cnn" and self.kind in MODELS:
            raise UserError(f"the latent loss is for the cnn; set the weight of {self.model} to 0")

        if self.weight and not self.augmented:
            raise UserError(
                "the latent loss compares with a turned copy; set augmented to true, or weight to 0"
            )
        if self.weight and self.latent_size < self.elements:
            raise UserError(
                f"the latent vector has {self.latent_size} entries and the group acting on it has "
                f"{self.elements} elements; it holds the regular representation from that size on"
            )
        if self.kind in ("exploration", "null"):
            self._check_exploration()
        if self.kind in ("smoke", "smoke_data"):
            self._check_smoke()

    def _check_exploration(self) -> None:
        order = {"C2": 2, "D3": 6, "C4": 4}[self.group]
        if self.latent < order or (self.group == "C2" and self.latent % 2):
            raise UserError(
                f"latent is {self.latent}; {self.group} needs {order} or more, and C2 an even number"
            )
        if self.glyphs not in (18, 20) or self.degrees not in (60, 120):
            raise UserError(
                f"glyphs is {self.glyphs} and degrees {self.degrees:g}; choose 20 or 18, and 120 or 60"
            )
        if self.kind == "exploration" and not all(
            (self.train_images, self.validation_images, self.test_images)
        ):
            raise UserError(
                "the exploration needs train_images, validation_images and test_images; set them to 1 or more"
            )
        if self.noise and self.start in ("uniform", "normal"):
            raise UserError(f"the start {self.start} is noise itself; set noise to 0")

    def _check_smoke(self) -> None:
        if self.size % 2 or not 8 <= self.size <= 256:
            raise UserError(
                f"size is {self.size}; a grid of smoke has an even number of cells a side, 8 to 256"
            )
        if min(self.starts) < 1 or not (0 < self.simulations[0] <= 25 and 0 < self.simulations[1] <= 10):
            raise UserError(
                f"starts is {self.starts} and simulations {self.simulations}; take starts of 1 or more, "
                "1 to 25 simulations to train on, and 1 to 10 others"
            )
        if self.representation != "regular" or (self.shifted and self.model != "cnn"):
            raise UserError(
                "on SMOKE only the cnn sees turned copies, and its latent is regular; set shifted to 0"
            )
        if self.weight and not self.shifted:
            raise UserError("the latent loss compares with a turned copy; set shifted to 0.5, or weight to 0")
        if self.transposed and self.model != "rgroup":
            raise UserError(f"transposed is a defect of rgroup; set it to false for {self.model}")

    @property
    def elements(self) -> int:
        """Order of the group that acts on latent vectors: of DDMNIST, pairs of elements."""
        orders = {"C2": 2, "D3": 6, "C4": 4, "D1": 2, "D4": 8}
        return orders.get(self.group, 24) ** (2 if self.kind == "ddmnist" else 1)

    @property
    def latent_size(self) -> int:
        """Entries of the CNN's latent vector; of SMOKE, cells of a feature map."""
        sizes = {"ddmnist": self.filters, "medmnist": 8 * self.channels, "smoke": self.size**2}
        return sizes.get(self.kind, self.latent)

    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets that this run reads."""
        return (self.dataset,) if self.dataset else ()

    def takes_precision(self) -> bool:
        """Whether the option ``--precision`` has an effect."""
        return self.kind in ("ddmnist", "medmnist", "smoke")
