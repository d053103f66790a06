"""Get a data set: what is there and right, else DVC, else mirror and publisher, else its generator."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import FULL, is_unwritable, lock
from shared.data import archives, catalogue, download, dvc, readers
from shared.data.entries import DataSet, Download
from shared.data.verify import is_there, matches, problems

#: Directory or URL that serves the publishers' files as MIRROR/<mirror name of the set>/<file name>.
MIRROR_VARIABLE = "REPRO_MIRROR"
#: What a packed file may be larger than its content by: headers, and members that are not kept.
_SLACK = 1 << 20
#: What the name of a folder for files under way begins with; beside the target, after a dot and its name.
_STAGING = ".getting-"
_log = logging.getLogger(__name__)


def get(name: str, mirror: str | os.PathLike[str] | None = None, progress: bool = True) -> Path:
    """Make sure that a data set is there and is what the catalogue says, and return its folder.

    Tries, in this order: the files that are there; ``dvc pull`` of the folder, if this checkout has a DVC
    remote that holds it; for each file the mirror, then the publisher's addresses; the generator. What
    arrives is unpacked, all of it checked, and then moved into place: a new folder in one step, into a folder
    that is there file by file. Other files in it stay as they are. A copy refused on the way to a good one is
    reported as a warning.

    Args:
        name: a name of datasets.yaml.
        mirror: directory or URL, in place of the environment variable REPRO_MIRROR.
        progress: show a progress bar on a terminal.

    Raises:
        UserError: if the set cannot be had; says what was tried and what to do.
    """
    data_set = catalogue.find(name)
    target = paths.root() / data_set.path
    if not problems(data_set, target):
        return target
    place = str(mirror or os.environ.get(MIRROR_VARIABLE, ""))
    _look_for(place)
    with lock(paths.store() / "locks" / f"data-{name}"):
        return _obtain(data_set, target, place, progress)


def available(name: str, mirror: str | None = None) -> bool:
    """Whether a data set is on this machine: its files, what packs them in a mirror folder, or its generator.

    Nothing is fetched and no file is read: sizes are looked at, checksums not before the set is loaded.

    Args:
        name: as in ``datasets.yaml``.
        mirror: directory or URL, in place of the environment variable REPRO_MIRROR.

    Raises:
        UserError: if there is no set of this name.
    """
    data_set = catalogue.find(name)
    if data_set.generator:
        return True
    folder, shelf = paths.root() / data_set.path, _local(mirror or os.environ.get(MIRROR_VARIABLE, ""))
    for wanted in data_set.downloads.values():
        if all(is_there(data_set, folder, name) for name in wanted.members):
            continue
        on_shelf = shelf is not None and (shelf / data_set.mirror / wanted.name).is_file()
        if not on_shelf or (wanted.whole and not is_there(data_set, shelf / data_set.mirror, wanted.name)):
            return False
    return True


def _local(place: str) -> Path | None:
    """The path that a place names; None if it is an address, or no place at all.

    Raises:
        UserError: if it is an address that makes no sense.
    """
    try:
        parts = urlsplit(place)
    except ValueError as error:
        raise UserError(f"{place} is no address ({error}); correct --mirror or {MIRROR_VARIABLE}") from None
    if not place or parts.scheme in ("http", "https"):
        return None
    try:
        return Path(unquote(parts.path)) if parts.scheme == "file" else Path(place).expanduser()
    except RuntimeError:  # the home folder of somebody unknown
        return Path(place)


def _look_for(mirror: str) -> None:
    """Refuse a mirror that is neither a folder nor an address: whoever names one wants it to be used."""
    folder = _local(mirror)
    if folder is not None and not os.path.isdir(folder):
        raise UserError(
            f"the mirror {mirror} is no folder here, and no http address; correct --mirror or "
            f"{MIRROR_VARIABLE}, or leave it out"
        )


def notes(name: str) -> list[str]:
    """Remarks on a data set for the record of a run: the catalogue's, and on variants in the copy here."""
    data_set = catalogue.find(name)
    found = list(data_set.notes)
    folder = paths.root() / data_set.path
    for variant in data_set.variants:
        if all(matches(folder / n, file) for n, file in variant.files.items()):
            found.append(f"{name}: variant {variant.name!r}: {variant.note}")
    return found


