"""Reads XML that strangers wrote: piece by piece, within limits, and with no document type.

Invariant: no entity is ever expanded and nothing outside the bytes is looked at. UTF-8 only; what
holds memory is one piece. libxml2 refuses more than 256 elements within each other, and texts
over 10 MB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from catena.gateways.bank.limits import FILE_BYTES_MAX, PIECE_BYTES_MAX, PROLOG_BYTES_MAX

__all__ = ["Amount", "Found", "Many", "Part", "Texts", "Unreadable", "cut", "gather", "read_pieces"]

_NAMESPACE: Final = re.compile(
    r"\{urn:iso:std:iso:20022:tech:xsd:([a-z]{4}\.\d{3}\.\d{3}\.\d{2})\}Document"
)
# Each part is atomic: else 4 KiB of "<??>" could be divided in more ways than anybody can try.
_PROLOG: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:(?>[ \t\r\n]+)|<\?(?>.*?\?>)|<!--(?>.*?-->))*+<[A-Za-z_]", re.DOTALL
)
_NO_DOCUMENT: Final = "Its root is no Document of ISO 20022."
_CUT_BYTES: Final = 65_536

Element = Any
"""An element of lxml, which has no types of its own."""


class Unreadable(Exception):
    """It is not what it must be. `code` is stable; the message repeats nothing of the file."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Part(NamedTuple):
    """An element within a shape. `name`: keep its own text under this name, too."""

    parts: Mapping[str, Any]
    name: str = ""


class Many(NamedTuple):
    """Elements that repeat, each a record of its own."""

    name: str
    parts: Mapping[str, Any]


class Amount(NamedTuple):
    """An amount: its digits are kept under this name, its currency under `<name>.currency`."""

    name: str


class Texts(NamedTuple):
    """Texts that repeat, in their order."""

    name: str


class Found:
    """What a shape has found: texts by name, records and texts that repeat."""

    __slots__ = ("lists", "many", "texts")

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.many: dict[str, list[Found]] = {}


def gather(element: Element, parts: Mapping[str, Any], found: Found) -> Found:
    """Walk an element once and keep what its shape names: children by their local names.

    A name is a text that is kept under that name, the first one where there are several.
    """
    for child in element:
        tag = child.tag
        wanted = parts.get(tag[tag.find("}") + 1 :])
        if wanted is None:
            continue
        if wanted.__class__ is str:
            if text := (child.text or "").strip():
                found.texts.setdefault(wanted, text)
        elif wanted.__class__ is Part:
            if wanted.name and (text := (child.text or "").strip()):
                found.texts.setdefault(wanted.name, text)
            gather(child, wanted.parts, found)
        elif wanted.__class__ is Amount:
            found.texts.setdefault(wanted.name, (child.text or "").strip())
            found.texts.setdefault(f"{wanted.name}.currency", child.get("Ccy", ""))
        elif wanted.__class__ is Texts:
            if text := (child.text or "").strip():
                found.lists.setdefault(wanted.name, []).append(text)
        else:
            found.many.setdefault(wanted.name, []).append(gather(child, wanted.parts, Found()))
    return found


def cut(content: bytes) -> Iterator[bytes]:
    """Content that is in memory, as it would come from a stream."""
    return (content[at : at + _CUT_BYTES] for at in range(0, len(content), _CUT_BYTES))


def read_pieces(
    chunks: Iterable[bytes],
    tags: Sequence[str],
    *,
    file_bytes: int = FILE_BYTES_MAX,
    piece_bytes: int = PIECE_BYTES_MAX,
) -> Iterator[tuple[str, Element]]:
    """Each element with one of these local names, whole; before them the name of the message.

    The first pair is the message's name (`camt.053.001.08`) and its root. An element is gone when
    the next is asked for, unless a piece that is named stands around it. Raises Unreadable.
    """
    from lxml import etree  # noqa: PLC0415  # 15 ms, for those who have a bank

    parser = etree.XMLPullParser(
        events=("start", "end"),
        tag=("{*}Document", *(f"{{*}}{tag}" for tag in tags)),
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    root: Element = None
    total = since = 0
    try:
        for chunk in _check_prolog(chunks):
            total += len(chunk)
            since += len(chunk)
            if total > file_bytes:
                raise Unreadable("too_large", f"The file is over {file_bytes} bytes.")
            parser.feed(chunk)
            for event, element in parser.read_events():
                if root is None:
                    root = element
                    yield _name_message(root), root
                elif event == "end" and element is not root:
                    since = 0
                    _check_place(element, root)
                    yield element.tag.rpartition("}")[2], element
                    _forget(element)
            if since > piece_bytes:
                raise Unreadable("piece_too_large", f"One piece is over {piece_bytes} bytes.")
        parser.close()
        if root is None:
            raise Unreadable("not_iso20022", _NO_DOCUMENT)
    except etree.XMLSyntaxError:
        raise Unreadable("not_xml", "It is no well-formed XML in UTF-8.") from None


def _check_prolog(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same chunks, once the first bytes are known to hold no document type."""
    head = b""
    rest = iter(chunks)
    for chunk in rest:
        head += chunk
        if len(head) >= PROLOG_BYTES_MAX:
            break
    if _PROLOG.match(head[:PROLOG_BYTES_MAX]) is None:
        raise Unreadable("not_xml", "It does not begin with an element, or has a document type.")
    yield head
    yield from rest


def _name_message(root: Element) -> str:
    match = _NAMESPACE.fullmatch(root.tag)
    if match is None:
        raise Unreadable("not_iso20022", _NO_DOCUMENT)
    return match[1]


def _check_place(element: Element, root: Element) -> None:
    """A piece stands in the message's one body, or in a part of it: else it would never be dropped,
    nor would what stands around it.
    """
    parent = element.getparent()
    if len(root) > 1 or (parent.getparent() is not root and parent.getparent() is not root[0]):
        raise Unreadable("not_iso20022", "A part of it stands where the schema has none.")


def _forget(element: Element) -> None:
    """Drop what was read of a piece, and all before it: the tree never grows."""
    parent = element.getparent()
    element.clear(keep_tail=False)
    while element.getprevious() is not None:
        parent.remove(parent[0])
