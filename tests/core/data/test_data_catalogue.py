"""The catalogue, and DVC's file beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from data_server import catalogue as tiny_catalogue
from data_server import checkout, files

from shared.base import paths
from shared.base.errors import UserError
from shared.data import catalogue, digest

#: MD5 of the unpacked files, as known for the publishers' originals.
OFFICIAL = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
    "cifar10": {
        "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    },
    "pcam": {
        "camelyonpatch_level_2_split_train_x.h5": "01844da899645b4d6f84946d417ba453",
        "camelyonpatch_level_2_split_train_y.h5": "0781386bf6c2fb62d58ff18891466aca",
        "camelyonpatch_level_2_split_valid_x.h5": "81cf9680f1724c40673f10dc88e909b1",
        "camelyonpatch_level_2_split_valid_y.h5": "94d8aacc249253159ce2a2e78a86e658",
        "camelyonpatch_level_2_split_test_x.h5": "2614b2e6717d6356be141d9d6dbfcb7e",
        "camelyonpatch_level_2_split_test_y.h5": "11ed647efe9fe457a4eb45df1dba19ba",
    },
    "flowers102": {
        "102flowers.tgz": "52808999861908f626f3c1f4e79d11fa",
        "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
        "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
    },
    "imagenet": {
        "ILSVRC2012_img_train.tar": "1d675b47d978889d74fa0da5fadfb00e",
        "ILSVRC2012_img_val.tar": "29b22e2961454d5413ddabcf34fc5622",
        "ILSVRC2012_devkit_t12.tar.gz": "fa75699e90414af021442c21a62c3abf",
    },
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_checksums(name: str) -> None:
    assert {n: file.md5 for n, file in catalogue.find(name).files.items()} == OFFICIAL[name]


def test_the_known_variant_of_cifar10() -> None:
    (variant,) = catalogue.find("cifar10").variants
    assert variant.files["test_batch.bin"].md5 == "4fd89b928a74095080b56355876466c0"
    indices = [int(n) for n in re.findall(r"\b\d{4}\b", variant.note)]
    assert len(indices) == 20


@pytest.mark.parametrize("name", catalogue.load())
def test_every_entry_is_complete(name: str) -> None:
    entry = catalogue.find(name)
    assert entry.title
    assert entry.licence
    assert entry.citation
    assert set(entry.splits) - {"valid"} == {"train", "test"}
    assert re.fullmatch("[0-9a-f]{32}", entry.checksum)
    assert entry.size == sum(file.size for file in entry.files.values()) > 0
    assert bool(entry.generator) != bool(entry.downloads)
    assert bool(entry.manual) == any(not d.urls for d in entry.downloads.values())
    assert all(url.startswith(("http://", "https://")) for d in entry.downloads.values() for url in d.urls)
    assert {f for names in entry.splits.values() for f in names} == set(entry.files)


def test_checksums_tell_the_sets_apart() -> None:
    checksums = [entry.checksum for entry in catalogue.load().values()]
    assert len(set(checksums)) == len(checksums)


def dvc_outputs(text: str) -> dict[str, dict]:
    """Outputs of a .dvc file, by path."""
    return {out["path"]: out for out in yaml.safe_load(text)["outs"]}


def test_data_dvc_agrees_with_the_catalogue() -> None:
    text = (paths.root() / "data.dvc").read_text()
    active = dvc_outputs(text)
    head, outs = text.split("outs:\n")
    assert head.startswith("#")
    every = dvc_outputs("outs:\n" + outs.replace("\n# ", "\n"))
    stored = {entry.path: entry for entry in catalogue.load().values()}
    assert set(every) == set(stored)
    for path, out in every.items():
        entry = stored[path]
        assert out["md5"] == f"{entry.checksum}.dir"
        assert (out["nfiles"], out["hash"]) == (len(entry.files), "md5")
        bounded = any(file.bounded for file in entry.files.values())
        assert out.get("size") == (None if bounded else entry.size)
        # Only what every checkout can make may be active, else `dvc status` is never clean.
        assert (path in active) == (out.get("cache") is False) == bool(entry.generator)


def test_folder_md5_is_dvcs(tmp_path: Path) -> None:
    pytest.importorskip("dvc")
    from dvc.repo import Repo

    (tmp_path / "folder").mkdir()
    for name, content in files().items():
        (tmp_path / "folder" / name).write_bytes(content)
    repo = Repo.init(str(tmp_path), no_scm=True)
    (stage,) = repo.add(str(tmp_path / "folder"), no_commit=True)
    ours = digest.folder_md5({name: digest.file_md5(tmp_path / "folder" / name) for name in files()})
    assert stage.outs[0].hash_info.value == f"{ours}.dir"
    assert digest.file_digests(tmp_path / "folder" / "test-l")[0] == digest.file_md5(
        tmp_path / "folder" / "test-l"
    )


def test_the_catalogue_needs_no_torch() -> None:
    script = (
        "import sys, shared.data; shared.data.catalogue.load(); shared.data.notes('digits'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'tqdm')))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 0


def changed(change: Callable[[dict], object]) -> dict[str, dict]:
    """The tiny catalogue with a change to its set."""
    entries = tiny_catalogue(["http://127.0.0.1:9"])
    change(entries["tiny"])
    return entries


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda e: e.pop("files"), "the key 'files' is missing"),
        (lambda e: e.update(path="../outside"), "path must be data/tiny"),
        (lambda e: e.update(format="pickle"), "unknown format 'pickle'"),
        (lambda e: e.update(checksum="0" * 32), "does not follow from its files; write [0-9a-f]{32}"),
        (lambda e: e.update(checksum=12), "not an md5"),
        (lambda e: e.update(colour="red"), "unknown key 'colour'"),
        (lambda e: e["files"]["train-i"].update(md5="abc"), "'abc' is not an md5"),
        (lambda e: e["files"]["train-i"].update(sha256="abc"), "'abc' is not a sha256"),
        (lambda e: e["files"]["train-i"].update(shasum="abc"), "unknown key 'shasum'; did you mean 'sha256'"),
        (lambda e: e["files"]["train-i"].pop("from"), "needs 'from'"),
        (lambda e: e["files"].update({"../x": e["files"].pop("train-i")}), "'../x' is not a plain file name"),
        (lambda e: e.update(mirror="../.."), "'../..' is not a plain file name"),
        (lambda e: e["splits"].update(test=["absent"]), "no file 'absent'"),
        (lambda e: e["downloads"].update({"train-i.gz": {"sha1": "x"}}), "unknown key 'sha1'"),
        (lambda e: e.update(formt=e.pop("format")), "unknown key 'formt'; did you mean 'format'"),
        (lambda e: e.pop("sources"), "needs 'sources', or 'manual'"),
        (lambda e: e.update(manual="ask around"), "needs 'sources', or 'manual'"),
        (lambda e: e["files"]["train-i"].update(at_most=900), "a size and at_most; give one"),
        (lambda e: e["splits"].update(test=["test-i"]), "each of its splits needs 2 files"),
    ],
)
def test_mistakes_in_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[dict], object], says: str
) -> None:
    monkeypatch.setenv("REPRO_ROOT", str(checkout(tmp_path, changed(change))))
    with pytest.raises(UserError, match=says) as caught:
        catalogue.load()
    assert "'tiny'" in str(caught.value)
    assert re.match(r"datasets.yaml, line \d+: ", str(caught.value))


def test_each_mistake_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = changed(lambda e: e.update(titel="x", formt="idx"))
    folder = checkout(tmp_path, {**entries, "other": {"title": "Other", "derived": {"from": "tiny"}}})
    file = folder / "datasets.yaml"
    monkeypatch.setenv("REPRO_ROOT", str(folder))
    with pytest.raises(UserError) as caught:
        catalogue.load()
    said = r"^datasets.yaml, line (\d+): '\w+' has an unknown key '(\w+)'"
    found = re.findall(said, str(caught.value), re.MULTILINE)
    assert len(found) == str(caught.value).count("\n") + 1
    lines = file.read_text().splitlines()
    assert (
        {lines[int(line) - 1].strip().partition(":")[0] for line, _ in found}
        == {name for _, name in found}
        == {"titel", "formt", "derived"}
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: [", "not valid YAML"), ("[1]", "must map names"), ("a: 1\na: 2", "'a' is given twice")],
)
def test_a_file_that_is_no_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    (checkout(tmp_path, {}) / "datasets.yaml").write_text(text)
    monkeypatch.setenv("REPRO_ROOT", str(tmp_path))
    with pytest.raises(UserError, match=says):
        catalogue.load()


def test_unknown_set() -> None:
    with pytest.raises(UserError, match="did you mean 'mnist'"):
        catalogue.find("mnits")
