"""A small XML document as plain nodes with their lines; entities are refused, and sizes bounded.

An entity can name files of this machine, or grow a few lines to gigabytes (the "billion laughs");
annotations need none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from boda.data.tree import Entry
from boda.errors import DataError

MOST_BYTES = 16 << 20
MOST_DEPTH = 32
AGAIN = "Write the file again."


@dataclass(slots=True)
class Node:
    """One element: its tag, line, text and children."""

    tag: str
    line: int
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[Node]:
        """The children of that tag."""
        return (child for child in self.children if child.tag == tag)

    def get(self, tag: str) -> Node | None:
        """The first child of that tag."""
        return next(self.all(tag), None)

    def words(self, tag: str) -> str:
        """The text of the first child of that tag, without blanks around it; "" where there is none."""
        found = self.get(tag)
        return "" if found is None else found.text.strip()


def parse(entry: Entry) -> Node:
    """The root of a document.

    Raises:
        DataError: no XML (with the line), a DOCTYPE or entities, too deep or too large.
    """
    data = entry.read(MOST_BYTES)
    parser = expat.ParserCreate("utf-8") if (text := _recoded(data)) else expat.ParserCreate()
    parser.buffer_text = True
    top = Node("", 0)
    open_nodes = [top]
    pieces: list[list[str]] = [[]]

    def refuse(why: str, fix: str = AGAIN) -> None:
        raise DataError(why, file=entry.source, line=parser.CurrentLineNumber, fix=fix)

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_nodes) > MOST_DEPTH:
            refuse(f"its elements lie in one another more than {MOST_DEPTH} deep")
        node = Node(tag, parser.CurrentLineNumber)
        open_nodes[-1].children.append(node)
        open_nodes.append(node)
        pieces.append([])

    def end(tag: str) -> None:
        open_nodes.pop().text = "".join(pieces.pop())

    def characters(text: str) -> None:
        pieces[-1].append(text)

    def entity(*told: object) -> None:
        refuse("declares or uses an entity, which is not read", "Take the DOCTYPE out.")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.EntityDeclHandler = entity
    parser.ExternalEntityRefHandler = entity  # type: ignore[assignment]
    parser.SkippedEntityHandler = entity
    try:
        parser.Parse(text or data, True)
    except expat.ExpatError as error:
        why = f"is no XML: {expat.ErrorString(error.code)} (column {error.offset + 1})"
        raise DataError(why, file=entry.source, line=error.lineno, fix=AGAIN) from None
    except (ValueError, LookupError) as error:  # an encoding that expat does not know
        entry.fail(f"cannot be decoded ({str(error)[:80]})", "Save it as UTF-8.")
    return top.children[0]


def _recoded(data: bytes) -> bytes | None:
    """UTF-8 of a document that is Korean Windows' CP949, whatever it says; None where it is not."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    try:
        data.decode()
        said = re.search(rb"""encoding\s*=\s*["'](?i:euc-kr|cp949|ks_c_5601-1987)""", data[:200])
        return data if said else None
    except UnicodeDecodeError:
        pass
    if re.search(rb"""encoding\s*=\s*["'](?i:iso-|latin|windows-|us-)""", data[:200]):
        return None
    try:
        return data.decode("cp949").encode()
    except UnicodeDecodeError:
        return None
