"""Downloads that resume, show progress, and never take more than they were promised."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import is_unwritable, named, write_atomic

_AGENT = "equivariance-reproductions (data set download)"
_BLOCK = 1 << 18
#: Seconds without a byte before a connection is given up.
TIMEOUT = 30.0
#: A connection that brings less than so many bytes in so many seconds is cut, however often one arrives.
SLOWEST, WINDOW = 1 << 14, 60.0
#: Connections in one call, as long as each brings something.
ATTEMPTS = 4


def fetch(url: str, limit: int, progress: bool = True) -> Path:
    """Download ``url`` and return the complete file, which the caller deletes when done with it.

    A broken connection is taken up again where it stopped, also by a later call or after a kill: the part
    lies in the store (.repro/downloads) with the server's mark of the version, and is thrown away when that
    has changed. The content is not checked here beyond its length.

    Args:
        url: http or https.
        limit: bytes; a larger file is refused without being read.
        progress: show a bar, if standard error is a terminal.

    Raises:
        UserError: if the server cannot be reached, refuses, is too slow, or sends less or more than it says.
        OSError: if the part cannot be written; what there was of it is removed.
    """
    try:
        known = urlsplit(url).scheme in ("http", "https")
    except ValueError:
        known = False
    if not known:
        raise UserError(f"{url} is not an address that begins with http:// or https://")
    part = _part(url)
    part.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(part)
        try:
            _transfer(url, part, limit, progress)
            break
        except urllib.error.HTTPError as error:
            error.close()
            raise UserError(f"the server answers {error.code} {error.reason}") from None
        except _Broken as error:
            if attempt == ATTEMPTS or (_size(part) <= before and not error.again):
                raise UserError(f"{error}; run it again to go on from there") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, OSError) and is_unwritable(error, part.parent):
                part.unlink(missing_ok=True)  # it may be what fills the disk
                _mark(part).unlink(missing_ok=True)
                raise
            raise UserError(f"it cannot be reached ({getattr(error, 'reason', error)})") from None
    done = part.with_name(part.name.removesuffix(".part"))
    part.replace(done)
    _mark(part).unlink(missing_ok=True)
    return done


class _Broken(Exception):
    """The connection ended before the file did; what has arrived is kept.

    Args:
        sentence: what happened.
        again: whether to ask again although nothing has arrived.
    """

    def __init__(self, sentence: str, again: bool = False) -> None:
        super().__init__(sentence)
        self.again = again


class Line:
    """One connection with somebody who watches it: it is cut if it brings too little.

    A time limit of a socket counts from the last byte, so a server that sends one byte now and then, be it of
    a header, would hold it for ever.

    Attributes:
        brought: bytes of content that have arrived.
        is_cut: whether it was too slow.
    """

    def __init__(self) -> None:
        self.brought, self.is_cut = 0, False
        self._sockets: list[socket.socket] = []
        self._ended = threading.Event()

    def __enter__(self) -> Line:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def open(self, request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
        """As ``urllib.request.urlopen``, by http and https only, also where the server sends us elsewhere."""
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.UnknownHandler(),
            *_handlers(self._known),
        ):
            opener.add_handler(handler)
        return opener.open(request, timeout=timeout)

    def _known(self, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
        """The connection, of which every socket is known as soon as there is one."""
        create, connect = connection._create_connection, connection.connect  # type: ignore[attr-defined]

        def create_known(*arguments: Any, **options: Any) -> socket.socket:
            made = create(*arguments, **options)
            self._sockets.append(made)
            return made

        def connect_known() -> None:
            connect()
            self._sockets.append(connection.sock)  # another one for https, around the first

        connection._create_connection = create_known  # type: ignore[attr-defined]
        connection.connect = connect_known  # type: ignore[method-assign]
        return connection

    def _watch(self) -> None:
        before = 0
        while not self._ended.wait(WINDOW):
            if self.brought - before < SLOWEST:
                self.is_cut = True
                for each in tuple(self._sockets):
                    with contextlib.suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
            before = self.brought


def _handlers(known: Callable[[http.client.HTTPConnection], Any]) -> Iterator[urllib.request.BaseHandler]:
    """Handlers of http and https whose connections are made known."""
    for kind in (urllib.request.HTTPHandler, urllib.request.HTTPSHandler):

        class Handler(kind):  # type: ignore[misc, valid-type]
            def do_open(self, make: Callable[..., Any], request: Any, **options: Any) -> Any:
                return super().do_open(lambda *a, **o: known(make(*a, **o)), request, **options)

        yield Handler()


def _part(url: str) -> Path:
    """Where the unfinished file of this address lies; two addresses never share one."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", urlsplit(url).path.rsplit("/", 1)[-1])[-100:] or "file"
    return paths.store() / "downloads" / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}.part"