def _obtain(data_set: DataSet, target: Path, mirror: str, progress: bool) -> Path:
    """Try all ways in order; the first that gives the right files wins. The caller holds the lock."""
    wrong = problems(data_set, target)
    if not wrong:  # another process was faster
        return target
    _refuse_links(data_set, target)
    tried = [f"{data_set.path}: {'; '.join(wrong)}"] if target.exists() else []
    for stale in (*target.parent.glob(f".{target.name}{_STAGING}*"), *target.glob(f"{_STAGING}*")):
        shutil.rmtree(stale, ignore_errors=True)  # left by a process that was killed
    ways: list[Callable[[Path], bool]] = []
    if data_set.downloads:
        if refusal := _pulled(data_set, target):
            tried += [f"dvc pull {data_set.path}: {refusal}"] if refusal != dvc.NOT_KEPT else []
        elif not problems(data_set, target):
            return target
        ways.append(lambda folder: _fetch_all(data_set, folder, mirror, progress, tried))
    if data_set.generator:
        ways.append(lambda folder: _generate(data_set, folder, tried))
    for way in ways:
        try:
            with _staging(target) as folder:
                if not way(folder):
                    continue
                _put(folder, target)
        except OSError as error:  # a full disk or a folder of somebody else, say: no other way helps
            raise UserError(_unwritable(data_set, error, target)) from None
        for refused in tried:
            _log.warning("data set %s: %s", data_set.name, refused)
        return target
    raise UserError(_refusal(data_set, tried))


def _refuse_links(data_set: DataSet, target: Path) -> None:
    """Refuse what somebody put in the place of the folder or of a wrong file: a link is not ours to replace.

    A link to a folder that is there is followed; a link to a file that is right is never looked at here.
    """
    for path in (target, *(target / name for name in data_set.files)):
        if not path.is_symlink():
            continue
        what = "" if path.exists() else "is not there"
        if not what and path != target and problems(data_set, target, [path.name]):
            what = "has the wrong checksum"
        if what:
            link = f"{paths.shown(path)} is a link to {os.readlink(path)}"
            raise UserError(f"{link}, which {what}; see to it or remove the link")
    if target.exists() and not target.is_dir():
        raise UserError(f"{data_set.path} is a file where a folder should be; move it away")


def _pulled(data_set: DataSet, target: Path) -> str:
    """As `dvc.pull`, which is not asked if it would have to replace a link or delete files of the user."""
    others = [path for path in target.glob("*") if path.name not in data_set.files]
    if target.is_symlink() or others:
        return dvc.NOT_KEPT
    return dvc.pull(data_set.path, data_set.size)


def _refusal(data_set: DataSet, tried: list[str]) -> str:
    """The sentence that says what to do, and the list of what was tried."""
    advice = "update the checkout and scikit-learn"
    if data_set.downloads:
        mirror = f"name a mirror (--mirror DIR_OR_URL or {MIRROR_VARIABLE})"
        advice = (
            f"{data_set.manual}, or {mirror}" if data_set.manual else f"connect to the network or {mirror}"
        )
    lines = "".join(f"\n  - {one}" for one in tried)
    trials = f" Tried:{lines}" if lines else ""
    return f"data set {data_set.name!r} cannot be had here; {advice}.{trials}"


