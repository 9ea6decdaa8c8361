"""Where things stand in a camt message, as shapes that a reader walks; the names are the schema's.

One shape for all versions: where .02 and .08 differ, both places are named, and lead to the same.
"""

from __future__ import annotations

from typing import Final

from catena.gateways.bank.reading import Amount, Many, Part, Texts

__all__ = ["ENTRY", "GROUP", "HEAD"]

_DAY: Final = {"Dt": "", "DtTm": ""}


def _day(name: str) -> Part:
    return Part(dict.fromkeys(_DAY, name))


def _account(name: str) -> Part:
    return Part({"Id": Part({"IBAN": name, "Othr": Part({"Id": name})})})


def _party(name: str) -> Part:
    return Part({"Nm": name, "Pty": Part({"Nm": name})})


def _agent(name: str) -> Part:
    return Part({"FinInstnId": Part({"BICFI": name, "BIC": name})})


_CODE: Final = Part(
    {
        "Domn": Part({"Cd": "domain", "Fmly": Part({"Cd": "family", "SubFmlyCd": "sub"})}),
        "Prtry": Part({"Cd": "own"}),
    }
)
_OTHER: Final = Part({"Id": Part({"OrgId": Part({"Othr": Part({"Id": "other"})})})})
_ULTIMATE: Final = Part({"Pty": _OTHER, **_OTHER.parts})
_PAGE: Final = Part({"PgNb": "page", "LastPgInd": "last"})

_DETAIL: Final = {
    "Refs": Part(
        {
            "MsgId": "message",
            "AcctSvcrRef": "bank",
            "PmtInfId": "payment",
            "EndToEndId": "end_to_end",
            "AcctOwnrTxId": "owner",
            "Prtry": Many("own", {"Ref": "reference"}),
        }
    ),
    "Amt": Amount("amount"),
    "CdtDbtInd": "sign",
    "AmtDtls": Part(
        {"TxAmt": Part({"Amt": Amount("moved")}), "InstdAmt": Part({"Amt": Amount("asked")})}
    ),
    "BkTxCd": _CODE,
    "RltdPties": Part(
        {
            "Dbtr": _party("debtor"),
            "DbtrAcct": _account("debtor_account"),
            "Cdtr": _party("creditor"),
            "CdtrAcct": _account("creditor_account"),
            "UltmtCdtr": _ULTIMATE,
        }
    ),
    "RltdAgts": Part({"DbtrAgt": _agent("debtor_bic")}),
    "RmtInf": Part(
        {
            "Ustrd": Texts("remittance"),
            "Strd": Part(
                {
                    "CdtrRefInf": Part({"Ref": Texts("references")}),
                    "AddtlRmtInf": Texts("remittance"),
                }
            ),
        }
    ),
    "RtrInf": Many(
        "returns", {"Rsn": Part({"Cd": "reason", "Prtry": "reason"}), "AddtlInf": Texts("words")}
    ),
    "AddtlTxInf": "text",
}
ENTRY: Final = {
    "Amt": Amount("amount"),
    "CdtDbtInd": "sign",
    "RvslInd": "reversal",
    "Sts": Part({"Cd": "state", "Prtry": "state"}, "state"),
    "BookgDt": _day("booked"),
    "ValDt": _day("value"),
    "AcctSvcrRef": "bank",
    "BkTxCd": _CODE,
    "NtryDtls": Part(
        {
            "Btch": Many(
                "batches", {"MsgId": "message", "PmtInfId": "payment", "NbOfTxs": "count"}
            ),
            "TxDtls": Many("details", _DETAIL),
        }
    ),
    "AddtlNtryInf": "text",
}
HEAD: Final = {
    "Id": "id",
    "StmtPgntn": _PAGE,
    "NtfctnPgntn": _PAGE,
    "RptPgntn": _PAGE,
    "ElctrncSeqNb": "electronic",
    "LglSeqNb": "legal",
    "CreDtTm": "at",
    "FrToDt": Part({"FrDtTm": "first", "ToDtTm": "last_day"}),
    "CpyDplctInd": "copy",
    "Acct": Part({"Id": Part({"IBAN": "account", "Othr": Part({"Id": "account"})}), "Ccy": "ccy"}),
    "Bal": Many(
        "balances",
        {
            "Tp": Part({"CdOrPrtry": Part({"Cd": "code", "Prtry": "code"})}),
            "Amt": Amount("amount"),
            "CdtDbtInd": "sign",
            "Dt": _day("on"),
        },
    ),
    "TxsSummry": Part({"TtlNtries": Part({"NbOfNtries": "entries"})}),
}
GROUP: Final = {"MsgId": "message", "CreDtTm": "at", "MsgPgntn": _PAGE}
