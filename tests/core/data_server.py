"""A small web server with bad manners on request, and a small checkout, for the tests of shared.data."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import yaml

from shared.data import readers
from shared.data.digest import folder_md5

NOWHERE = "http://127.0.0.1:9/x"  # the discard port: nobody listens


@dataclass
class Page:
    """What the server has under one path, and how it behaves."""

    content: bytes
    etag: str = '"1"'
    ranges: bool = True
    status: int = 200
    #: Bytes after which the connection is cut, one entry per request; later requests are served whole.
    cuts: list[int] = field(default_factory=list)
    length: bool = True
    #: Seconds between one byte and the next, of the answer's head or of the content; 0 sends all at once.
    slow_head: float = 0.0
    slow: float = 0.0
    wrong_range: bool = False
    requests: list[str] = field(default_factory=list)  # the Range header of every request


class _Handler(BaseHTTPRequestHandler):
    pages: dict[str, Page]

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        if page is None or page.status >= 400:
            self.send_error(404 if page is None else page.status)
            return
        page.requests.append(self.headers.get("Range", ""))
        start = self._start(page)
        if start > len(page.content) or (start and start == len(page.content)):
            self.send_error(416)
            return
        if page.slow_head:
            self._send_slowly(b"HTTP/1.0 200 OK\r\nX: " + bytes(5000), page.slow_head)
            return
        self.send_response(206 if start else 200)
        body = page.content[start:]
        if start:
            first = start + 1 if page.wrong_range else start
            self.send_header("Content-Range", f"bytes {first}-{len(page.content) - 1}/{len(page.content)}")
        if page.length:
            self.send_header("Content-Length", str(len(body)))
        if page.etag:
            self.send_header("ETag", page.etag)
        self.end_headers()
        body = body[: page.cuts.pop(0)] if page.cuts else body
        self.close_connection = True
        if page.slow:
            self._send_slowly(body, page.slow)
        else:
            self.wfile.write(body)

    def _send_slowly(self, content: bytes, pause: float) -> None:
        with contextlib.suppress(OSError):  # whoever asked has had enough
            for place in range(len(content)):
                self.wfile.write(content[place : place + 1])
                time.sleep(pause)

    def _start(self, page: Page) -> int:
        wanted = self.headers.get("Range", "")
        if not page.ranges or not wanted or self.headers.get("If-Range") != page.etag:
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve(pages: dict[str, Page]) -> Iterator[str]:
    """Serve ``pages`` (path -> page) on this machine; yields the address."""
    handler = type("Handler", (_Handler,), {"pages": pages})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def arrays() -> dict[str, np.ndarray]:
    """The files of the set ``tiny``, as arrays."""
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (9, 5, 5)).astype(np.uint8)
    labels = (np.arange(9) % 3).astype(np.uint8)
    return {"train-i": images[:6], "train-l": labels[:6], "test-i": images[6:], "test-l": labels[6:]}


def files() -> dict[str, bytes]:
    """The files of the set ``tiny``, as bytes."""
    return {name: readers.idx_bytes(array) for name, array in arrays().items()}


def facts(content: bytes) -> dict[str, object]:
    """Entry of a file in datasets.yaml."""
    return {
        "size": len(content),
        "md5": hashlib.md5(content).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def catalogue(sources: list[str]) -> dict[str, dict]:
    """A catalogue with one downloaded set, ``tiny``."""
    entries = {name: {"from": f"{name}.gz", **facts(content)} for name, content in files().items()}
    tiny = {
        "title": "Tiny",
        "path": "data/tiny",
        "checksum": folder_md5({name: entry["md5"] for name, entry in entries.items()}),
        "format": "idx",
        "shape": [1, 5, 5],
        "classes": [0, 1, 2],
        "sources": sources,
        "downloads": {f"{name}.gz": {} for name in entries},
        "files": entries,
        "splits": {"train": ["train-i", "train-l"], "test": ["test-i", "test-l"]},
    }
    return {"tiny": tiny}


def checkout(folder: Path, entries: dict[str, dict]) -> Path:
    """A folder that looks like this repository, with a catalogue of its own."""
    (folder / "pipelines").mkdir(parents=True, exist_ok=True)
    (folder / "datasets.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    return folder


def mirror(folder: Path) -> Path:
    """A mirror folder that holds the set ``tiny``."""
    (folder / "tiny").mkdir(parents=True)
    for name, content in files().items():
        (folder / "tiny" / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def leftovers(root: Path) -> list[str]:
    """Files and folders under data/ and in the store's downloads that are not part of a finished set."""
    found = [p for p in (root / "data").glob("*") if p.name != "tiny"] if (root / "data").exists() else []
    return sorted(p.name for p in (*found, *(root / ".repro" / "downloads").glob("*")))
