"""A paper in a minute: what it claims, whether that holds, and its claims, those first that need a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shared.report import agreement, captions, counts, verdicts
from shared.report.contents import Report
from shared.report.forest import Forest, forest, weakest
from shared.report.tables import Cell, Part, Row
from shared.report.verdicts import Verdict

#: What the page calls a claim with each verdict, in the order in which claims stand.
WORDS = {
    verdicts.DIFFERS: "differs",
    verdicts.TOO_FEW: "open",
    None: "not judged",
    verdicts.REPRODUCED: "holds",
    verdicts.NOT_RUN: "not run",
}
#: The order in which a bar shows them.
BAR = (verdicts.REPRODUCED, verdicts.DIFFERS, verdicts.TOO_FEW, None, verdicts.NOT_RUN)


@dataclass(frozen=True)
class Claim:
    """One claim as the page shows it.

    Attributes:
        key, statement: its name and what it says, in Markdown.
        verdict: on the whole.
        parts: its comparisons.
        forest: their picture.
        note: why it is open.
        command: computes it.
        headline: whether it stands for the paper.
    """

    key: str
    statement: str
    verdict: Verdict
    parts: tuple[Part, ...]
    forest: Forest
    note: str
    command: str
    headline: bool

    @property
    def word(self) -> str:
        """``holds``, ``differs``, ``open``, ``not judged``, ``run in part`` or ``not run``."""
        in_part = self.verdict.status == verdicts.NOT_RUN and not self.waits
        return "run in part" if in_part else WORDS[self.verdict.status]

    @property
    def waits(self) -> bool:
        """Whether none of its comparisons has been run."""
        return self.verdict.status == verdicts.NOT_RUN and not any(part.ours for part in self.parts)

    @property
    def protocol(self) -> str:
        """``shorter protocol (lite)``; "" for the paper's."""
        tier = self.verdict.tier
        return "" if tier in ("", "paper") or not self.verdict.n else f"shorter protocol ({tier})"


@dataclass(frozen=True)
class Summary:
    """What the start page says of a paper.

    Attributes:
        citation, says: authors and place, and the paper's claim in one sentence; Markdown, "" if not written.
        answer: whether it holds, in one sentence.
        bar: how many claims of the paper hold, differ and so on: status, word and number.
        headline: the claim that stands for the paper, its picture cut to what decides it; None without one.
        claims: of the paper.
        own: claims of ours.
        numbers: of each class apart from claims (`counts.CLASSES`) its verdicts by status, in words.
        sure: whether more numbers differ than chance makes differ, in one sentence; "" if none was tested.
    """

    citation: str
    says: str
    answer: str
    bar: tuple[tuple[str | None, str, int], ...]
    headline: Claim | None
    claims: tuple[Claim, ...]
    own: tuple[Claim, ...]
    numbers: dict[str, dict[str | None, str]]
    sure: str

    def those(self, status: str | None) -> list[Claim]:
        """The paper's claims with this verdict."""
        return [claim for claim in self.claims if claim.verdict.status == status]


def summary(report: Report) -> Summary:
    """Sum up the report of one paper."""
    blocks = captions.read(report.paper)
    said = (
        captions.words(report.results, captions.PAPER, {}) if captions.PAPER in blocks else captions.Words()
    )
    found = [made for table in report.tables if table.claims for row in table.rows if (made := _claim(row))]
    order = list(WORDS)
    found.sort(key=lambda claim: order.index(claim.verdict.status))
    claims = tuple(claim for claim in found if not claim.verdict.ours)
    own = tuple(claim for claim in found if claim.verdict.ours)
    statuses = Counter(claim.verdict.status for claim in claims)
    bar = tuple(
        (status, _word(status, statuses[status]), statuses[status]) for status in BAR if statuses[status]
    )
    headline = _headline(report, found)
    answer = "" if report.demo else _answer(headline, statuses)
    numbers = {
        of: counts.phrases(counted, of)
        for of in counts.CLASSES
        if of != "claims" and (counted := report.tally()[of])
    }
    tested = not report.demo and any(agreement.scores(report.judged).values())
    sure = agreement.sentence(report.judged) if tested else ""
    return Summary(said.title, said.caption, answer, bar, headline, claims, own, numbers, sure)


def _claim(row: Row) -> Claim | None:
    judged = next((cell for cell in row.cells if isinstance(cell, Cell) and cell.verdict is not None), None)
    if judged is None or judged.verdict is None:
        return None
    statement = row.title.removeprefix(f"**{row.key}** ")
    statement = statement[:1].upper() + statement[1:]
    note = judged.note
    return Claim(
        row.key, statement, judged.verdict, row.parts, forest(row.parts), note, judged.command, row.headline
    )


def _headline(report: Report, claims: list[Claim]) -> Claim | None:
    """The claim marked as headline, or else the number: its cell as a claim that it is the paper's."""
    for claim in claims:
        if claim.headline:
            parts = weakest(claim.parts)
            return Claim(
                claim.key,
                claim.statement,
                claim.verdict,
                claim.parts,
                forest(parts),
                claim.note,
                claim.command,
                True,
            )
    found = report.headline()
    if found is None:
        return None
    part = Part("", found.paper, found.ours, found.verdict)
    command = next(iter(found.table.commands), "")
    return Claim(found.row.key, found.row.title, found.verdict, (part,), forest([part]), "", command, True)


_HEADLINES = {
    verdicts.REPRODUCED: "Its headline holds",
    verdicts.DIFFERS: "Its headline does not hold",
    verdicts.TOO_FEW: "Its headline is open",
    None: "Its headline is measured, but at no protocol that can be judged",
    verdicts.NOT_RUN: "Its headline has not been run",
}


def _answer(headline: Claim | None, statuses: Counter[str | None]) -> str:
    """``Its headline holds; 1 of its 39 claims is contradicted.``"""
    said = []
    if headline:
        short = headline.protocol and headline.verdict.status in (verdicts.REPRODUCED, verdicts.DIFFERS)
        said.append(_HEADLINES[headline.verdict.status] + (" at a shorter protocol" if short else ""))
        if headline.verdict.status == verdicts.NOT_RUN and not headline.waits:
            said = [f"Its headline is run in part: {_in_part(headline.parts)}"]
    decided = statuses[verdicts.REPRODUCED] + statuses[verdicts.DIFFERS]
    if decided:
        differs = statuses[verdicts.DIFFERS]
        verb = "is" if differs < 2 else "are"
        said.append(f"{differs or 'none'} of {decided} decided claims {verb} contradicted")
    return f"{'; '.join(said)}." if said else ""


def _in_part(parts: Sequence[Part]) -> str:
    """``of 24 comparisons 17 hold, 1 open, 6 not run``."""
    found = Counter(part.verdict.status for part in parts)
    said = ", ".join(f"{found[status]} {_word(status, found[status])}" for status in BAR if found[status])
    return f"of {len(parts)} comparisons {said}"


def _word(status: str | None, count: int) -> str:
    """``17 hold, 1 differs``: the word for so many claims."""
    many = {verdicts.REPRODUCED: "hold", verdicts.DIFFERS: "differ"}
    return WORDS[status] if count == 1 else many.get(status or "", WORDS[status])
