"""Settings of the subsampling experiments (no torch here: listing and checking must be quick)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from shared.base.errors import UserError, unknown
from shared.runs.api import added

DIGIT_MODELS = ("z2cnn", "p4cnn", "p4mcnn")
IMAGE_MODELS = ("resnet44", "p4resnet44", "p4mresnet44", "resnet18", "p4resnet18")
#: Not trained on a data set: the two-sample network, one picture, the list of all networks, single layers.
OTHER_MODELS = ("toy", "picture", "inventory", "layers")
MODELS = (*DIGIT_MODELS, *IMAGE_MODELS, *OTHER_MODELS)
TRAININGS = ("upright", "uniform", "biased")
SPLITS = ("swapped", "standard")
PADDING_MODES = ("zeros", "reflect", "circular", "replicate")
REPAIRS = ("", "resize", "pool")
STEMS = ("small", "standard")
HEADS = ("group_first", "pixels_first")
STATISTICS = ("running", "without_dropout")
AUGMENTATIONS = ("none", "crop_flip", "resized_crop")
TRAIN_ON = ("train", "train_and_valid")
CROP_FILLS = ("black", "mean")
INTERPOLATIONS = ("bilinear", "nearest")
#: Test images whose accuracy is followed through training (Figure 4).
TRACKED_TEST_IMAGES = 2000
#: Settings that networks on digits do not look at; `Settings` refuses other values for them.
NOT_FOR_DIGITS = (
    *("optimizer", "momentum", "schedule", "milestones", "warmup_epochs", "cycle_momentum"),
    *("stem", "head", "blocks", "stage_widths", "augment", "train_on", "track_every"),
)
#: Settings that only networks on digits look at, and their usual values.
FOR_DIGITS = {
    **{"full_sweep": False, "antialias": False, "crop_fill": "black", "interpolation": "bilinear"},
    **{"train_accuracy": False, "image_records": 0},
}


@dataclass(frozen=True)
class Settings:
    """One run. Defaults are the protocol of the authors' logs for digits (fact sheet, sections 3 to 5).

    Attributes:
        model: one of `MODELS`.
        dataset: name in datasets.yaml; the toy draws its own image.
        size: side of the network's input; images are resized to it.
        training: "upright"; "uniform": each training image turned once by U(0, 360) degrees; "biased":
            upright images turned anew in each step by N(bias_mean, bias_std^2) degrees.
        split: "swapped" takes the official test images for training and the official training images for
            testing, as the authors' logs do; "standard" the other way round.
        train_images, validation_images: drawn per seed from the training pool; 0 train_images for all
            (residual networks).
        test_images: test images used at multiples of 90 degrees; 0 for all (residual networks).
        sweep_images: test images used at the other angles (digits).
        angle_step: degrees between test angles (digits); divides 90.
        full_sweep: test exact networks on digits at every angle, too, instead of in the first quadrant only.
        channels: copies of the gray channel (the logs have 3).
        width: regular fields per layer (of the first stage of a residual network); 0 for the paper's.
        antialias: average over the pixels that become one where digits are shrunk, as Pillow does; else they
            are interpolated.
        crop: blank everything outside the inscribed circle of a digit, in training and testing (paper: yes).
        crop_fill: what stands there: "black", the digits' background, or the "mean" of all pixels, which is 0
            after normalizing, as if the crop came after it (digits).
        interpolation: of test digits that are turned between quarter turns: "bilinear" (paper) or "nearest".
        dropout: rate.
        dropout_after: blocks followed by dropout, "1345" (logs) or "12345" (paper text).
        epochs, batch_size, lr, weight_decay, step_every, step_factor: Adam with a step schedule.
        steps: optimizer steps of the toy.
        precision, channels_last: see `shared.train.FitSettings`; tests are always in float32.
        padding_mode: what stands outside the image, as in `torch.nn.Conv2d`.
        padding_before_pool: the same for the blocks before the pool (digits); "" for padding_mode.
        repair: "" for the network as published; "resize" or "pool" keep it exact at every size
            (`pipelines.subsampling.models`).
        bias_mean, bias_std, bias_per: degrees, and whether an angle holds for a "batch" (as released) or
            is drawn for each "image" (as the text says).
        mirrored: test on mirrored images, too.
        statistics: of batch norm (digits): the "running" ones of training, or estimated after it on the
            training images "without_dropout" (`shared.train.statistics`).
        selection: which network is tested, that of the "last" epoch or of the "best" validation accuracy;
            digits are validated after every epoch for it, else after every fifth.
        train_accuracy: record the training accuracy of each epoch, with dropout (digits).
        image_records: test images of which it is recorded at which angles they are classified rightly; with
            it also the accuracy by class (digits; 0 for neither).
        optimizer, momentum, schedule, milestones, warmup_epochs, cycle_momentum: see
            `shared.train.FitSettings`.
        stem: of a residual network: "small" (3x3, stride 1) or "standard" (7x7, stride 2, and a pool).
        head: whether a residual network takes the maximum over the group before the mean over the pixels
            ("group_first", released for CIFAR, Flowers102 and ImageNet) or after ("pixels_first", PCam).
        blocks: residual blocks per stage; 0 for the paper's.
        stage_widths: fields of each stage, instead of width and its doublings.
        train_on: the split that a residual network is trained on, or that and the validation images.
        augment: of training images: "crop_flip" pads by 4 and crops, "resized_crop" takes random areas.
        track_images: test images on which errors by stage are measured after each `track_every` epochs.
        track_every: epochs between these; 0 for never.
        network: the network to list (model "inventory"), or the kind of layer (model "layers").
        only_used: judge it at the sizes that the paper uses and no others.
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
    padding_mode: str = added("zeros")
    padding_before_pool: str = added("")
    repair: str = added("")
    bias_mean: float = added(45.0)
    bias_std: float = added(0.0)
    bias_per: str = added("batch")
    mirrored: bool = added(False)
    full_sweep: bool = added(False)
    antialias: bool = added(False)
    statistics: str = added("running")
    optimizer: str = added("adam")
    momentum: float = added(0.9)
    schedule: str = added("step")
    milestones: tuple[int, ...] = added(())
    warmup_epochs: int = added(0)
    cycle_momentum: bool = added(False)
    selection: str = added("last")
    stem: str = added("small")
    head: str = added("group_first")
    blocks: int = added(0)
    stage_widths: tuple[int, ...] = added(())
    train_on: str = added("train")
    augment: str = added("none")
    track_images: int = added(320)
    track_every: int = added(0)
    network: str = added("")
    only_used: bool = added(False)
    crop_fill: str = added("black")
    interpolation: str = added("bilinear")
    train_accuracy: bool = added(False)
    image_records: int = added(0)

    def __post_init__(self) -> None:
        for name, value, known in (
            ("model", self.model, MODELS),
            ("training", self.training, TRAININGS),
            ("split", self.split, SPLITS),
            ("dropout_after", self.dropout_after, ("1345", "12345", "")),
            ("padding_mode", self.padding_mode, PADDING_MODES),
            ("padding_before_pool", self.padding_before_pool, ("", *PADDING_MODES)),
            ("repair", self.repair, REPAIRS),
            ("bias_per", self.bias_per, ("batch", "image")),
            ("statistics", self.statistics, STATISTICS),
            ("stem", self.stem, STEMS),
            ("head", self.head, HEADS),
            ("augment", self.augment, AUGMENTATIONS),
            ("train_on", self.train_on, TRAIN_ON),
            ("crop_fill", self.crop_fill, CROP_FILLS),
            ("interpolation", self.interpolation, INTERPOLATIONS),
        ):
            if value not in known:
                raise UserError(unknown(name, value, known))
        if self.model not in OTHER_MODELS and not 8 <= self.size <= 256:
            raise UserError(f"size {self.size} is out of range; the networks take 8 to 256 pixels")
        if self.angle_step < 1 or 90 % self.angle_step:
            raise UserError(f"angle_step {self.angle_step} must divide 90; choose 10, 15, 30, 45 or 90")
        if (self.training == "biased") != (self.bias_std > 0):
            raise UserError(
                "training: biased needs a bias_std above 0 degrees, and only it; correct one of them"
            )
        if self.statistics != "running" and (self.model not in DIGIT_MODELS or self.training == "biased"):
            raise UserError(
                f"statistics: {self.statistics} is for networks on digits that are not turned in each step; "
                "set statistics: running"
            )
        if self.padding_before_pool and self.model not in DIGIT_MODELS:
            raise UserError(
                f"padding_before_pool: {self.padding_before_pool} is for networks on digits, not for "
                f"{self.model}; set padding_mode"
            )
        for name, usual in FOR_DIGITS.items():
            if getattr(self, name) != usual and self.model not in DIGIT_MODELS:
                raise UserError(f"{name} is for networks on digits, not for {self.model}; leave it out")
        if self.selection == "best" and not self.validation_images:
            raise UserError("selection: best needs validation_images; set some, or selection: last")
        if self.model in DIGIT_MODELS:
            self._check_digits()
        if self.model in IMAGE_MODELS:
            self._check_images()

    def _check_digits(self) -> None:
        if self.image_records > min(self.test_images, self.sweep_images):
            raise UserError(
                f"image_records: {self.image_records} is more than the images that are tested; lower it"
            )
        for name in ("train_images", "test_images", "sweep_images"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: {getattr(self, name)} is too few for digits; set it to 1 or more")
        defaults = {field.name: field.default for field in fields(Settings)}
        for name in NOT_FOR_DIGITS:
            if getattr(self, name) != defaults[name]:
                raise UserError(
                    f"{name}: {getattr(self, name)} is for residual networks; {self.model} does not look at "
                    "it, leave it out"
                )

    def _check_images(self) -> None:
        if self.training != "upright":
            raise UserError(f"{self.model} is trained upright only; set training: upright")
        if self.train_on == "train_and_valid" and self.validation_images:
            raise UserError(
                "train_on: train_and_valid leaves no images to validate on; set validation_images: 0"
            )

    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets that this run reads."""
        return () if self.model in ("toy", "inventory", "layers") else (self.dataset,)
