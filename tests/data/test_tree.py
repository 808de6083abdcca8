"""The one view of folders and archives: what is seen, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import pickle
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boda.data import archives
from boda.data.archives import decode_name
from boda.data.tree import open_tree
from boda.errors import DataError

Pack = Callable[[dict[str, bytes]], bytes]
FILES = {"train/고양이/1.png": b"one", "train/개/2.png": b"two" * 1000, "빈칸 있는.txt": b""}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in files.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            if isinstance(data, bytes):
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            else:
                archive.addfile(info)
    return out.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {name: entry.read() for name, entry in open_tree(path).files.items()}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.zip", zipped(FILES)),
        ("stored.zip", zipped(FILES, zipfile.ZIP_STORED)),
        ("bz.zip", zipped(FILES, zipfile.ZIP_BZIP2)),
        ("a.tar", tarred(FILES)),
        ("a.tar.gz", tarred(FILES, "w:gz")),
        ("a.tgz", tarred(FILES, "w:bz2")),  # the content decides, not the name
        ("no suffix", tarred(FILES, "w:xz")),
    ],
)
def test_archives_are_seen_like_folders(tmp_path: Path, name: str, data: bytes) -> None:
    path = write(tmp_path / name, data)
    for file, content in FILES.items():
        write(tmp_path / "unpacked" / file, content)
    assert contents(path) == contents(tmp_path / "unpacked") == FILES
    tree = open_tree(path)
    assert tree.kind == "archive"
    assert {"train", "train/고양이", "train/개"} <= tree.folders
    entry = tree.files["train/고양이/1.png"]
    assert entry.source == f"{path}/train/고양이/1.png"
    assert entry.head(2) == b"on"
    again = pickle.loads(pickle.dumps(entry))
    assert again.read() == b"one"
    assert again.stamp == entry.stamp
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: entry.read(), range(50))) == {b"one"}
    with pytest.raises(DataError, match="more than the 2"):
        entry.read(limit=2)


@pytest.mark.parametrize(
    ("archive", "members", "seen"),
    [
        ("train.zip", ["cat/1.png"], "train/cat/1.png"),
        ("train.zip", ["train/cat/1.png"], "train/cat/1.png"),
        ("Train.zip", ["train/cat/1.png"], "train/cat/1.png"),
        ("sub/small1.zip", ["A/c/1.png", "B/c/1.png"], "sub/small1/A/c/1.png"),
    ],
)
def test_an_archive_in_a_folder_appears_where_unpacking_would_put_it(
    tmp_path: Path, archive: str, members: list[str], seen: str
) -> None:
    write(tmp_path / archive, zipped(dict.fromkeys(members, b"x")))
    tree = open_tree(tmp_path)
    assert seen in tree.files
    assert len(tree.files) == len(members)
    assert tree.files[seen].source.startswith(f"{tmp_path}/{archive}/")


def test_an_archive_beside_its_unpacked_folder_is_not_read_twice(tmp_path: Path) -> None:
    write(tmp_path / "train.zip", zipped({"cat/1.png": b"x"}))
    write(tmp_path / "train/cat/1.png", b"x")
    write(tmp_path / "all.tar.gz", tarred({"train/cat/1.png": b"x"}, "w:gz"))
    tree = open_tree(tmp_path)
    assert list(tree.files) == ["train/cat/1.png"]
    assert [problem.severity for problem in tree.problems] == ["warning", "warning"]
    assert "unpacked beside itself" in tree.problems[0].why


def test_other_zip_formats_in_a_folder_are_files(tmp_path: Path) -> None:
    write(tmp_path / "weights.npz", zipped({"a.npy": b"x"}))
    assert list(open_tree(tmp_path).files) == ["weights.npz"]


def test_hidden_and_system_files_are_ignored(tmp_path: Path) -> None:
    junk = ["__MACOSX/a/._1.png", ".DS_Store", "a/Thumbs.db", "a/.hidden.png", ".git/x.png"]
    for name in [*junk, "a/1.png"]:
        write(tmp_path / "folder" / name, b"x")
    write(tmp_path / "a.zip", zipped(dict.fromkeys([*junk, "a/1.png"], b"x")))
    assert list(open_tree(tmp_path / "folder").files) == ["a/1.png"]
    assert list(open_tree(tmp_path / "a.zip").files) == ["a/1.png"]


def test_names_are_compared_composed_and_opened_as_they_are(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "고양이")
    write(tmp_path / decomposed / "하나.png", b"d")
    assert contents(tmp_path) == {"고양이/하나.png": b"d"}
    write(tmp_path / "고양이" / "하나.png", b"c")  # both spellings: neither is lost
    assert sorted(contents(tmp_path).values()) == [b"c", b"d"]


def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/" + "고양이.png".encode("cp949")
    try:
        with open(raw, "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("this file system holds UTF-8 only")
    assert contents(tmp_path) == {"고양이.png": b"x"}


def cp949_zip(name: str) -> bytes:
    """A .zip as Korean Windows writes it: CP949 names and no flag that says so."""
    raw = name.encode("cp949")
    placeholder = "x" * len(raw)
    return zipped({placeholder: b"x"}).replace(placeholder.encode(), raw)


def test_korean_windows_zip_members(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", cp949_zip("훈련/고양이/사진 1.png"))
    assert contents(path) == {"훈련/고양이/사진 1.png": b"x"}


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("고양이.png".encode("cp949"), "고양이.png"),
        ("고양이.png".encode(), "고양이.png"),
        (unicodedata.normalize("NFD", "고양이").encode(), "고양이"),
        ("Müller.png".encode("cp437"), "Müller.png"),
        (b"plain.png", "plain.png"),
    ],
)
def test_names_without_an_encoding(raw: bytes, name: str) -> None:
    assert decode_name(raw) == name


OUTSIDE = ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:\\evil.png"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_members_outside_the_archive(tmp_path: Path, name: str, pack: Pack) -> None:
    path = write(tmp_path / "bad.archive", pack({"ok.png": b"x", name: b"x"}))
    with pytest.raises(DataError, match=r"outside .* folder") as caught:
        open_tree(path)
    (problem,) = caught.value.problems
    assert problem.file.startswith(f"{path}/")
    assert "evil.png" in problem.file
    assert problem.fix


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.FIFOTYPE, "device"),
    ],
)
def test_tar_links_and_devices(tmp_path: Path, kind: bytes, what: str) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.linkname = kind, "/etc/passwd"
    path = write(tmp_path / "a.tar", tarred({"cat/1.png": member}))
    with pytest.raises(DataError, match=f"1.png: is a {what}"):
        open_tree(path)


def test_zip_links(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cat/1.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"cat/1.png: is a link"):
        open_tree(tmp_path / "a.zip")


def test_encrypted_zip(tmp_path: Path) -> None:
    data = bytearray(zipped({"cat/1.png": b"x"}))
    data[6] |= 1
    data[data.find(b"PK\1\2") + 8] |= 1
    path = write(tmp_path / "a.zip", bytes(data))
    with pytest.raises(DataError, match=r"cat/1.png: is encrypted.*password"):
        open_tree(path)


def test_unknown_compression_names_the_member(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", zipped({"1.png": b"x"}, zipfile.ZIP_LZMA))
    with pytest.raises(DataError, match=r"a.zip/1.png: is packed with method 14.*repack"):
        open_tree(path)


def test_zip_bomb_is_never_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boda.data.entries.BOMB_FLOOR", 1 << 16)
    path = write(tmp_path / "a.zip", zipped({"1.png": bytes(1 << 20)}))
    with pytest.raises(DataError, match=r"a.zip/1.png.*decompression bomb"):
        open_tree(path).files["1.png"].read()


def test_zip_that_lies_about_a_size(tmp_path: Path) -> None:
    """The directory says 3 bytes, the stream has a million: no more than 4 are made of it."""
    data = zipped({"1.png": bytes(1 << 20)})
    lie = data.replace(struct.pack("<L", 1 << 20), struct.pack("<L", 3))
    path = write(tmp_path / "a.zip", lie)
    with pytest.raises(DataError, match=r"a.zip/1.png.*directory says"):
        open_tree(path).files["1.png"].read()


def test_overlapping_zip_members(tmp_path: Path) -> None:
    data = zipped({"1.png": os.urandom(1000)})
    at = data.find(b"PK\1\2")
    end = data.find(b"PK\5\6")
    record = data[at:end]
    tail = bytearray(data[end:])
    tail[8:12] = struct.pack("<HH", 9, 9)
    tail[12:16] = struct.pack("<L", 9 * len(record))
    path = write(tmp_path / "a.zip", data[:at] + record * 9 + bytes(tail))
    with pytest.raises(DataError, match="overlap"):
        open_tree(path)


def test_corrupt_zip_member(tmp_path: Path) -> None:
    data = bytearray(zipped({"cat/1.png": b"a picture"}, zipfile.ZIP_STORED))
    data[data.find(b"a picture")] ^= 1
    path = write(tmp_path / "a.zip", bytes(data))
    with pytest.raises(DataError, match=r"a.zip/cat/1.png.*CRC.*get it again"):
        open_tree(path).files["cat/1.png"].read()


@pytest.mark.parametrize(
    "data",
    [
        zipped({"1.png": os.urandom(5000)})[:3000],
        tarred({"1.png": os.urandom(5000)})[:3000],
        tarred({"1.png": bytes(512), "2.png": b"x"})[: 512 * 3],  # cut between two members
        tarred({"1.png": os.urandom(5000)}, "w:gz")[:3000],
        tarred({"1.png": os.urandom(50000)}, "w:bz2")[:30000],
        tarred({"1.png": os.urandom(5000)}, "w:xz")[:3000],
    ],
    ids=["a.zip", "a.tar", "members.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"],
)
def test_truncated_archives(tmp_path: Path, data: bytes, request: pytest.FixtureRequest) -> None:
    path = write(tmp_path / request.node.callspec.id, data)
    with pytest.raises(DataError, match=r"(truncated|ends in the middle).*again"):
        open_tree(path)


def test_broken_tar_header_in_the_middle(tmp_path: Path) -> None:
    data = bytearray(tarred({"1.png": b"x", "2.png": b"y"}))
    data[1024 + 150] ^= 0xFF  # the second header's checksum
    with pytest.raises(DataError, match="truncated or damaged at byte 1,024"):
        open_tree(write(tmp_path / "a.tar", bytes(data)))


def test_compressed_tar_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "BOMB_FLOOR", 1 << 16)
    path = write(tmp_path / "a.tar.gz", tarred({"1.png": bytes(8 << 20)}, "w:gz"))
    with pytest.raises(DataError, match="decompression bomb"):
        open_tree(path)


def test_compressed_tar_beyond_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MEMORY_LIMIT", 1000)
    path = write(tmp_path / "a.tar.gz", tarred({"1.png": os.urandom(2000)}, "w:gz"))
    with pytest.raises(DataError, match=r"1,000 bytes of memory.*repack it as \.zip"):
        open_tree(path)


def test_repeated_member_is_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("1.png", b"old")
            archive.writestr("1.png", b"new")
    tree = open_tree(write(tmp_path / "a.zip", data.getvalue()))
    assert tree.files["1.png"].read() == b"new"
    assert "more than once" in tree.problems[0].why


def test_other_compressed_files_are_files(tmp_path: Path) -> None:
    for name, data in (("a.gz", gzip.compress(b"x" * 999)), ("a.bz2", bz2.compress(b"x" * 999))):
        tree = open_tree(write(tmp_path / name, data))
        assert (tree.kind, list(tree.files)) == ("file", [name])


def test_a_path_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "flowers").mkdir()
    with pytest.raises(DataError, match=r"flwers: there is nothing.*Did you mean .*flowers\?"):
        open_tree(tmp_path / "flwers")
    with pytest.raises(DataError, match="nothing at this path"):
        open_tree(tmp_path / "no" / "such" / "place")
    write(tmp_path / "file.txt", b"x")
    with pytest.raises(DataError, match="is a file, not a folder"):
        open_tree(tmp_path / "file.txt" / "below")


def test_links_in_folders(tmp_path: Path) -> None:
    write(tmp_path / "a/1.png", b"x")
    try:
        (tmp_path / "a/loop").symlink_to(tmp_path)
        (tmp_path / "a/broken.png").symlink_to(tmp_path / "gone")
    except OSError:
        pytest.skip("no links here")
    tree = open_tree(tmp_path)
    assert set(tree.files) == {"a/1.png", "a/broken.png"}
    with pytest.raises(DataError, match=r"broken.png: cannot be read"):
        tree.files["a/broken.png"].read()


def test_stamps_change_with_the_content(tmp_path: Path) -> None:
    path = write(tmp_path / "1.png", b"x")
    before = open_tree(tmp_path).files["1.png"].stamp
    path.write_bytes(b"xy")
    assert open_tree(tmp_path).files["1.png"].stamp != before


@pytest.mark.parametrize("pack", [zipped, tarred, lambda files: tarred(files, "w:gz")])
def test_damage_anywhere_is_a_data_error(tmp_path: Path, pack: Pack) -> None:
    sound = pack(FILES)
    path = tmp_path / "fuzzed"

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.tuples(st.integers(0, len(sound) - 1), st.integers(0, 255)), max_size=6),
        st.integers(1, len(sound)),
    )
    def run(changes: list[tuple[int, int]], length: int) -> None:
        data = bytearray(sound)
        for at, value in changes:
            data[at] = value
        path.write_bytes(bytes(data[:length]))
        try:
            contents(path)
        except DataError as error:
            assert str(path) in str(error)

    run()


def test_crc_is_what_zlib_says(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar.gz", tarred({"1.png": b"abc"}, "w:gz"))
    assert open_tree(path).files["1.png"].stamp[-1] == zlib.crc32(b"abc")


def test_a_linked_folder_is_read_beside_the_real_one(tmp_path: Path) -> None:
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "1.png").write_bytes(b"x")
    (tmp_path / "val").symlink_to("train")
    (tmp_path / "train" / "round").symlink_to(tmp_path)  # leads back: not followed for ever
    assert {"train/cat/1.png", "val/cat/1.png"} <= set(open_tree(tmp_path).files)
