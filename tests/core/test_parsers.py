"""Every parser of what enters, given damaged files: it takes them or says in a sentence why not."""

from __future__ import annotations

import gzip
import io
import math
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import data_makers as makers
import data_server
import mutations
import numpy as np
import torture
import yaml
from toy_results import execute

from shared.base import paths, strict_yaml
from shared.data import archives, catalogue, dvc, hdf5, matlab, npz, readers
from shared.report import captions, published
from shared.runs import committed, config, ledger, merging
from shared.workflow import dvc_files

PROJECT = Path(__file__).resolve().parents[2]
CAPTIONS = b"""## table1: Table 1: {what}

A caption with a {field} and {{braces}}.

- A note. {price}

## figure1.svg: Figure 1

Mean over {seeds}.

Alt: A picture.

### S5

A claim on {dataset}
"""
PAPER = ",".join(published.PAPER_COLUMNS).encode() + (
    b"\n"
    b"S1,t,r,c,accuracy,%,higher,97.70,0.17,std0,100,printed,,table 1,\n"
    b'S2,t,r2,c,accuracy,%,higher,1e-3,,,,read,3 epochs,figure 2,"a, note"\n'
)
DEVIATIONS = b'what,paper,ours,why,expected_effect,tables\nLength,50,2,"time, mostly",little,not table*\n'
#: What reads a file's content, and right files.
Parser = tuple[Callable[[bytes], Any], Sequence[bytes]]


def at(file: Path, read: Callable[[], Any], *others: bytes) -> Parser:
    """Reads a file of the checkout, which is right as it stands there."""

    def parse(content: bytes) -> Any:
        file.write_bytes(content)
        return read()

    return parse, [file.read_bytes(), *others]


def new(file: Path, read: Callable[[Path], Any], *samples: bytes) -> Parser:
    """Reads a file by its path."""

    def parse(content: bytes) -> Any:
        file.write_bytes(content)
        return read(file)

    return parse, samples


def hand_written(toy) -> dict[str, Parser]:
    """Parsers of what people write."""
    entries = data_server.catalogue([data_server.NOWHERE])
    entries["tiny"]["notes"] = ["made up"]
    names = {"paper.csv": PAPER, "deviations.csv": DEVIATIONS, "captions.md": CAPTIONS}
    for name, content in names.items():
        (toy.folder / name).write_bytes(content)
    (toy.root / "datasets.yaml").write_text(yaml.safe_dump(entries))
    (toy.root / "data.dvc").write_bytes((PROJECT / "data.dvc").read_bytes())
    other = (
        (PROJECT / "pipelines" / "_template" / "experiments.yaml").read_bytes().replace(b"_template", b"toy")
    )

    def declared() -> None:
        for experiment in config.load("toy").experiments.values():
            assert all(run.id for tier in experiment.tiers for run in experiment.runs(tier))

    def numbers() -> None:
        for value in published.paper_values("toy").values():
            assert math.isfinite(value.value + (value.spread or 0) + value.rounding)
            assert value.text

    sets = toy.root / "datasets.yaml"
    lock = (PROJECT / "dvc.lock").read_bytes()[:4000]
    return {
        "experiments.yaml": at(
            toy.folder / "experiments.yaml", declared, other.replace(b"_template", b"toy")
        ),
        "datasets.yaml": at(sets, lambda: catalogue._load.__wrapped__(sets, 0, 0)),
        "dvc.yaml": at(toy.root / "dvc.yaml", dvc_files.misspelt),
        "data.dvc": at(toy.root / "data.dvc", dvc.kept),
        "dvc.lock": (lambda content: strict_yaml.look(content.decode("latin-1"), "dvc.lock"), [lock]),
        "paper.csv": at(toy.folder / "paper.csv", numbers),
        "deviations.csv": at(toy.folder / "deviations.csv", lambda: published.deviations("toy")),
        "captions.md": at(toy.folder / "captions.md", lambda: captions.read("toy")),
    }


