"""Readers of Oxford Flowers and ImageNet: right on right files, one sentence on all others."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import data_makers as makers
import numpy as np
import pytest
import torch

from shared.base.errors import UserError
from shared.data import flowers, imagenet, pictures


class Trap:
    """Would raise the flag if anybody unpickled it."""

    sprung = False

    def __reduce__(self) -> tuple[Callable[..., None], tuple[object, ...]]:
        return setattr, (Trap, "sprung", True)


class TestFlowers:
    """A packed folder of JPEG files and two .mat files."""

    def read(self, folder: Path, split: str = "train", **changed: bytes) -> tuple[np.ndarray, np.ndarray]:
        files = makers.flowers_files()
        files |= {name.replace("__", "."): content for name, content in changed.items()}
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return flowers.read_flowers(*(folder / name for name in files), split, 32)

    @pytest.mark.parametrize(
        ("split", "numbers"), [("train", [7, 1, 4]), ("valid", [2, 5, 8]), ("test", [9, 6, 3])]
    )
    def test_splits_in_the_order_of_setid(self, tmp_path: Path, split: str, numbers: list[int]) -> None:
        images, labels = self.read(tmp_path, split)
        assert labels.tolist() == [(number - 1) // 3 for number in numbers]
        for number, image in zip(numbers, images):
            content = makers.picture(number, *((300, 260) if number % 2 else (260, 320)))
            assert np.array_equal(image, pictures.decode(content, 32, "it"))

    @pytest.mark.parametrize(
        ("file", "content", "says"),
        [
            ("setid__mat", makers.mat(other=[[1]]), "no row of numbers 'trnid'"),
            ("setid__mat", makers.mat(trnid=np.array([[1.5, 2]])), "no row of numbers 'trnid'"),
            ("setid__mat", makers.mat(trnid=np.array([[1, 2], [3, 4]])), "no row of numbers 'trnid'"),
            ("setid__mat", makers.mat(trnid=np.array([["a", "b"]], object)), "no row of numbers 'trnid'"),
            ("setid__mat", makers.mat(trnid=np.array([[1, 2, 10]])), "names pictures twice or that"),
            ("setid__mat", makers.mat(trnid=np.array([[1, 2, 1]])), "names pictures twice or that"),
            ("setid__mat", makers.mat(trnid=np.array([[0, 2]])), "do not count from 1"),
            ("imagelabels__mat", makers.mat(labels=np.array([[0] * 9])), "do not count from 1"),
            ("imagelabels__mat", b"nothing", "imagelabels.mat is damaged"),
            ("102flowers__tgz", b"nothing", "102flowers.tgz is refused: it is damaged"),
            ("102flowers__tgz", makers.flowers_files()["102flowers.tgz"][:9000], "102flowers.tgz is refused"),
            (
                "102flowers__tgz",
                makers.tar({"jpg/image_00001.jpg": makers.picture(1)}, packed=True),
                "2 pictures are",
            ),
            ("102flowers__tgz", makers.tar({"../image_00001.jpg": b"x"}, packed=True), "leads outside"),
            (
                "102flowers__tgz",
                makers.tar({f"jpg/image_0000{n}.jpg": b"x" for n in (1, 4, 7)}, packed=True),
                "damaged",
            ),
        ],
    )
    def test_refusals(self, tmp_path: Path, file: str, content: bytes, says: str) -> None:
        with pytest.raises(UserError, match=says) as caught:
            self.read(tmp_path, **{file: content})
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
    )
    def test_links_are_refused(self, tmp_path: Path, kind: bytes) -> None:
        with pytest.raises(UserError, match="is a link or a device"):
            self.read(tmp_path, **{"102flowers__tgz": gzip.compress(link("jpg/image_00001.jpg", kind))})

    def test_a_picture_there_twice_or_too_large(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = makers.picture(1)
        twice = makers.tar({"a/image_00001.jpg": one, "b/image_00001.jpg": one}, packed=True)
        with pytest.raises(UserError, match="twice or far larger"):
            self.read(tmp_path, **{"102flowers__tgz": twice})
        monkeypatch.setattr(flowers, "MOST_BYTES", 1000)
        with pytest.raises(UserError, match="twice or far larger"):
            self.read(tmp_path)


def link(name: str, kind: bytes) -> bytes:
    """A tar archive with one member that is no plain file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    return stream.getvalue()