def _mark(part: Path) -> Path:
    """File beside the part that holds the server's mark (ETag or date) of the version it is a part of."""
    return part.with_suffix(".mark")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, part: Path, limit: int, progress: bool) -> None:
    """One connection: ask for what is missing, append it to the part."""
    mark = _mark(part).read_text() if _mark(part).exists() else ""
    start = _size(part) if mark else 0
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", mark)  # a changed file comes whole, with status 200
    with Line() as line:
        _receive(line, request, part, start, limit, progress)


def _receive(
    line: Line, request: urllib.request.Request, part: Path, start: int, limit: int, progress: bool
) -> None:
    """Ask, and append what is sent to the part, of which ``start`` bytes are here."""
    try:
        response = line.open(request, TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise
        error.close()
        part.unlink()  # the part is as long as the file or longer: not a part of it
        raise _Broken(f"the server has no more than the {start} bytes that are here") from None
    except (OSError, http.client.HTTPException, ValueError):
        if line.is_cut:
            raise _Broken("the server is too slow to answer") from None
        raise
    with response:
        if not _continues(response, start):
            part.unlink(missing_ok=True)
            _mark(part).unlink(missing_ok=True)
            raise _Broken(
                "the server sends another part of the file than it was asked for", again=bool(start)
            )
        start = start if response.status == 206 else 0
        total = _total(response, start)
        if total is not None and total > limit:
            part.unlink(missing_ok=True)
            raise UserError(f"it has {total} bytes, more than the {limit} that are expected")
        _keep_mark(response, part)
        with named(part), open(part, "ab") as file:
            file.truncate(start)
            _copy(line, response, file, part, start, total, limit, progress)


def _continues(response: http.client.HTTPResponse, asked: int) -> bool:
    """Whether the server sends the whole file, or the rest of it from the byte that it was asked for."""
    if response.status != 206:
        return True
    first = re.match(r"bytes ([0-9]{1,18})-", response.headers.get("Content-Range", ""))
    return bool(asked and first and int(first[1]) == asked)


def _total(response: http.client.HTTPResponse, start: int) -> int | None:
    """Length of the whole file, if the server says it."""
    length = response.headers.get("Content-Length", "")
    return start + int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None


def _keep_mark(response: http.client.HTTPResponse, part: Path) -> None:
    """Remember the version, so that a later call can go on; a weak ETag does not promise equal bytes."""
    tag = response.headers.get("ETag", "")
    mark = response.headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
    if mark:
        write_atomic(_mark(part), mark)
    else:
        _mark(part).unlink(missing_ok=True)


def _copy(
    line: Line,
    response: http.client.HTTPResponse,
    file: IO[bytes],
    part: Path,
    start: int,
    total: int | None,
    limit: int,
    progress: bool,
) -> None:
    """Append what the server sends; the bar shows it on a terminal only."""
    from tqdm import tqdm  # here, so that reading the catalogue does not need it

    done = start
    name = part.name.removesuffix(".part")
    hidden = None if progress else True
    with tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=name, disable=hidden) as bar:
        while True:
            try:
                block = response.read1(_BLOCK)
            except (OSError, http.client.HTTPException, ValueError) as error:
                if line.is_cut:
                    break
                raise _Broken(f"the connection broke after {done} bytes ({error})") from None
            if not block:
                break
            done += len(block)
            line.brought += len(block)
            if done > limit:
                part.unlink()
                raise UserError(f"it sends more than the {limit} bytes that are expected")
            file.write(block)
            bar.update(len(block))
    if line.is_cut:
        raise _Broken(f"the server is too slow ({done} bytes so far)")
    if total is not None and done < total:
        raise _Broken(f"the connection ended after {done} of {total} bytes")
