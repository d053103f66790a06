"""Changed table cells between a git revision and the working tree."""

from __future__ import annotations

import re
import shlex
import subprocess

import mini_paper
import pytest

from shared.base.errors import UserError
from shared.report import diff, revisions
from shared.report.tables import Cell, Sample
from shared.report.verdicts import Verdict


def lines(revision):
    """The changed cells as lists of fields, by place."""
    rows = [
        line.strip("| ").split(" | ") for line in diff.report(revision).splitlines() if line.startswith("| ")
    ]
    return {row[1]: row for row in rows if row[0] not in ("Paper", "---")}


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
    assert set(found) == {"table1/plain/error", "claims/C1"}
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
    assert found[7] == "not judged (lite) → **reproduced**"


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
    mini_paper.sign()
    assert "No table cell changed" in diff.report("HEAD")
    assert "pipelines/mini/results/paper/table1.csv" in diff.report("HEAD")


def test_branches_tags_and_ancestors_are_revisions(mini):
    mini_paper.record()
    commit = mini_paper.commit(mini)
    mini_paper.git(mini, "tag", "v1")
    mini_paper.commit(mini, "another")
    assert revisions.find("v1").commit == revisions.find("HEAD~1").commit == commit


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
    then = revisions.Revision("HEAD", commit)
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
    with pytest.raises(UserError, match="this copy is no git repository"):
        diff.report("HEAD")


def test_git_that_is_not_installed_is_a_user_error(mini, monkeypatch):
    monkeypatch.setenv("PATH", str(mini))
    with pytest.raises(UserError, match="git is not installed"):
        diff.report("HEAD")


def test_a_checkout_of_somebody_else_is_a_user_error(mini, monkeypatch):
    mini_paper.commit(mini)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(UserError, match=r"belongs to another user; allow it with `git config --global"):
        diff.report("HEAD")


def test_a_revision_of_another_layout_is_a_user_error(mini):
    (mini / "before").mkdir()
    for folder in ("pipelines", "README.md"):
        (mini / folder).rename(mini / "before" / folder)
    mini_paper.commit(mini)
    for folder in ("pipelines", "README.md"):
        (mini / "before" / folder).rename(mini / folder)
    with pytest.raises(UserError, match="that is before the present layout of files; compare with a later"):
        diff.report("HEAD")
    mini_paper.record()
    file = mini / "pipelines/mini/results/paper/table1.csv"
    whole = file.read_text()
    file.write_text(whole.replace("run,experiment,arm,seed,", "run,experiment,arm,replica,"))
    mini_paper.commit(mini)
    file.write_text(whole)
    with pytest.raises(UserError, match=r"results/paper/table1.csv had other columns at HEAD \("):
        diff.report("HEAD")


def test_a_shallow_clone_says_how_to_get_the_revision(mini, tmp_path_factory, monkeypatch):
    """The command in the sentence is carried out, and then there is something to compare with."""
    mini_paper.record()
    first = mini_paper.commit(mini)
    mini_paper.git(mini, "branch", "base")
    mini_paper.record(shift=0.5)
    mini_paper.commit(mini)
    clone = tmp_path_factory.mktemp("shallow") / "clone"
    mini_paper.git(mini, "clone", "-q", "--depth", "1", f"file://{mini}", str(clone))
    monkeypatch.setenv("REPRO_ROOT", str(clone))
    for revision in ("base", "HEAD~1", first):
        with pytest.raises(UserError, match="this clone is shallow and does not hold") as refused:
            diff.report(revision)
    (command,) = re.findall("`(.*)`", str(refused.value))
    subprocess.run(shlex.split(command), cwd=clone, check=True, capture_output=True)
    for revision in ("base", "HEAD~1", first):
        assert set(lines(revision)) == {"table1/plain/error", "claims/C1"}
    assert f"changed since origin/base ({first[:8]})" in diff.report("base")