def _unwritable(data_set: DataSet, error: OSError, target: Path) -> str:
    """What cannot be written, and what is needed there."""
    file = Path(next((n for n in (error.filename2, error.filename) if isinstance(n, str)), target))
    place = next(folder for folder in (file, *file.parents) if folder.is_dir())
    if error.errno not in FULL:
        return (
            f"data set {data_set.name!r} cannot be written: {error.strerror or error} ({paths.shown(file)}); "
            "see to what is there, to its permissions and its name, then run it again"
        )
    free = "" if error.errno == errno.EDQUOT else f" ({_megabytes(shutil.disk_usage(place).free)} are free)"
    return (
        f"{error.strerror} in {paths.shown(place)}{free}: data set {data_set.name!r} needs "
        f"{_megabytes(data_set.size)}, and while it is fetched as much again; make room, then run it again"
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


@contextlib.contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A new folder on the target's file system (in it or beside it), gone afterwards whatever happens."""
    target.parent.mkdir(parents=True, exist_ok=True)
    place, prefix = (target, "") if target.is_dir() else (target.parent, f".{target.name}")
    outer = Path(tempfile.mkdtemp(dir=place, prefix=f"{prefix}{_STAGING}"))
    folder = outer / target.name  # made with the user's own permissions, unlike the one around it
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _put(folder: Path, target: Path) -> None:
    """Put a finished folder in the target's place, or its files into the folder that is there."""
    if not target.exists():
        folder.rename(target)
        return
    for file in sorted(folder.iterdir()):
        file.replace(target / file.name)


def _fetch_all(data_set: DataSet, folder: Path, mirror: str, progress: bool, tried: list[str]) -> bool:
    """Every published file, from the first place that has it right; the others are noted in ``tried``."""
    for wanted in data_set.downloads.values():
        if not problems(data_set, paths.root() / data_set.path, wanted.members):  # it stays where it is
            continue
        places = [f"{mirror.rstrip('/')}/{data_set.mirror}/{wanted.name}"] if mirror else []
        for place in (*places, *wanted.urls):
            try:
                _fetch(data_set, wanted, place, folder, progress)
                break
            except (UserError, OSError) as error:
                here = (folder.parent, paths.store())
                if isinstance(error, OSError) and is_unwritable(error, *here):
                    raise
                tried.append(f"{place}: {error}")
                _discard(wanted, folder)
        else:
            return False
    return True


def _discard(wanted: Download, folder: Path) -> None:
    """Remove what has been written of one published file."""
    for name in wanted.members:
        (folder / name).unlink(missing_ok=True)


def _fetch(data_set: DataSet, wanted: Download, place: str, folder: Path, progress: bool) -> None:
    """One published file from one place, unpacked into ``folder`` and checked."""
    packed = local = _local(place)
    if packed is None:
        packed = download.fetch(place, wanted.limit + _SLACK, progress)
    elif not packed.is_file():
        raise UserError("there is no such file")
    try:
        if not wanted.whole:
            sizes = {name: file.size for name, file in wanted.members.items()}
            bounded = [name for name, file in wanted.members.items() if file.bounded]
            archives.unpack(packed, sizes, folder, bounded)
        elif local:  # not copied: ImageNet has 155 GB
            (folder / wanted.name).symlink_to(packed.resolve())
        else:
            shutil.move(packed, folder / wanted.name)
    finally:
        if not local:
            packed.unlink(missing_ok=True)
    if wrong := problems(data_set, folder, wanted.members):
        raise UserError(f"it is refused: {'; '.join(wrong)}")


def _generate(data_set: DataSet, folder: Path, tried: list[str]) -> bool:
    """Write an embedded set, and check it like any other."""
    from shared.data.embedded import GENERATORS

    for split, (images, labels) in GENERATORS[data_set.generator]().items():
        for name, array in zip(data_set.splits[split], (images, labels)):
            (folder / name).write_bytes(readers.idx_bytes(array))
    wrong = problems(data_set, folder)
    tried += [f"generator {data_set.generator!r}: {'; '.join(wrong)}"] if wrong else []
    return not wrong
