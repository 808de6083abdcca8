"""JSON files: their content, and where its records stand, so that a message can name the line."""

from __future__ import annotations

import json
import re
from typing import Any

from boda.data.entries import Entry
from boda.errors import DataError

AGAIN = "Write the file again."


def parse(entry: Entry, text: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        DataError: it is no JSON, or no object.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        why = f"is no JSON: {error.msg} (column {error.colno})"
        raise DataError(why, file=entry.source, line=error.lineno, fix=AGAIN) from None
    except (ValueError, RecursionError) as error:
        entry.fail(f"cannot be parsed as JSON ({str(error)[:80]})", AGAIN)
    if not isinstance(content, dict):
        entry.fail("holds no JSON object", "As {…}, with names and their values.")
    return content


def offsets(text: str) -> dict[str, list[int]]:
    """Where each element of the lists of a JSON object begins; the text is known to be sound."""
    decoder = json.JSONDecoder()
    blank = re.compile(r"[ \t\n\r]*")
    skip = lambda at: blank.match(text, at).end()  # type: ignore[union-attr]  # noqa: E731
    found: dict[str, list[int]] = {}
    at = skip(text.index("{") + 1)
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        at = skip(skip(at) + 1)  # over the colon
        if text[at] == "[":
            starts = found[key] = []
            at = skip(at + 1)
            while text[at] != "]":
                starts.append(at)
                at = skip(decoder.raw_decode(text, at)[1])
                at = skip(at + 1) if text[at] == "," else at
            at += 1
        else:
            at = decoder.raw_decode(text, at)[1]
        at = skip(at)
        at = skip(at + 1) if text[at] == "," else at
    return found
