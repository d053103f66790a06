"""Changed table cells between a git revision and the working tree."""

from __future__ import annotations

import mini_paper
import pytest

from shared.errors import UserError
from shared.report import diff


def lines(revision):
    """The changed cells as lists of fields, by place."""
    rows = [
        line.strip("| ").split(" | ") for line in diff.report(revision).splitlines() if line.startswith("| ")
    ]
    return {row[1]: row for row in rows[2:]}


def test_nothing_changed(mini, capsys):
    mini_paper.record()
    commit = mini_paper.commit(mini)
    assert diff.main("HEAD") == 0
    assert capsys.readouterr().out == f"No table cell changed since HEAD ({commit[:8]}).\n"


def test_a_change_is_compared_over_common_seeds(mini):
    mini_paper.record()
    mini_paper.commit(mini)
    mini_paper.record(shift=0.5)
    found = lines("HEAD")
    assert set(found) == {"table1/plain/error", "claims/C1/ours"}
    _, _, before, after, difference, common, p, verdict = found["table1/plain/error"]
    assert before == "5.00 ± 0.16 (n = 5, paper)"
    assert after == "5.50 ± 0.16 (n = 5, paper)"
    assert (difference, common) == ("+0.500", "5")
    assert float(p.removeprefix("p < ")) <= 1e-6, "the same shift in every seed is no noise"
    assert verdict == "reproduced → **differs**"


def test_more_seeds_and_another_tier_are_changes(mini):
    mini_paper.record("lite")
    mini_paper.commit(mini)
    mini_paper.record("paper")
    found = lines("HEAD")["table1/plain/error"]
    assert found[2].endswith("(n = 4, lite)")
    assert found[3].endswith("(n = 5, paper)")
    assert found[5] == "4"
    assert found[6] == "-", "the common seeds have the same values, so there is nothing to test"
    assert found[7] == "reproduced (lite) → **reproduced**"


def test_first_results_and_results_that_went(mini):
    empty = mini_paper.commit(mini)
    mini_paper.record()
    new = lines(empty)["table1/plain/error"]
    assert new[2] == "not run"
    assert new[4:7] == ["-", "-", "-"]
    full = mini_paper.commit(mini)
    for file in (mini / "pipelines/mini/results/paper").iterdir():
        file.unlink()
    assert lines(full)["table1/plain/error"][3] == "not run"
    assert lines(full)["table1/plain/error"][7] == "reproduced → **not run**"


def test_rows_that_no_table_shows_are_named_by_file(mini):
    mini_paper.record()
    mini_paper.commit(mini)
    file = mini / "pipelines/mini/results/paper/table1.csv"
    file.write_text(file.read_text().replace(",loss,3,0.5\n", ",loss,3,0.75\n"))
    assert "No table cell changed" in diff.report("HEAD")
    assert "pipelines/mini/results/paper/table1.csv" in diff.report("HEAD")


def test_branches_tags_and_ancestors_are_revisions(mini):
    mini_paper.record()
    commit = mini_paper.commit(mini)
    mini_paper.git(mini, "tag", "v1")
    mini_paper.commit(mini, "another")
    assert diff.resolve("v1") == diff.resolve("HEAD~1") == commit


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("table1.env.json", b"{"),
        ("table1.env.json", b"[1]"),
        ("table1.csv", b"\xff\xfe"),
        ("table1.csv", b"run,experiment,arm,seed,metric,step,value\na,b,c,d,e,f,g\n"),
        ("table1.csv", b"run,experiment,arm,seed,metric,step,value\na,b\n"),
    ],
)
def test_a_revision_with_damaged_results_is_named(mini, name, content):
    mini_paper.record()
    file = mini / "pipelines/mini/results/paper" / name
    whole = file.read_bytes()
    file.write_bytes(content)
    commit = mini_paper.commit(mini)
    file.write_bytes(whole)
    then = diff.Revision(commit)
    read = then.environments if name.endswith("json") else then.read
    with pytest.raises(UserError, match=f"results/paper/{name} was damaged at {commit[:8]}"):
        read("mini", "table1", "paper")


@pytest.mark.parametrize("revision", ["nowhere", "--help", ""])
def test_unknown_revisions_are_user_errors(mini, revision):
    mini_paper.commit(mini)
    with pytest.raises(UserError, match="git knows no revision"):
        diff.report(revision)


def test_a_folder_without_git_is_a_user_error(mini, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(mini.parent))
    with pytest.raises(UserError, match="git knows no revision"):
        diff.report("HEAD")
