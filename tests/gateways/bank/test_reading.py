"""XML from strangers is read within limits, and nothing in it is expanded or fetched."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from catena.gateways.bank.reading import Unreadable, cut, read_pieces
from tests.gateways.bank.bank_files import document

SPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
BODY = f'<Document xmlns="{SPACE}"><A><B><C>{{}}</C></B></A></Document>'
LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))

HOSTILE = {
    "billion laughs": f'<!DOCTYPE l [<!ENTITY a0 "lol">{LAUGHS}]>' + BODY.format("&a9;"),
    "external entity": '<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    + BODY.format("&a;"),
    "parameter entity": '<!DOCTYPE l [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]>'
    + BODY.format(""),
    "bare document type": "<!DOCTYPE l>" + BODY.format(""),
    "document type after much": f"<!--{'-x' * 3000}--><!DOCTYPE l>" + BODY.format(""),
    "many instructions": "<??>" * 1000 + "!" + BODY.format(""),
    "unknown entity": BODY.format("&a;"),
    "depth": BODY.format("<d>" * 300 + "</d>" * 300),
    "cut short": BODY.format("")[:-5],
    "two roots": BODY.format("") + BODY.format(""),
    "not XML": "hello",
    "nothing": "",
    "control character": BODY.format("\x01"),
    "bad text": BODY.format("<a b=>"),
}


def read(chunks: Iterable[bytes], *tags: str) -> list[tuple[str, str]]:
    """The names of what is read, with its own texts."""
    found = []
    for tag, piece in read_pieces(chunks, tags or ("B", "C")):
        found.append((tag, "".join(piece.itertext())))
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str) -> None:
    """Each in no time and without a trace, whatever size it comes in."""
    content = HOSTILE[name].encode()
    for chunks in (cut(content), [content[at : at + 7] for at in range(0, len(content), 7)]):
        with pytest.raises(Unreadable) as refused:
            read(chunks)
        assert refused.value.code == "not_xml"
        assert "passwd" not in str(refused.value)


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_other_encodings_are_refused(codec: str) -> None:
    """A document type cannot hide in an encoding: only UTF-8 is read, whatever is declared."""
    text = f'<?xml version="1.0" encoding="{codec}"?>' + BODY.format("ä")
    with pytest.raises(Unreadable):
        read(cut(text.encode(codec)))


@pytest.mark.parametrize("prolog", ["", "\ufeff", "<?xml version='1.0'?>\n<!-- a > b --><?pi x?> "])
def test_prologs(prolog: str) -> None:
    """A byte order mark, a declaration, comments and instructions may stand before the root."""
    content = (prolog + BODY.format("x<![CDATA[<!DOCTYPE y>]]>")).encode()
    assert read([content], "C") == [("camt.053.001.08", ""), ("C", "x<!DOCTYPE y>")] or read(
        [content], "C"
    )[1:] == [("C", "x<!DOCTYPE y>")]


def test_texts_are_bounded() -> None:
    """A text over 10 MB is refused by the library, before it is whole."""
    content = BODY.format("x" * 11_000_000).encode()
    with pytest.raises(Unreadable):
        read(cut(content))


def test_sizes_are_bounded() -> None:
    """One piece, and all of them, have a size that they must not pass."""
    pieces = "<B><C>x</C></B>" * 400
    content = f'<Document xmlns="{SPACE}"><A>{pieces}</A></Document>'.encode()
    chunks = [content[at : at + 64] for at in range(0, len(content), 64)]

    def count(tag: str, file_bytes: int) -> int:
        return sum(1 for _ in read_pieces(chunks, (tag,), file_bytes=file_bytes, piece_bytes=5_000))

    assert count("B", 10_000) == 401
    with pytest.raises(Unreadable) as refused:
        count("Z", 10_000)
    assert refused.value.code == "piece_too_large"
    with pytest.raises(Unreadable) as refused:
        count("B", 5_000)
    assert refused.value.code == "too_large"


@pytest.mark.parametrize(
    "content",
    [
        b"<Document/>",
        b'<Document xmlns="urn:other"/>',
        document("camt.053.001.08", "").replace(b"Document", b"Dokument"),
        document("camt.053.001.08", "<B/>"),
        document("camt.053.001.08", "<A><A><A><B/></A></A></A>"),
        document("camt.053.001.08", "<A/><A><B/></A>"),
    ],
)
def test_other_shapes(content: bytes) -> None:
    """The root is a Document of ISO 20022, and pieces stand where the schema has them."""
    with pytest.raises(Unreadable) as refused:
        read([content], "B")
    assert refused.value.code == "not_iso20022"


def test_what_was_read_is_dropped() -> None:
    """When a piece is given, the pieces before it are gone: the tree never grows."""
    content = document("camt.053.001.08", f"<A>{'<x/><B>1</B>' * 50}</A>")
    left = [len(piece.getparent()) for _, piece in read_pieces([content], ("B",)) if _ == "B"]
    assert len(left) == 50
    chunks = [content[at : at + 20] for at in range(0, len(content), 20)]
    left = [
        piece.getparent().index(piece) for tag, piece in read_pieces(chunks, ("B",)) if tag == "B"
    ]
    assert max(left) <= 2
