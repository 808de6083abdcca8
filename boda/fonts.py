"""A font that has the characters: Pillow's own for plain English, the system's for Hangul.

Pillow draws an empty box for a character that a font lacks, and says nothing. So the characters
are looked for before drawing; where no font has them, the class number is drawn and one hint is
logged (logger ``boda``). ``BODA_FONT`` names a font file to try first.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import unicodedata
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Place = tuple[str, int]  # file, index of the face in it; ("", 0) is Pillow's own font

# File names that begin like this hold Hangul; the order is the order of preference. The last line
# is for other scripts where there is no fontconfig to ask (macOS, Windows).
WITH_HANGUL = (
    "Pretendard-Regular", "PretendardVariable", "NotoSansKR", "NotoSansCJKkr-R", "NotoSansCJK-R",
    "SourceHanSansK", "AppleSDGothicNeo", "malgun.", "NanumGothic.", "NanumBarunGothic.",
    "NanumSquareR", "SpoqaHanSans", "IBMPlexSansKR-R", "UnDotum.", "gulim", "batang",
    "Arial Unicode", "PingFang", "Hiragino", "msyh.", "YuGothR", "seguisym", "Nirmala",
)  # fmt: skip
HINT = (
    "No font on this computer has the characters of some class names, so pictures show class "
    "numbers instead. Install one (Debian, Ubuntu: apt install fonts-nanum) or set BODA_FONT to a "
    "font file."
)


def font_for(text: str, size: int) -> Font | None:
    """A font that has every visible character of ``text``.

    Args:
        text: what is to be drawn; compared in NFC, so draw ``nfc(text)``.
        size: height of the font in pixels.

    Returns:
        The font, or None where no font on this computer has all the characters.
    """
    place = _place_for(frozenset(_visible(nfc(text))))
    return None if place is None else _open(place, size)


def label_font(name: str, number: int, size: int) -> tuple[str, Font]:
    """What to draw for a class, and with which font.

    Args:
        name: the class's name.
        number: the class's index, drawn as ``class 3`` where no font has the name's characters.
        size: height of the font in pixels.

    Returns:
        The text and its font. The first time a number must stand for a name, one hint is logged.
    """
    return text_font(name, f"class {number}", size)


def text_font(text: str, instead: str, size: int) -> tuple[str, Font]:
    """``text`` with a font that has it; else, with one hint, ``instead`` (plain ASCII)."""
    # Tabs, line breaks and controls would be drawn as boxes.
    text = "".join(" " if c.isspace() else c for c in nfc(text))
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cf"))
    font = font_for(text, size)
    if font is not None:
        return text, font
    _hint_once()
    return instead, _open(("", 0), size)


def nfc(text: str) -> str:
    """``text`` composed: macOS spells 고양이 in single letters, which fonts do not join."""
    return unicodedata.normalize("NFC", text)


@lru_cache(maxsize=1)
def _hint_once() -> None:
    logging.getLogger("boda").warning(HINT)


def _visible(text: str) -> list[str]:
    """The characters that leave ink: no spaces, no controls, and none that only direct others."""
    return [c for c in text if unicodedata.category(c) not in ("Zs", "Zl", "Zp", "Cc", "Cf")]


@lru_cache(maxsize=1024)
def _place_for(characters: frozenset[str]) -> Place | None:
    for place in _places():
        if _has_all(place, characters):
            return place
    for place in _fontconfig(characters):
        if _has_all(place, characters):
            return place
    return None


def _has_all(place: Place, characters: frozenset[str]) -> bool:
    return all(_has(place, c) for c in characters)


@lru_cache(maxsize=16384)
def _has(place: Place, character: str) -> bool:
    """Whether a font has this character: an absent one comes out as its "missing" glyph."""
    if unicodedata.category(character) == "Cs":
        return False  # half a character, from a broken path; some fonts draw a sign for it
    try:
        font = _open(place, 24)
        # U+10FFFF is no character and never will be: what is drawn for it is the missing glyph.
        return _glyph(font, character) != _glyph(font, "\U0010ffff")
    except (OSError, ValueError):
        return False  # not a font after all, or a kind that FreeType cannot scale


def _glyph(font: Font, character: str) -> tuple[bytes, float]:
    # The width is compared as well: in some fonts the missing glyph is empty.
    return bytes(font.getmask(character)), font.getlength(character)


@lru_cache(maxsize=64)
def _open(place: Place, size: int) -> Font:
    file, index = place
    if not file:
        return ImageFont.load_default(size)
    font = ImageFont.truetype(file, size, index)
    try:  # a variable font opens at its lightest, hard to read when small: ask for 400, regular
        axes = font.get_variation_axes()
        wanted = [_axis_value(axis) for axis in axes]
        font.set_variation_by_axes(wanted)
    except (OSError, NotImplementedError):
        pass  # not variable
    return font


def _axis_value(axis: ImageFont.Axis) -> float:
    name = axis["name"]
    weight = (name or b"").decode("ascii", "replace").lower() == "weight"
    low, high = float(axis["minimum"] or 0), float(axis["maximum"] or 0)
    return min(max(400.0, low), high) if weight else float(axis["default"] or 0)


@lru_cache(maxsize=1)
def _places() -> tuple[Place, ...]:
    """Fonts to try: Pillow's own, the one matplotlib brings, the system's with Hangul."""
    places: list[Place] = [("", 0)]
    if os.environ.get("BODA_FONT"):
        places.insert(0, (os.environ["BODA_FONT"], 0))
    spec = importlib.util.find_spec("matplotlib")  # found without being imported: half a second
    if spec and spec.origin:
        dejavu = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        places += [(str(dejavu), 0)] if dejavu.is_file() else []
    ranked: list[tuple[int, str]] = []
    for folder in _font_folders():
        for root, _, names in os.walk(folder):
            for name in names:
                starts = [i for i, start in enumerate(WITH_HANGUL) if name.startswith(start)]
                if starts and name.lower().endswith((".ttf", ".otf", ".ttc")):
                    ranked.append((starts[0], str(Path(root, name))))
    places += [(file, 0) for _, file in sorted(ranked)]
    return tuple(places)


def _font_folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        folders = [Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts")]
        local = os.environ.get("LOCALAPPDATA")
        return folders + ([Path(local, "Microsoft/Windows/Fonts")] if local else [])
    if sys.platform == "darwin":
        return [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    folders = [home / ".local/share/fonts", home / ".fonts"]
    return [*folders, Path("/usr/local/share/fonts"), Path("/usr/share/fonts")]


@lru_cache(maxsize=64)
def _fontconfig(characters: frozenset[str]) -> tuple[Place, ...]:
    """Fonts that have these characters, by the word of ``fc-list`` where there is one."""
    tool = shutil.which("fc-list")
    if tool is None or not characters:
        return ()
    charset = " ".join(f"{ord(c):x}" for c in sorted(characters))
    command = [tool, "-f", "%{file}\t%{index}\t%{style}\n", f":charset={charset}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ()
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    # Upright and regular first; the upper half of an index names a variable font's instance.
    rows = [row for row in rows if len(row) == 3 and row[1].isdigit()]
    rows.sort(key=lambda row: ("Regular" not in row[2] and "Book" not in row[2], row[0]))
    return tuple((row[0], int(row[1]) & 0xFFFF) for row in rows[:10])
