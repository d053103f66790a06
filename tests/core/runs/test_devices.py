"""Locks, and the choice of a device."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
import time

import pytest
from filelock import FileLock

from shared.base import files
from shared.base.errors import UserError
from shared.runs import devices, environment
from shared.runs.api import OutOfTime

CHOOSE = """
import os
from shared.runs import devices, environment
print(devices.choose("auto"), os.environ["CUDA_VISIBLE_DEVICES"])
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No locks of other tests or processes, and variables put back afterwards."""
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("PATH", str(tmp_path))  # without nvidia-smi, also in processes of their own
    devices._listed.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    held: dict[str, FileLock] = {}
    monkeypatch.setattr(devices, "_held", held)
    yield
    devices._listed.cache_clear()
    for lock in held.values():
        lock.release()


def test_without_gpus_it_is_the_cpu(monkeypatch):
    monkeypatch.setenv("REPRO_GPUS", "")
    assert devices.choose("auto") == devices.choose("cpu") == "cpu"
    with pytest.raises(UserError, match="use --device cpu"):
        devices.choose("cuda")
    for wish in ("gpu", "cpu:0", "cuda:x"):
        with pytest.raises(UserError, match="unknown device"):
            devices.choose(wish)


def test_each_process_gets_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("REPRO_GPUS", "4,7")
    assert devices.choose("auto") == "cuda:0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"
    assert devices.choose("auto") == "cuda:0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4", "the GPU it has already"
    other = subprocess.run([sys.executable, "-c", CHOOSE], capture_output=True, text=True, check=True)
    assert other.stdout.split() == ["cuda:0", "7"]


def test_a_certain_gpu(monkeypatch):
    monkeypatch.setenv("REPRO_GPUS", "4,7")
    devices.choose("cuda:7")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    with pytest.raises(UserError, match="no GPU 5 here; there are 4, 7"):
        devices.choose("cuda:5")


def test_waits_for_a_busy_gpu_and_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("REPRO_GPUS", "4")
    lock = devices.try_lock(tmp_path / "reproductions-gpu-4.lock")
    said = []

    def release(line: str) -> None:
        said.append(line)
        lock.release()

    assert devices.choose("auto", release) == "cuda:0"
    assert said == ["waiting for a free GPU (of 4)"]


def test_under_slurm_the_scheduler_has_chosen(monkeypatch, tmp_path):
    monkeypatch.delenv("REPRO_GPUS", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert devices.choose("auto") == "cuda:0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"
    assert list(tmp_path.iterdir()) == []


def test_the_wait_for_a_gpu_ends_at_the_deadline(monkeypatch, tmp_path):
    monkeypatch.setenv("REPRO_GPUS", "4")
    lock = devices.try_lock(tmp_path / "reproductions-gpu-4.lock")
    said = []
    with pytest.raises(OutOfTime, match=r"no GPU has become free \(of 4\)"):
        devices.choose("auto", said.append, deadline=time.monotonic())
    assert said == ["waiting for a free GPU (of 4)"]
    lock.release()
    assert devices.choose("auto", said.append, deadline=time.monotonic()) == "cuda:0", "no need to wait"


def test_under_slurm_one_of_the_gpus_of_a_job(monkeypatch):
    monkeypatch.delenv("REPRO_GPUS", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert devices.choose("cuda") == "cuda:0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert devices.choose("cuda:1") == "cuda:0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_lock_is_held_until_it_is_released(tmp_path):
    first = devices.try_lock(tmp_path / "lock")
    assert first is not None
    assert devices.try_lock(tmp_path / "lock") is None
    first.release()
    assert (tmp_path / "lock").exists(), "another process may wait at this file"
    second = devices.try_lock(tmp_path / "lock")
    assert second is not None
    second.release()


HOLD = """
import sys, time
from pathlib import Path
from shared.runs import devices
lock = devices.try_lock(Path(sys.argv[1]))
print(lock is not None, flush=True)
time.sleep(600)
"""


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"True\n"
        assert devices.try_lock(tmp_path / "lock") is None
        holder.kill()
    lock = devices.try_lock(tmp_path / "lock")
    assert lock is not None
    lock.release()


def test_a_lock_that_is_waited_for_is_the_same_lock(tmp_path):
    with files.lock(tmp_path / "lock"):
        assert devices.try_lock(tmp_path / "lock") is None
    first = devices.try_lock(tmp_path / "lock")
    order = []

    def wait() -> None:
        with files.lock(tmp_path / "lock"):
            order.append("waited")

    thread = threading.Thread(target=wait)
    thread.start()
    order.append("released")
    first.release()
    thread.join()
    assert order == ["released", "waited"]


def test_other_users_can_wait_for_a_lock(tmp_path):
    before = os.umask(0o077)
    try:
        lock = devices.try_lock(tmp_path / "lock")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o666
    lock.release()


def test_a_file_system_without_locks_is_an_error(tmp_path, monkeypatch):
    """And not a marker file, which would outlive a process that is killed."""

    def missing(*arguments):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", missing)
    with pytest.raises(UserError, match=r"cannot open the lock .*: Function not implemented"):
        devices.try_lock(tmp_path / "lock")


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="cannot open the lock"):
        devices.try_lock(tmp_path / "lock")
    with pytest.raises(UserError, match="cannot open the lock"), files.lock(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def nvidia_smi(folder, *lines, code=0):
    """A program of that name in PATH, with these GPUs."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{os.linesep.join(lines)}'\nexit {code}\n")
    program.chmod(0o755)
    devices._listed.cache_clear()


