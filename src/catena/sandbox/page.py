"""The page where a payer says yes or no, as a bank's would be.

Invariant: whoever has a charge's URL may act on it, as with the URLs of real gateways; the page
shows nothing of it but the amount, and needs no script.
"""

from __future__ import annotations

from html import escape
from typing import Final

from catena.money import format_amount, iso_currency
from catena.sandbox.things import Charge, Status

__all__ = ["render_page"]

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sandbox bank</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto;
         padding: 0 1rem; color: #1c2430; }}
  button {{ font: inherit; padding: .6rem 1.4rem; margin-right: .6rem; border-radius: .4rem;
           border: 1px solid #1c2430; background: none; cursor: pointer; }}
  button[value=yes] {{ background: #1c2430; color: #fff; }}
  small {{ color: #5b6675; }}
</style>
<h1>{amount}</h1>
{said}
<p><small>The sandbox's bank: no money moves here.</small>
</html>
"""
_FORM: Final = """\
<p>Do you want to pay this?
<form method="post">
  <button name="approve" value="yes">Approve</button>
  <button name="approve" value="no">Decline</button>
</form>"""
_SAID: Final = {
    Status.APPROVED: "You have paid this.",
    Status.AUTHORISED: "You have agreed to pay this.",
    Status.DECLINED: "You have not paid this.",
}


def render_page(charge: Charge) -> bytes:
    """The page of a charge, in UTF-8."""
    currency = iso_currency(charge.currency)
    asks = charge.status is Status.ACTION_NEEDED
    said = _FORM if asks else f"<p>{_SAID.get(charge.status, 'There is nothing to do here.')}"
    amount = f"{format_amount(charge.amount, currency)} {currency.code}"
    return _PAGE.format(amount=escape(amount), said=said).encode()