class TestImageNet:
    """Archives of archives, read in place."""

    @pytest.fixture(autouse=True)
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An index folder of its own."""
        monkeypatch.setattr(imagenet.paths, "store", lambda: tmp_path / "store")

    def read(
        self, folder: Path, split: str = "train", files: dict[str, bytes] | None = None
    ) -> tuple[pictures.Pictures, list[int]]:
        for name, content in (makers.imagenet_files() | (files or {})).items():
            (folder / name).write_bytes(content)
        archive = folder / f"ILSVRC2012_img_{split}.tar"
        kit = folder / "ILSVRC2012_devkit_t12.tar.gz"
        images, labels = imagenet.read_imagenet(archive, kit, split == "train", 3, 32, f"it-{split}")
        return images, labels.tolist()

    def test_training_images_class_by_class(self, tmp_path: Path) -> None:
        images, labels = self.read(tmp_path)
        wanted = sorted(makers.train_pictures().items())
        contents = [content for _, of_class in wanted for content in of_class.values()]
        assert labels == [makers.WNIDS.index(wnid) for wnid, of_class in wanted for _ in of_class]
        assert images.shape == (9, 3, 32, 32)
        decoded = [pictures.decode(content, 32, "it") for content in contents]
        assert np.array_equal(images[torch.arange(9)], np.stack(decoded))

    def test_validation_images_by_their_numbers(self, tmp_path: Path) -> None:
        images, labels = self.read(tmp_path, "val")
        assert labels == [number - 1 for number in makers.TRUTH]
        decoded = [pictures.decode(makers.picture(100 + n, 280, 300), 32, "it") for n in range(1, 6)]
        assert np.array_equal(images[torch.arange(5)], np.stack(decoded))

    @pytest.mark.parametrize(
        "damage", ["none", "cut", "other", "secret", "array", "objects", "beyond", "label", "types"]
    )
    def test_the_index_is_kept_and_made_anew_if_it_does_not_fit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
    ) -> None:
        images, labels = self.read(tmp_path)
        kept = tmp_path / "store" / "indexes" / "it-train.npz"
        good = kept.read_bytes()
        with np.load(kept) as arrays:
            index = dict(arrays)
        index["offsets"][0] += 10**9 if damage == "beyond" else 0
        index["labels"][0] = 3 if damage == "label" else index["labels"][0]
        index["sizes"] = index["sizes"].astype(float) if damage == "types" else index["sizes"]
        np.savez(kept, **index)
        if damage in ("cut", "other", "secret"):
            whole = kept.read_bytes()
            entry = whole.index(b"PK\1\2")  # its byte 8 says whether a member is encrypted
            secret = whole[: entry + 8] + b"\1" + whole[entry + 9 :]
            kept.write_bytes({"cut": whole[:-50], "other": makers.mat(a=1), "secret": secret}[damage])
        if damage == "array":
            with kept.open("wb") as file:
                np.save(file, index["offsets"])
        if damage == "objects":
            np.savez(kept, **{**index, "labels": np.array([Trap()] * 9)})
        walked = []
        right = imagenet.walk
        monkeypatch.setattr(imagenet, "walk", lambda *a: walked.append(1) or right(*a))
        again, same = self.read(tmp_path)
        assert bool(walked) == (damage != "none")
        assert same == labels
        assert torch.equal(again[[0, 8]], images[[0, 8]])
        assert damage == "none" or len(kept.read_bytes()) == len(good)
        assert not Trap.sprung, "nothing is unpickled"

    def test_a_kit_of_another_order_gives_other_labels(self, tmp_path: Path) -> None:
        table = makers.synsets()
        table["ILSVRC2012_ID"] = np.array([[3.0], [4.0], [2.0], [1.0]])
        files = {"ILSVRC2012_devkit_t12.tar.gz": makers.kit(makers.mat(synsets=table))}
        assert self.read(tmp_path, files=files)[1] == [2, 2, 0, 0, 0, 1, 1, 1, 1]

    def numbers(self, change: Callable[[np.ndarray], object]) -> bytes:
        """A development kit with a change in its table."""
        table = makers.synsets()
        change(table)
        return makers.kit(makers.mat(synsets=table))

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda t: t["ILSVRC2012_ID"].__setitem__((0, 0), 1.0), "does not number 3 classes from 1"),
            (lambda t: t["ILSVRC2012_ID"].__setitem__((0, 0), "x"), "does not number 3 classes from 1"),
            (lambda t: t["num_children"].__setitem__((0, 0), 2), "does not number 3 classes from 1"),
            (lambda t: t["WNID"].__setitem__((0, 0), "../etc"), "does not number 3 classes from 1"),
            (lambda t: t["WNID"].__setitem__((0, 0), "n00000099"), "is none of the 3 classes"),
        ],
    )
    def test_wrong_tables_of_classes(
        self, tmp_path: Path, change: Callable[[Any], object], says: str
    ) -> None:
        with pytest.raises(UserError, match=says):
            self.read(tmp_path, files={"ILSVRC2012_devkit_t12.tar.gz": self.numbers(change)})

    @pytest.mark.parametrize(
        ("kit", "split", "says"),
        [
            (makers.kit(makers.mat(other=1)), "train", "does not list synsets"),
            (makers.kit(makers.mat(synsets=np.arange(3))), "train", "does not list synsets"),
            (makers.kit(b"nothing"), "train", "meta.mat of ILSVRC2012_devkit_t12.tar.gz is damaged"),
            (makers.tar({"data/readme.txt": b""}, packed=True), "train", "data/meta.mat is not in it"),
            (makers.kit()[:200], "train", "devkit_t12.tar.gz is refused"),
            (makers.kit(truth=b"1\n2\n4\n1\n1\n"), "val", "not a list of numbers from 1 to 3"),
            (makers.kit(truth=b"1\n2\nx\n1\n1\n"), "val", "not a list of numbers from 1 to 3"),
            (makers.kit(truth=b""), "val", "not a list of numbers"),
            (makers.kit(truth=b"1\n2\n3\n1\n"), "val", "has no label"),
            (makers.kit(truth=b"1\n" * 6), "val", "1 of 6 pictures are not in it"),
            (makers.kit(truth=b"9" * 5000), "val", "not a list of numbers"),
        ],
    )
    def test_wrong_kits(self, tmp_path: Path, kit: bytes, split: str, says: str) -> None:
        with pytest.raises(UserError, match=says) as caught:
            self.read(tmp_path, split, {"ILSVRC2012_devkit_t12.tar.gz": kit})
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "store").exists()

    def classes(self, **changed: bytes) -> bytes:
        """The archive of training images with other archives of some classes."""
        inner = {f"{wnid}.tar": makers.tar(of_class) for wnid, of_class in makers.train_pictures().items()}
        return makers.tar(inner | {f"{name}.tar": content for name, content in changed.items()})

    @pytest.mark.parametrize(
        ("changed", "says"),
        [
            ({"n00000001": makers.tar({})}, "n00000001.tar is in it twice or is none of the 3 classes"),
            ({"n00000005": makers.tar({})}, "n00000005.tar has no pictures"),
            ({"n00000005": b"nothing at all"}, "is damaged or cut short"),
            ({"n00000005": makers.tar({"n00000019_1.JPEG": b"x"})}, "of another class"),
            ({"n00000005": makers.tar({"n00000005_1.JPEG": b""})}, "no picture's size"),
            ({"n00000005": makers.tar({"a/n00000005_1.JPEG": b"x", "n00000005_1.JPEG": b"x"})}, "twice"),
            ({"n00000005": makers.tar({"../n00000005_1.JPEG": b"x"})}, "leads outside"),
            ({"n00000005": link("n00000005_1.JPEG", tarfile.SYMTYPE)}, "is a link or a device"),
        ],
    )
    def test_wrong_archives_of_classes(self, tmp_path: Path, changed: dict[str, bytes], says: str) -> None:
        with pytest.raises(UserError, match=says) as caught:
            self.read(tmp_path, files={"ILSVRC2012_img_train.tar": self.classes(**changed)})
        assert str(caught.value).startswith("ILSVRC2012_img_train.tar is refused: ")
        assert not (tmp_path / "store").exists()

    def test_a_class_that_is_not_there(self, tmp_path: Path) -> None:
        inner = {"n00000012.tar": makers.tar(makers.train_pictures()["n00000012"])}
        with pytest.raises(UserError, match=r"2 classes are not in it, such as n00000005\.tar"):
            self.read(tmp_path, files={"ILSVRC2012_img_train.tar": makers.tar(inner)})

    def test_sizes_that_no_picture_has(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(imagenet, "MOST_BYTES", 1000)
        for split in ("train", "val"):
            with pytest.raises(UserError, match=r"no picture's size|far larger than a picture"):
                self.read(tmp_path, split)

    def test_archives_with_far_more_members(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(imagenet, "_MOST", 4)
        with pytest.raises(UserError, match="far more than the data set"):
            self.read(tmp_path, "val")

    @pytest.mark.parametrize("split", ["train", "val"])
    def test_cut_archives(self, tmp_path: Path, split: str) -> None:
        name = f"ILSVRC2012_img_{split}.tar"
        whole = makers.imagenet_files()[name]
        for length in range(0, len(whole) - 20_000, 15_013):
            assert "is refused" in makers.refusal(
                lambda n=length: self.read(tmp_path, split, {name: whole[:n]})
            )
        assert not (tmp_path / "store").exists()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_that_may_not_be_read(self, tmp_path: Path) -> None:
        self.read(tmp_path)
        (tmp_path / "ILSVRC2012_img_val.tar").chmod(0)
        kit = tmp_path / "ILSVRC2012_devkit_t12.tar.gz"
        with pytest.raises(UserError, match="is refused"):
            imagenet.read_imagenet(tmp_path / "ILSVRC2012_img_val.tar", kit, False, 3, 32, "it-val")
