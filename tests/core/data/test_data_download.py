"""Downloads from a server on this machine that breaks, lies and changes its mind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_server import Page, checkout, serve

from shared.base.errors import UserError
from shared.data import download

CONTENT = bytes(range(256)) * 40
BIG = 1 << 20


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, so that nothing is written elsewhere."""
    monkeypatch.setenv("REPRO_ROOT", str(checkout(tmp_path, {})))
    return tmp_path


@pytest.fixture
def pages() -> dict[str, Page]:
    return {"/x.gz": Page(CONTENT)}


@pytest.fixture
def url(pages: dict[str, Page]) -> Iterator[str]:
    with serve(pages) as address:
        yield f"{address}/x.gz"


def stored(root: Path) -> list[str]:
    return sorted(path.name.split("-", 1)[1] for path in (root / ".repro" / "downloads").glob("*"))


def test_a_whole_file(url: str, root: Path) -> None:
    path = download.fetch(url, BIG)
    assert path.read_bytes() == CONTENT
    assert stored(root) == ["x.gz"]


def test_a_broken_connection_goes_on_where_it_stopped(url: str, pages: dict[str, Page]) -> None:
    pages["/x.gz"].cuts = [1000, 2000]
    assert download.fetch(url, BIG).read_bytes() == CONTENT
    assert pages["/x.gz"].requests == ["", "bytes=1000-", "bytes=3000-"]


def test_a_later_call_goes_on_too(url: str, pages: dict[str, Page], root: Path) -> None:
    pages["/x.gz"].cuts = [1000, 0, 0, 0]
    with pytest.raises(UserError, match=r"ended after 1000 of 10240 bytes; run it again"):
        download.fetch(url, BIG)
    assert stored(root) == ["x.gz.mark", "x.gz.part"]
    pages["/x.gz"].cuts = []
    assert download.fetch(url, BIG).read_bytes() == CONTENT
    assert pages["/x.gz"].requests[-1] == "bytes=1000-"
    assert stored(root) == ["x.gz"]


def test_a_file_that_changed_in_between_is_fetched_anew(url: str, pages: dict[str, Page]) -> None:
    pages["/x.gz"].cuts = [1000, 0]
    with pytest.raises(UserError):
        download.fetch(url, BIG)
    pages["/x.gz"] = Page(CONTENT[::-1], etag='"2"')
    assert download.fetch(url, BIG).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(
    "page", [Page(CONTENT, ranges=False), Page(CONTENT, etag=""), Page(CONTENT, etag='W/"1"')]
)
def test_servers_that_cannot_resume_are_asked_again_from_the_start(
    url: str, pages: dict[str, Page], page: Page
) -> None:
    page.cuts, page.requests = [1000, 1500], []
    pages["/x.gz"] = page
    assert download.fetch(url, BIG).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(url: str, pages: dict[str, Page], root: Path) -> None:
    pages["/x.gz"].cuts = [1000, 0]
    with pytest.raises(UserError):
        download.fetch(url, BIG)
    pages["/x.gz"] = Page(CONTENT[:500])  # the same mark for other content: the server lies
    with pytest.raises(UserError, match="no more than the 1000 bytes"):
        download.fetch(url, BIG)
    assert download.fetch(url, BIG).read_bytes() == CONTENT[:500]


def test_a_wrong_range_is_answered_by_asking_for_the_whole(url: str, pages: dict[str, Page]) -> None:
    pages["/x.gz"].cuts = [1000, 0]
    pages["/x.gz"].wrong_range = True
    assert download.fetch(url, BIG).read_bytes() == CONTENT
    assert pages["/x.gz"].requests == ["", "bytes=1000-", ""]


def test_a_wrong_range_does_not_block_an_address(url: str, pages: dict[str, Page]) -> None:
    pages["/x.gz"].cuts = [1000, 0, 0, 0]
    with pytest.raises(UserError):
        download.fetch(url, BIG)
    pages["/x.gz"].wrong_range = True
    pages["/x.gz"].cuts = [0, 1000, 0, 1000, 0]
    with pytest.raises(UserError, match="ended after 1000 of 10240 bytes"):
        download.fetch(url, BIG)
    assert download.fetch(url, BIG).read_bytes() == CONTENT


@pytest.mark.parametrize("what", ["slow", "slow_head"])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(
    url: str, pages: dict[str, Page], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(download, "WINDOW", 0.1)
    setattr(pages["/x.gz"], what, 0.01)
    with pytest.raises(UserError, match="the server is too slow"):
        download.fetch(url, BIG)
    assert len(pages["/x.gz"].requests) <= download.ATTEMPTS
    setattr(pages["/x.gz"], what, 0.0)
    monkeypatch.setattr(download, "WINDOW", 60.0)
    assert download.fetch(url, BIG).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [True, False])
def test_more_than_the_limit_is_refused_and_not_kept(
    url: str, pages: dict[str, Page], root: Path, length: bool
) -> None:
    pages["/x.gz"].length = length
    with pytest.raises(UserError, match="more than the 5000"):
        download.fetch(url, 5000)
    assert "x.gz.part" not in stored(root)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_error_pages_are_not_files(url: str, pages: dict[str, Page], root: Path, status: int) -> None:
    pages["/x.gz"].status = status
    with pytest.raises(UserError, match=f"the server answers {status}"):
        download.fetch(url, BIG)
    assert stored(root) == []


def test_nobody_listens() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(UserError, match="cannot be reached"):
            download.fetch(f"http://127.0.0.1:{reserved.getsockname()[1]}/x.gz", BIG)


@pytest.mark.parametrize("bad", ["ftp://host/x", "file:///etc/passwd", "data:,x", "/etc/passwd"])
def test_only_the_web_is_fetched_from(bad: str) -> None:
    with pytest.raises(UserError, match="http"):
        download.fetch(bad, BIG)


def test_a_silent_server_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(UserError, match="cannot be reached"):
            download.fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/x.gz", BIG)


def test_two_addresses_never_share_a_part(root: Path) -> None:
    assert download._part("http://a/x.gz") != download._part("http://b/x.gz")
    assert download._part("http://a/%2e%2e/..").parent == root / ".repro" / "downloads"
