"""The pages that people see: where a payer says yes or no, as at a bank; and what this is.

Invariant: whoever has a charge's URL may act on it, as with the URLs of real gateways; its page
shows nothing of it but the amount. No page needs a script, and the first one no key.
"""

from __future__ import annotations

from html import escape
from typing import Final

from catena.money import format_amount, iso_currency
from catena.sandbox.things import Charge, Status

__all__ = ["render_front", "render_page"]

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto;
         padding: 0 1rem; color: #1c2430; }}
  button {{ font: inherit; padding: .6rem 1.4rem; margin-right: .6rem; border-radius: .4rem;
           border: 1px solid #1c2430; background: none; cursor: pointer; }}
  button[value=yes] {{ background: #1c2430; color: #fff; }}
  small {{ color: #5b6675; }}
</style>
<h1>{heading}</h1>
{text}
<p><small>No money moves here.</small>
</html>
"""
_FRONT: Final = """\
<p>This is a payment gateway to play with, and a process of its own: it charges cards, pays out, and
sends signed webhooks, all by magic values and a clock that can be set on.
<ul>
  <li><a href="/reference">Every path, magic value and error</a></li>
  <li>Calls go to <code>/v1</code> with <code>Authorization: Bearer</code> and its key, which it
    said when it started; that of <code>catena up</code> is in
    <code>.catena/sandbox.toml</code>.</li>
  <li>The guide <code>docs/guides/gateways.md</code> goes through it by hand.</li>
</ul>"""
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


def render_front() -> bytes:
    """What whoever opens the bare address is shown, in UTF-8."""
    return _render("Catena's sandbox", "Catena's sandbox gateway", _FRONT)


def render_page(charge: Charge) -> bytes:
    """The page of a charge, in UTF-8."""
    currency = iso_currency(charge.currency)
    asks = charge.status is Status.ACTION_NEEDED
    said = _FORM if asks else f"<p>{_SAID.get(charge.status, 'There is nothing to do here.')}"
    amount = f"{format_amount(charge.amount, currency)} {currency.code}"
    return _render("Sandbox bank", amount, said)


def _render(title: str, heading: str, text: str) -> bytes:
    return _PAGE.format(title=escape(title), heading=escape(heading), text=text).encode()
