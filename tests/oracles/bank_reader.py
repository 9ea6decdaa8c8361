"""Reads bank files with what others have written: schemas of ISO, and classes made from them.

It runs as a process of its own, with the Python that the oracles are installed in; nothing of it is
imported by a test. `validate FILE...` prints a word or a complaint a file; `time FILE` the
milliseconds to parse and validate it; `read FILE...` what it holds, as JSON, a line a file.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

SPACE = re.compile(rb'xmlns="urn:iso:std:iso:20022:tech:xsd:([a-z]{4}\.\d{3}\.\d{3}\.\d{2})"')
PLACES = {
    "pain.001": ("sepaxml", "schemas"),
    "pain.002": ("pain001", "pain002/schemas"),
    "camt.053": ("camt053", "xsd"),
    "camt.054": ("camt053", "xsd"),
}
STAND_INS = {"pain.002.001.10": "pain.002.001.12"}
"""The schema of .10 is in no package; .12 takes what we need of it, under its own name."""


def load(name: str) -> Any:  # noqa: ANN401  # a module of another environment
    """A module that only the oracles' environment has."""
    return importlib.import_module(name)


def find_name(content: bytes) -> str:
    """The message's name."""
    found = SPACE.search(content)
    return found[1].decode() if found else ""


def load_schema(name: str) -> Any:  # noqa: ANN401  # an object of lxml
    """The schema of a message."""
    package, folder = PLACES[name[:8]]
    etree = load("lxml.etree")
    # Its files are found without importing it: its own dependencies are not installed.
    found = importlib.util.find_spec(package)
    (root,) = (found and found.submodule_search_locations) or ("",)
    return etree.XMLSchema(etree.fromstring(Path(root, folder, f"{name}.xsd").read_bytes()))


def validate(content: bytes) -> str:
    """Whether it is valid by its schema, or the first reason why not."""
    name = find_name(content)
    used = STAND_INS.get(name, name)
    schema = load_schema(used)
    tree = load("lxml.etree").fromstring(content.replace(name.encode(), used.encode(), 1))
    return "valid" if schema.validate(tree) else str(schema.error_log[0].message)


def measure(content: bytes) -> float:
    """Milliseconds to parse and validate, the least of ten."""
    etree = load("lxml.etree")
    schema = load_schema(find_name(content))
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        if not schema.validate(etree.fromstring(content)):
            raise SystemExit("invalid")
        best = min(best, time.perf_counter() - start)
    return best * 1000


def read(content: bytes) -> list[list[str | None]]:
    """What a strict reader finds: orders, statuses, entries or returns."""
    name = find_name(content)
    module = load(f"pyiso20022.{name[:4]}.{name.replace('.', '_')}")
    config = load("xsdata.formats.dataclass.parsers.config")
    strict = config.ParserConfig(fail_on_unknown_properties=True)
    parser = load("xsdata.formats.dataclass.parsers").XmlParser(config=strict)
    document = parser.from_bytes(content, module.Document)
    return [[None if one is None else str(one) for one in row] for row in ROWS[name[:8]](document)]


def list_orders(document: Any) -> Any:  # noqa: ANN401  # classes of another environment
    """EndToEndId, amount, currency, payee, account, remittance of each order of a pain.001."""
    for block in document.cstmr_cdt_trf_initn.pmt_inf:
        for one in block.cdt_trf_tx_inf:
            amount = one.amt.instd_amt
            said = one.rmt_inf
            text = None
            if said is not None:
                text = said.ustrd[0] if said.ustrd else said.strd[0].cdtr_ref_inf.ref
            iban = one.cdtr_acct.id.iban
            yield (one.pmt_id.end_to_end_id, amount.value, amount.ccy, one.cdtr.nm, iban, text)


def list_statuses(document: Any) -> Any:  # noqa: ANN401  # classes of another environment
    """EndToEndId, status and reason of each order of a pain.002; first those of its file."""
    group = document.cstmr_pmt_sts_rpt.orgnl_grp_inf_and_sts
    yield (group.orgnl_msg_id, group.grp_sts, find_reason(group))
    for block in document.cstmr_pmt_sts_rpt.orgnl_pmt_inf_and_sts:
        for one in block.tx_inf_and_sts:
            yield (one.orgnl_end_to_end_id, one.tx_sts, find_reason(one))


def find_reason(said: Any) -> Any:  # noqa: ANN401  # classes of another environment
    """The code of a status' reason."""
    return said.sts_rsn_inf[0].rsn.cd if said.sts_rsn_inf else None


def list_entries(document: Any) -> Any:  # noqa: ANN401  # classes of another environment
    """EndToEndId, amount, sign, status and bank's reference of each entry."""
    body = getattr(document, "bk_to_cstmr_stmt", None) or document.bk_to_cstmr_dbt_cdt_ntfctn
    for scope in getattr(body, "stmt", None) or body.ntfctn:
        for entry in scope.ntry:
            (detail,) = entry.ntry_dtls[0].tx_dtls
            id = detail.refs.end_to_end_id
            sign = entry.cdt_dbt_ind.value
            yield (id, entry.amt.value, sign, entry.sts.cd, entry.acct_svcr_ref)


def list_returns(document: Any) -> Any:  # noqa: ANN401  # classes of another environment
    """EndToEndId, what came back, and why."""
    for one in document.pmt_rtr.tx_inf:
        reason = one.rtr_rsn_inf[0].rsn.cd
        yield (one.orgnl_end_to_end_id, one.rtrd_intr_bk_sttlm_amt.value, reason)


ROWS = {
    "pain.001": list_orders,
    "pain.002": list_statuses,
    "camt.053": list_entries,
    "camt.054": list_entries,
    "pacs.004": list_returns,
}


def main(word: str, *names: str) -> None:
    """Answer one question about some files."""
    for name in names:
        content = Path(name).read_bytes()
        if word == "validate":
            said: object = validate(content)
        else:
            said = measure(content) if word == "time" else read(content)
        sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