def test_what_git_cannot_read_is_not_taken_for_absent(mini):
    """As in a clone that fetches contents when they are needed, without a network."""
    mini_paper.record()
    commit = mini_paper.commit(mini)
    name = f"{commit}:pipelines/mini/results/paper/table1.csv"
    blob = mini_paper.git(mini, "rev-parse", name).strip()
    (mini / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UserError, match=r"`git show` failed \("):
        diff.report("HEAD")


def test_verdicts_come_first_and_texts_are_folded(mini):
    mini_paper.record()
    mini_paper.commit(mini)
    mini_paper.record(shift=0.5)
    title, _, *found = diff.report("HEAD").splitlines()
    assert title.startswith("### 2 table cells changed since HEAD (")
    places = [line.split(" | ")[1] if line.startswith("| ") else line for line in found]
    moved = "1 verdict changed (printed numbers: 1 reproduced → differs)"
    summary = f"**{moved}, 0 other measured cells, and 1 text that follows"
    order = [
        next(i for i, line in enumerate(places) if line.startswith(start))
        for start in ("table1/plain/error", summary, "<details>", "claims/C1", "</details>")
    ]
    assert order == sorted(order)


def invented(paper, count, verdict=("reproduced", "differs"), length=10):
    """Many changes: a third of each kind."""
    old, new = (Verdict(status, "paper", 3) for status in verdict)
    sample = Sample({seed: 90.0 + seed for seed in range(3)}, "paper")
    kinds = (
        (Cell("91.00 ± 1.00", verdict=old, sample=sample), Cell("91.00 ± 1.00", verdict=new, sample=sample)),
        (Cell("91.00 ± 1.00", sample=sample), Cell("92.00 ± 1.00", sample=sample.map(lambda v: v + 1))),
        (Cell("-" * length), Cell("+" * length)),
    )
    for i in range(count):
        yield diff.Change(paper, f"table{i % 97}", f"table{i % 97}/row{i}/column", *kinds[i % 3])


@pytest.mark.parametrize(("count", "length"), [(900, 10), (6000, 10), (3, 70_000), (600, 3000), (60, 900)])
def test_however_much_changed_a_comment_can_hold_it(mini, monkeypatch, count, length):
    mini_paper.commit(mini)
    monkeypatch.setattr(diff, "changes", lambda paper, since: invented(paper, count, length=length))
    found = diff.report("HEAD")
    assert len(found) < 60_000
    shown = len([line for line in found.splitlines() if line.startswith("| mini |")])
    (left,) = re.findall(r"\*\*(\d+) rows? left out\*\*", found) or ["0"]
    assert shown + int(left) == count
    assert f"(not counted: {count // 3} reproduced → differs), {count // 3} other measured cell" in found
    assert (int(left) > 0) == ("`python -m pipelines diff HEAD --full` prints all" in found)
    if left != "0":
        link = rf"\[mini/table\d+\]\(\.\./blob/{'[0-9a-f]{40}'}/reports/mini/table\d+\.md\)"
        assert re.search(link, found.splitlines()[-1]), "the tables to look at are named, with links"
    full = diff.report("HEAD", full=True)
    assert len([line for line in full.splitlines() if line.startswith("| mini |")]) == count


def test_the_first_rows_to_go_are_those_that_say_least(mini, monkeypatch):
    mini_paper.commit(mini)
    monkeypatch.setattr(diff, "changes", lambda paper, since: invented(paper, 999))
    found = diff.report("HEAD")
    assert found.count("reproduced → **differs**") == 333
    assert "<details>" not in found


def test_a_verdict_that_moved_stands_before_first_results(mini, monkeypatch):
    mini_paper.commit(mini)
    new = list(invented("mini", 1, ("not run", "differs")))
    moved = list(invented("mini", 1))
    monkeypatch.setattr(diff, "changes", lambda paper, since: new + moved)
    found = diff.report("HEAD")
    assert found.index("reproduced → **differs**") < found.index("not run → **differs**")
