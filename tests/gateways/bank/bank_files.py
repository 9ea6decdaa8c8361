"""Writes what banks send, for tests: statements and reports, with as little as the schema asks.

Each function gives an element as text; `document` makes bytes of them. Not the code under test:
it knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ACCOUNT",
    "OURS",
    "balance",
    "detail",
    "document",
    "element",
    "entry",
    "notification",
    "report",
    "statement",
]

ACCOUNT = "NL41MOCK0000000001"
OURS = "CT" + "A" * 32
"""An EndToEndId of the form of ours."""


def document(name: str, body: str) -> bytes:
    """A message of ISO 20022."""
    space = f"urn:iso:std:iso:20022:tech:xsd:{name}"
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{declaration}\n<Document xmlns="{space}">{body}</Document>'.encode()


def element(path: str, text: str | None) -> str:
    """An element within others, as `Refs/EndToEndId`; nothing for None."""
    if text is None:
        return ""
    names = path.split("/")
    opened = "".join(f"<{name}>" for name in names)
    closed = "".join(f"</{name}>" for name in reversed(names))
    return f"{opened}{text}{closed}"


def balance(code: str, amount: str, sign: str = "CRDT", currency: str = "EUR") -> str:
    """A balance of a statement."""
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>'
        "<Dt><Dt>2026-10-01</Dt></Dt></Bal>"
    )


def detail(sign: str = "CRDT", amount: str | None = None, **more: str | None) -> str:
    """A transaction behind an entry. `more`: end_to_end, payment, message, bank, name, iban, to,
    text, reference, reason.
    """
    refs = (
        element("MsgId", more.get("message"))
        + element("AcctSvcrRef", more.get("bank"))
        + element("PmtInfId", more.get("payment"))
        + element("EndToEndId", more.get("end_to_end"))
    )
    payer = element("Dbtr/Pty/Nm", more.get("name"))
    payer += element("DbtrAcct/Id/IBAN", more.get("iban"))
    payer += element("CdtrAcct/Id/IBAN", more.get("to"))
    said = element("Ustrd", more.get("text"))
    said += element("Strd/CdtrRefInf/Ref", more.get("reference"))
    money = f'<Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>' if amount else ""
    return element(
        "TxDtls",
        element("Refs", refs or None)
        + money
        + element("RltdPties", payer or None)
        + element("RmtInf", said or None)
        + element("RtrInf/Rsn/Cd", more.get("reason")),
    )


def entry(sign: str, amount: str, *details: str, **more: str) -> str:
    """An entry. `more`: state, reversal, booked, ref, family, sub, batch, text, currency."""
    state = more.get("state", "BOOK")
    body = (
        f'<Amt Ccy="{more.get("currency", "EUR")}">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>'
        + element("RvslInd", more.get("reversal"))
        + (element("Sts/Cd", state) if more.get("version") != "02" else element("Sts", state))
        + element("BookgDt/Dt", more.get("booked", "2026-10-01") or None)
        + element("ValDt/Dt", "2026-10-02")
        + element("AcctSvcrRef", more.get("ref"))
        + "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly>"
        + element("Cd", more.get("family", "ICDT"))
        + element("SubFmlyCd", more.get("sub", "ESCT"))
        + "</Fmly></Domn></BkTxCd>"
        + element("NtryDtls", (more.get("batch", "") + "".join(details)) or None)
        + element("AddtlNtryInf", more.get("text"))
    )
    return f"<Ntry>{body}</Ntry>"


def statement(*parts: str, **head: str | None) -> bytes:
    """A camt.053 with one statement. `head`: id, electronic, page, last, copy, at, said."""
    return _message(head, parts, "053", "BkToCstmrStmt", "Stmt")


def notification(*parts: str, **head: str | None) -> bytes:
    """A camt.054."""
    return _message(head, parts, "054", "BkToCstmrDbtCdtNtfctn", "Ntfctn")


def _message(
    head: Mapping[str, str | None], parts: tuple[str, ...], number: str, body: str, scope: str
) -> bytes:
    page = head.get("page")
    paging = element("PgNb", page) + element("LastPgInd", head.get("last"))
    said = element("TxsSummry/TtlNtries/NbOfNtries", head.get("said"))
    inner = (
        element("Id", head.get("id", "S1"))
        + (element(f"{scope}Pgntn", paging) if page else "")
        + element("ElctrncSeqNb", head.get("electronic"))
        + element("LglSeqNb", head.get("legal"))
        + element("CreDtTm", head.get("at", "2026-10-02T00:00:00+00:00"))
        + element("CpyDplctInd", head.get("copy"))
        + f"<Acct><Id><IBAN>{ACCOUNT}</IBAN></Id><Ccy>EUR</Ccy></Acct>"
        + "".join(part for part in parts if part.startswith("<Bal>"))
        + said
        + "".join(part for part in parts if not part.startswith("<Bal>"))
    )
    group = "<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-10-02T00:00:00+00:00</CreDtTm></GrpHdr>"
    version = head.get("version", "08")
    name = f"camt.{number}.001.{version}"
    return document(name, f"<{body}>{group}<{scope}>{inner}</{scope}></{body}>")


def report(group: str, *blocks: str, message: str = "CFILE") -> bytes:
    """A pain.002. `group`: its statuses; blocks as text."""
    return document(
        "pain.002.001.10",
        "<CstmrPmtStsRpt><GrpHdr><MsgId>R1</MsgId><CreDtTm>2026-10-01T09:00:00Z</CreDtTm></GrpHdr>"
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>{message}</OrgnlMsgId>"
        f"<OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>{group}</OrgnlGrpInfAndSts>"
        f"{''.join(blocks)}</CstmrPmtStsRpt>",
    )
