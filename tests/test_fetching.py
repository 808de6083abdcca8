"""Fetching from a server on this machine that answers as badly as servers do; no network is used."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from boda import fetching
from boda.errors import DataError, UsageError
from boda.models import published
from boda.progress import Progress

CONTENT = bytes(range(256)) * 2000
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]
QUIET = Progress(quiet=True)


class Server(BaseHTTPRequestHandler):
    """/good… the file; other paths as they say."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        Server.asked.append(self.path)
        word = self.path.split("/")[1]
        length = {"cut": len(CONTENT) + 5000, "huge": fetching.MOST + 1}.get(word, len(CONTENT))
        if word == "missing":
            self.send_error(404, "Not Found")
            return
        if word in ("moved", "circle"):
            self.send_response(302)
            name = self.path.rpartition("/")[2]
            self.send_header("Location", f"/{'good' if word == 'moved' else word}/{name}")
            self.end_headers()
            return
        if word == "elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://example.org/file.pth")
            self.end_headers()
            return
        if word == "silent":
            time.sleep(1.5)
            return
        self.send_response(200)
        if word != "endless":
            self.send_header("Content-Length", str(length))
        self.end_headers()
        try:
            for _ in range(100 if word == "drip" else 0):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.02)
            self.wfile.write(CONTENT)
        except OSError:  # the other side has given up
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Server.asked.clear()
    return tmp_path / "boda" / "weights"


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.glob("*")) if cache.exists() else []


def test_a_file_is_fetched_once(address: str, cache: Path) -> None:
    url = f"{address}/good/net-{DIGITS}.pth"
    path = fetching.fetch(url, QUIET)
    assert path == cache / f"net-{DIGITS}.pth" and path.read_bytes() == CONTENT
    assert fetching.fetch(url, QUIET) == path
    assert len(Server.asked) == 1


def test_an_address_is_one_of_the_things_that_weights_can_be(address: str, cache: Path) -> None:
    url = f"{address}/good/net-{DIGITS}.pth"
    assert published.locate(url, "lenet5", QUIET) == cache / f"net-{DIGITS}.pth"


def test_the_progress_tells_the_remaining_time() -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream)
    progress.said -= 60  # nothing was said for a minute
    progress.fetching(12_000_000, 44_700_000, 1_500_000)
    assert stream.getvalue() == " 27 %  12.0 of 44.7 MB  1.5 MB/s  22 s left\n"


def test_a_file_in_the_cache_needs_no_connection(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / f"net-{DIGITS}.pth").write_bytes(CONTENT)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/net-{DIGITS}.pth"
        assert fetching.fetch(url, QUIET).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_again(address: str, cache: Path) -> None:
    cache.mkdir(parents=True)
    path = cache / f"net-{DIGITS}.pth"
    path.write_bytes(CONTENT[:1000])
    assert fetching.fetch(f"{address}/good/net-{DIGITS}.pth", QUIET) == path
    assert path.read_bytes() == CONTENT


def test_a_redirect_is_followed(address: str) -> None:
    assert fetching.fetch(f"{address}/moved/net-{DIGITS}.pth", QUIET).read_bytes() == CONTENT
    assert Server.asked == [f"/moved/net-{DIGITS}.pth", f"/good/net-{DIGITS}.pth"]


def test_a_wrong_hash_is_told_with_both(address: str, cache: Path) -> None:
    with pytest.raises(DataError, match=f"begins with {DIGITS} and not with 0123abcd"):
        fetching.fetch(f"{address}/good/net-0123abcd.pth", QUIET)
    assert kept(cache) == []


def test_a_cut_connection_leaves_nothing(address: str, cache: Path) -> None:
    with pytest.raises(DataError, match=r"cut after 512,000 of 517,000 bytes|IncompleteRead"):
        fetching.fetch(f"{address}/cut/plain.pth", QUIET)
    assert kept(cache) == []


def test_a_file_too_large_is_not_begun(address: str, cache: Path) -> None:
    with pytest.raises(DataError, match=r"it has 4\.3 GB, more than 4\.3"):
        fetching.fetch(f"{address}/huge/plain.pth", QUIET)
    assert kept(cache) == []


def test_a_file_without_an_end_is_given_up(
    address: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MOST", 100_000)
    with pytest.raises(DataError, match="more than"):
        fetching.fetch(f"{address}/endless/plain.pth", QUIET)
    assert kept(cache) == []


def test_a_drip_is_given_up(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)
    with pytest.raises(DataError, match=r"only \d+ bytes came in 0 seconds") as error:
        fetching.fetch(f"{address}/drip/plain.pth", QUIET)
    assert kept(cache) == [] and str(cache) in str(error.value)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("missing", "the server says 404 Not Found"),
        ("circle", "its redirects lead nowhere"),
        ("silent", "no answer for 0.3 seconds"),
    ],
)
def test_one_message_says_what_to_fetch_and_where_to_put_it(
    address: str, cache: Path, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    monkeypatch.setattr(fetching, "SILENCE", 0.3)
    url = f"{address}/{path}/net-{DIGITS}.pth"
    with pytest.raises(DataError) as error:
        fetching.fetch(url, QUIET)
    for word in (url, why, f"put it into {cache} as net-{DIGITS}.pth"):
        assert word in str(error.value)
    assert kept(cache) == []


def test_where_nothing_listens_the_message_is_the_same(cache: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/net-{DIGITS}.pth"
        with pytest.raises(DataError, match=rf"Connection refused.*{cache}"):
            fetching.fetch(url, QUIET)


@pytest.mark.parametrize("url", ["http://example.org/a.pth", "ftp://here/a.pth", "file:///etc/x"])
def test_what_others_could_change_on_the_way_is_not_fetched(url: str) -> None:
    with pytest.raises(UsageError, match="only https"):
        fetching.fetch(url, QUIET)


def test_a_redirect_to_plain_http_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="only https"):
        fetching.fetch(f"{address}/elsewhere/a.pth", QUIET)
    request = urllib.request.Request("https://example.org/a.pth")
    for target in ("http://example.org/b.pth", "http://localhost/b.pth"):
        with pytest.raises(UsageError, match="not https"):
            fetching._Redirects().redirect_request(request, None, 302, "", {}, target)


def test_an_address_without_a_hash_is_taken_and_said(address: str, capsys) -> None:
    first = fetching.fetch(f"{address}/good/model.safetensors", Progress())
    assert "no hash in its name" in capsys.readouterr().err
    second = fetching.fetch(f"{address}/good/other/model.safetensors", QUIET)
    assert first != second and first.suffix == second.suffix == ".safetensors"


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("resnet18-f37072fd.pth", "f37072fd"),
        ("vgg13-19584684.pth", "19584684"),  # digits only, but no date
        ("net-20240131.pth", None),
        ("model.safetensors", None),
        ("net-abc.pth", None),
    ],
)
def test_the_hash_in_a_name(name: str, digits: str | None) -> None:
    assert fetching.hash_in(name) == digits


def test_a_name_cannot_leave_the_cache(address: str, cache: Path) -> None:
    path = fetching.fetch(f"{address}/good/..%2F..%2Fevil.pth", QUIET)
    assert path.parent == cache