GPUS = ("GPU 0: a (UUID: GPU-1)", "GPU 1: a (UUID: GPU-2)")


@pytest.mark.parametrize(
    "text", ["foo", "0,foo", "-1", "0,-1", "0,0", "1, 01", "0;1", "0 1", "1.0", "٣", "all"]
)
def test_a_wrong_list_of_gpus_is_one_sentence(monkeypatch, text):
    monkeypatch.setenv("REPRO_GPUS", text)
    for wish in ("auto", "cuda", "cuda:0"):
        with pytest.raises(
            UserError, match=f"^REPRO_GPUS={text} should be different numbers of GPUs, such as"
        ):
            devices.choose(wish)


@pytest.mark.parametrize(("text", "names"), [("", []), (" ", []), ("0", ["0"]), (" 1 , 0,", ["1", "0"])])
def test_right_lists_of_gpus(monkeypatch, tmp_path, text, names):
    nvidia_smi(tmp_path, *GPUS)
    monkeypatch.setenv("REPRO_GPUS", text)
    assert devices.gpus() == names


def test_gpus_beyond_those_present(monkeypatch, tmp_path):
    monkeypatch.setenv("REPRO_GPUS", "1,2")
    assert devices.gpus() == ["1", "2"], "nobody can say"
    nvidia_smi(tmp_path, *GPUS)
    with pytest.raises(
        UserError, match="REPRO_GPUS=1,2 names the GPU 2, but `nvidia-smi -L` lists 0, 1; correct"
    ):
        devices.gpus()
    nvidia_smi(tmp_path, "No devices were found")
    with pytest.raises(UserError, match="names the GPU 1, but `nvidia-smi -L` lists none"):
        devices.gpus()
    nvidia_smi(tmp_path, "the driver does not answer", code=9)
    assert devices.gpus() == ["1", "2"], "nobody can say"


@pytest.mark.parametrize("text", ["abc", "0", "-2", "1.5", "2,x", "2,"])
def test_a_wrong_number_of_threads_is_one_sentence(monkeypatch, text):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.raises(UserError, match=f"^OMP_NUM_THREADS={text} should be a whole number from 1 on"):
        environment.default_threads()


@pytest.mark.parametrize(("text", "threads"), [("3", 3), (" 3 ", 3), ("3,2", 3)])
def test_right_numbers_of_threads(monkeypatch, text, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert environment.default_threads() == threads


def test_no_number_of_threads_is_all_processors(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert environment.default_threads() == environment.processors()
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert environment.default_threads() == environment.processors()


@pytest.mark.parametrize(
    "call", [lambda: environment.threads(100_000, "--threads"), environment.default_threads]
)
def test_more_threads_than_torch_can_start_are_refused(monkeypatch, call):
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    with pytest.raises(UserError, match=r"should be from 1 to \d+, not 100000; more than cores gain nothing"):
        call()
