"""Small pieces of HTML that the report's sections share; ``esc`` guards every foreign text."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import unicodedata
from typing import Any

import numpy as np
from PIL import Image

LONGEST = 200  # characters of one text: a name that is longer is not a name
THUMB = 160  # pixels, longer side
PIXELATED = 64  # up to here a picture is shown in hard-edged pixels
# Codes that HTML does not allow in a text; tab, line feed and carriage return are.
CONTROLS = {code: "\ufffd" for code in (*range(9), 11, 12, *range(14, 32), 127)}


def esc(value: object) -> str:
    """Any value as text that is safe between tags and in quoted attributes; at most 200 signs."""
    text = unicodedata.normalize("NFC", str(value)).translate(CONTROLS)
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    return html.escape(text, quote=True)


def value_text(value: object) -> str:
    """A setting's value as a person would write it: yes, no, 0.001, 32 × 32, or JSON."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple) and value and all(isinstance(v, int) for v in value):
        return " × ".join(str(v) for v in value)
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def finite(value: object) -> float | None:
    """The number, or None for what is absent, NaN or infinite."""
    if isinstance(value, int | float | np.number) and math.isfinite(value):
        return float(value)
    return None


def percent(value: object, digits: int = 1) -> str:
    """``97.3 %``; 100 only for what is exactly 1; a dash for what is absent."""
    number = finite(value)
    if number is None:
        return "–"
    text = f"{100 * number:.{digits}f}"
    if number < 1 and float(text) >= 100:
        return f"&gt;{100 - 10.0**-digits:.{digits}f} %"
    return f"{text} %"


def count(value: object) -> str:
    """``12,345``; a dash for what is absent."""
    number = finite(value)
    return "–" if number is None else f"{number:,.0f}"


def minutes(value: object) -> str:
    """Seconds as a person says them: ``42 s``, ``3 min 20 s``, ``2 h 5 min``; empty if absent."""
    number = finite(value)
    if number is None:
        return ""
    if number < 10:
        return f"{number:.1f} s"
    whole = round(number)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def width(text: str) -> int:
    """How wide a text is, counted in Latin letters; Hangul and Han take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def sort_key(value: object) -> str:
    """What a table's column is sorted by; empty for what is absent."""
    number = finite(value)
    return "" if number is None else f"{number:.6g}"


def heading(text: str, lead: str = "") -> str:
    """A section's heading and the sentence that says what is to be seen; both are our own HTML."""
    return f"<h2>{text}</h2>" + (f'<p class="lead">{lead}</p>' if lead else "")


def bar(share: float, kind: str = "") -> str:
    """A horizontal bar, ``share`` in 0..1 of the width it is given."""
    filled = 100 * min(max(share, 0.0), 1.0)
    return f'<span class="bar {kind}" aria-hidden="true"><i style="width:{filled:.1f}%"></i></span>'


def code(text: str) -> str:
    """A command on a line of its own; not cut, since a part of a command is worse than none."""
    return f"<pre><code>{html.escape(text.translate(CONTROLS))}</code></pre>"


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``n`` trials (Wilson 1927): good for shares near 0 and 1."""
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def thumbnail(picture: Any, alt: str, side: int = THUMB) -> str:
    """An ``img`` with the picture inside the page, its longer side at most ``side`` pixels.

    Args:
        picture: (H, W, 3) or (H, W) uint8. Tiny ones stay as they are, as PNG, and are enlarged by
            the browser in hard-edged pixels; others become JPEG, about 8 KB.
        alt: what is to be seen, already escaped.
        side: pixels.
    """
    image = Image.fromarray(np.ascontiguousarray(picture, np.uint8)).convert("RGB")
    tiny = max(image.size) <= PIXELATED
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if tiny:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "JPEG", quality=82, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    kind = ("png", ' class="tiny"') if tiny else ("jpeg", "")
    size = f'width="{image.width}" height="{image.height}"'
    return f'<img{kind[1]} src="data:image/{kind[0]};base64,{data}" {size} alt="{alt}">'
