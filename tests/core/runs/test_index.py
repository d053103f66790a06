"""The index of the store: saves reading, changes no answer."""

from __future__ import annotations

import json
import os

import pytest
from toy_results import call, execute

from shared.base import paths
from shared.runs import index, ledger, records


@pytest.fixture
def indexed(recorded, monkeypatch):
    """The recorded toy with an index, as a command would find it that begins now."""
    ledger.of("toy").collect(recorded.experiment("race"), "lite")
    monkeypatch.setattr(index, "WORTH_WRITING", 1)
    forget(monkeypatch)
    assert call("list", "toy") == 0
    assert (paths.store() / "index.json").is_file()
    forget(monkeypatch)
    return recorded


def forget(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr(index, "_known", {})
    monkeypatch.setattr(ledger, "_ledgers", {})


def test_no_record_is_read_that_the_index_knows(indexed, capsys, monkeypatch):
    read = []
    monkeypatch.setattr(records, "stored", lambda run_id: read.append(run_id))
    capsys.readouterr()
    assert call("list", "toy") == 0
    assert call("collect", "toy") == 0
    assert "6/6" in capsys.readouterr().out
    assert read == []


def test_a_record_that_was_edited_is_read_again(indexed, monkeypatch):
    """Also if whoever edited it put its time back."""
    run = indexed.runs()[0]
    file = records.stored_path(run.id)
    stat = file.stat()
    text = file.read_text()
    file.write_text(text.replace('"rows"', '"sorw"'))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert ledger.of("toy").stored(run.id) is None


def test_a_newer_record_is_seen(indexed):
    first = indexed.runs()[0]
    execute([first], refresh=True)
    assert ledger.of("toy").record(first).environment["execution"] == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"a": 1}', '{"a": [[1], "x", 2, 3]}'])
def test_a_damaged_index_is_made_anew(indexed, capsys, monkeypatch, damage):
    place = paths.store() / "index.json"
    before = json.loads(place.read_text())
    place.write_text(damage)
    capsys.readouterr()
    assert call("list", "toy") == 0
    assert "6/6" in capsys.readouterr().out
    assert json.loads(place.read_text()) == before
