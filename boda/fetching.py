"""Files from the web: fetched once, over HTTPS, checked against the hash in their name, and kept.

A file that others publish under a name with eight or more hexadecimal digits behind a hyphen, such
as ``resnet18-f37072fd.pth``, has a SHA-256 that begins with them. It is kept in the user's cache
folder, and found there the next time without a connection.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import boda
from boda.errors import DataError, UsageError
from boda.files import cache_folder, replacing
from boda.progress import Progress

MOST = 4 << 30  # bytes; the largest of the files that classify has 0.6 GB
SILENCE = 20.0  # seconds without a byte after which a connection is given up
PATIENCE = 60.0  # seconds in which a transfer has to bring at least …
LEAST = 60_000  # … so many bytes
CHUNK = 1 << 20
HERE = ("localhost", "127.0.0.1", "::1")
DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")


def folder() -> Path:
    """Where fetched files are kept."""
    return cache_folder() / "weights"


def fetch(url: str, progress: Progress) -> Path:
    """The file behind ``url``, from the user's cache where it is there already.

    Raises:
        UsageError: the address is neither https nor http to this very machine.
        DataError: it cannot be fetched, is cut short, too large, or its hash is not that of its
            name. Nothing is kept then.
    """
    _refuse_unsafe(url)
    path = folder() / _name(url)
    expected = hash_in(path.name)
    if path.is_file():
        if expected is None or sha256(path).startswith(expected):
            return path
        progress.say(f"{path} is damaged, or another file: it is fetched again")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _transfer(url, path, expected, progress)
    except (OSError, http.client.HTTPException) as error:
        if not isinstance(error, urllib.error.URLError) and getattr(error, "filename", None):
            raise  # of our own folder: no room, no right to write
        raise DataError(
            f"it cannot be fetched ({_reason(error)})",
            file=url,
            fix=f"Fetch it where that is possible and put it into {path.parent} as {path.name}.",
        ) from None
    if expected is None:
        progress.say(f"{url} has no hash in its name: it was taken as it came")
    return path


def hash_in(name: str) -> str | None:
    """The beginning of the SHA-256 that a file's name tells, else None; a date is none."""
    found = re.search(r"-([0-9a-f]{8,64})(\.[a-z0-9]+)+$", name)
    return found[1] if found and not DATE.fullmatch(found[1]) else None


def sha256(path: Path) -> str:
    """The hash of a file, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _transfer(url: str, path: Path, expected: str | None, progress: Progress) -> None:
    """Bring the bytes to ``path``, whole and checked, or raise."""
    request = urllib.request.Request(url, headers={"User-Agent": f"boda/{boda.__version__}"})
    with (
        _opener(url).open(request, timeout=SILENCE) as answer,
        progress.working(f"fetching {path.name}"),
        replacing(path) as temporary,
    ):
        length = answer.headers.get("Content-Length") or ""
        total = int(length) if length.isdecimal() else 0
        if total > MOST:
            raise _refused(url, f"it has {total / 1e9:.1f} GB, more than {MOST / 1e9:.1f}")
        hashed = hashlib.sha256()
        with open(temporary, "xb") as file:
            done = _copy(url, answer, file, hashed, total, progress)
        if done < total:
            raise _refused(url, f"the connection was cut after {done:,} of {total:,} bytes")
        found = hashed.hexdigest()
        if expected is not None and not found.startswith(expected):
            raise _refused(
                url,
                f"its SHA-256 begins with {found[: len(expected)]} and not with {expected}, as its name says",
            )


def _copy(
    url: str, answer: Any, file: IO[bytes], hashed: Any, total: int, progress: Progress
) -> int:
    """Every byte of the answer into file and hash; how many there were."""
    began = since = time.monotonic()
    done = before = 0
    while data := answer.read1(CHUNK):  # what is there, so that a drip is noticed
        file.write(data)
        hashed.update(data)
        done += len(data)
        if done > MOST:
            raise _refused(url, f"it has more than {MOST / 1e9:.1f} GB")
        now = time.monotonic()
        progress.fetching(done, total, done / max(now - began, 1e-3))
        if now - since > PATIENCE:
            if done - before < LEAST:
                raise OSError(f"only {done - before:,} bytes came in {now - since:.0f} seconds")
            since, before = now, done
    return done


def _refused(url: str, why: str) -> DataError:
    return DataError(
        f"{why}; nothing was kept", file=url, fix="Try again, or name a file of your own."
    )


def _refuse_unsafe(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in HERE):
        return
    raise UsageError(
        f"{url} is not fetched: only https keeps others from changing what comes. "
        "Fetch it yourself and name the file."
    )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where the next address is as safe as the last."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if before.scheme == "https" and after.scheme != "https":
            raise UsageError(f"{req.full_url} leads to {newurl}, which is not https: not fetched.")
        _refuse_unsafe(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Opens addresses; a proxy stands between us and the world, but not between us and ourselves."""
    proxies = [urllib.request.ProxyHandler({})] if urlsplit(url).hostname in HERE else []
    return urllib.request.build_opener(_Redirects, *proxies)


def _reason(error: Exception) -> str:
    """Why it did not work, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        if 300 <= error.code < 400:
            return "its redirects lead nowhere"
        return f"the server says {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer for {SILENCE:g} seconds"
    text = getattr(cause, "strerror", None) or str(cause)
    return text.split("\n")[0] or type(cause).__name__


def _name(url: str) -> str:
    """The name in the cache: the address's own; where that tells no hash, with one of the address."""
    last = unquote(urlsplit(url).path).rpartition("/")[2]
    name = re.sub(r"[^\w.+-]", "_", last).lstrip(".")[-100:] or "file"
    if hash_in(name):
        return name
    stem, dot, suffix = name.partition(".")
    return f"{stem}-of-{hashlib.sha256(url.encode()).hexdigest()[:6]}{dot}{suffix}"