def recorded(toy) -> dict[str, Parser]:
    """Parsers of results, as they stand in the checkout and as `merge` takes them in."""
    execute(toy.experiment().runs("lite"))
    ledger.of("toy").collect(toy.experiment(), "lite")
    csv = paths.collected("toy", "walk", "lite")
    sidecar, record = paths.sidecar(csv), next((toy.root / ".repro" / "runs").glob("*.json"))
    right = {file: file.read_bytes() for file in (csv, sidecar)}

    def collected() -> None:
        found = committed.read_file(csv)
        records = [found.record(run) for run in found.rows if run not in found.damage]
        assert all(one and one.digest for one in records)
        ledger._frame((run, "walk", "a", 0, *row) for run, rows in found.rows.items() for row in rows)
        list(merging._from_file(csv))

    def pair(file: Path, other: Path) -> Parser:
        def parse(content: bytes) -> None:
            other.write_bytes(right[other])
            file.write_bytes(content)
            collected()

        return parse, [right[file]]

    return {
        "results CSV": pair(csv, sidecar),
        "sidecar": pair(sidecar, csv),
        "record": at(record, lambda: list(merging._from_file(record))),
    }


def data_sets(folder: Path) -> dict[str, Parser]:
    """Parsers of what publishers serve."""
    labels = folder / "y.h5"
    labels.write_bytes(makers.hdf5(y=np.zeros((2, 1, 1, 1), np.uint8)))
    arrays = {"train_images": np.zeros((3, 2, 2, 2), np.uint8), "train_labels": np.zeros((3, 1), np.uint8)}
    streams = io.BytesIO(), io.BytesIO()
    np.savez(streams[0], **arrays)
    np.savez_compressed(streams[1], **arrays)
    plain = makers.tar({"a": b"12345", "b": b"b" * 300})
    tars = [plain, *map(long_names, (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))]

    def unpacked(file: Path) -> None:
        target = folder / "unpacked"
        target.mkdir(exist_ok=True)
        for left in target.iterdir():
            left.unlink()
        archives.unpack(file, {"a": 5, "b": 300}, target)

    return {
        "IDX": new(folder / "idx", readers.read_idx, readers.idx_bytes(np.zeros((3, 4, 5), np.uint8))),
        "CIFAR": new(folder / "cifar", readers.read_cifar, bytes(2 * 3073)),
        "npz": new(folder / "a.npz", lambda f: npz.read_pair(f, "train"), *(s.getvalue() for s in streams)),
        "mat": (lambda c: matlab.read_mat(c, "a.mat"), [makers.mat(row=np.arange(5), of=makers.synsets())]),
        "HDF5": new(
            folder / "x.h5",
            lambda file: hdf5.read_pair(file, labels),
            makers.hdf5(x=np.zeros((2, 4, 4, 3), np.uint8)),
            makers.hdf5({"chunks": (1, 4, 4, 3), "compression": "gzip"}, x=np.zeros((2, 4, 4, 3), np.uint8)),
        ),
        "tar": new(folder / "x.tar", unpacked, *tars),
        "tar.gz": new(folder / "x.tar.gz", unpacked, *(gzip.compress(one, 1, mtime=0) for one in tars)),
    }


def long_names(form: int) -> bytes:
    """A tar archive whose first member has a long name, which needs a header of its own."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in {"d" * 150 + "/a": b"12345", "b": b"b" * 300}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@torture.sizes(900, 100_000)
def test_no_parser_fails_on_a_damaged_file(toy, tmp_path, tally, size):
    """No traceback, no hang, memory bounded; only HDF5's own library may crash, behind its checksum."""
    parsers = recorded(toy) | data_sets(tmp_path) | hand_written(toy)
    each = -(-size // len(parsers))
    found = {}
    for name, (read, samples) in parsers.items():
        read(samples[0])
        found[name] = mutations.outcomes(read, samples, name, each)
        read(samples[0])  # the others count on a right file
    crashes = found["HDF5"].pop("crashed", 0)
    total = sum(found.values(), Counter())
    wrong = {said: count for said, count in total.items() if said not in ("taken", "refused")}
    came = f"{total['refused']:,} refused in a sentence, {total['taken']:,} taken"
    came += (
        f", {crashes} crashed HDF5's library, which opens nothing whose checksum is wrong" if crashes else ""
    )
    print("\n".join(f"{name}: {dict(each)}" for name, each in found.items()))
    tally(f"Damaged files for {len(parsers)} parsers", each * len(parsers), came, sum(wrong.values()))
