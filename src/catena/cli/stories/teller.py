"""How a story is told: asks the service over HTTP, and prints what it answers.

Invariant: everything told was just answered by the service; nothing here computes a balance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from httpx2 import AsyncClient, HTTPError, Response
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from catena.errors import SetupError
from catena.ids import new_id
from catena.money import Currency, define_asset, format_amount, iso_currency

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Teller"]

_DONE: Final = frozenset({200, 201, 202})
_REFUSED: Final = 422
_WAIT_SECONDS: Final = 20
"""How long a story waits for a gateway; less than its client waits for an answer."""

_TOLD: Final = frozenset({"waiting", "completed", "failed", "skipped", "compensated"})
"""What of a step's history is told: the states in which it stays."""

_ID: Final = re.compile(r"/[a-z]+_[0-9a-f]{32}")


class Teller:
    """Tells a story in the first ledger that the client's key may use."""

    def __init__(self, client: AsyncClient, paper: Console) -> None:
        self._client = client
        self._paper = paper
        self._ledger = ""
        self._assets: dict[str, Currency] = {}
        self._names: dict[str, str] = {}
        self._told: dict[str, int] = {}
        self._steps = 0

    def say(self, sentence: str) -> None:
        """Begin the next step."""
        self._steps += 1
        self._paper.print(f"\n[bold]{self._steps:2} {escape(sentence)}[/]")

    def note(self, sentence: str) -> None:
        """Explain what was shown."""
        self._print(f"[dim]{escape(sentence)}[/]")

    async def choose_ledger(self) -> None:
        """Play in the first ledger that the key may use."""
        ledgers = (await self._ask("GET", "/v1/ledgers")).json()["items"]
        if not ledgers:
            raise SetupError("There is no ledger to play in; `catena up` makes one.")
        self._ledger = ledgers[0]["id"]
        self._client.headers["Catena-Ledger"] = self._ledger

    # --- accounts and entries -----------------------------------------------------------------

    async def register_asset(self, code: str, exponent: int) -> None:
        """Let the ledger know a currency of its own."""
        path = f"/v1/ledgers/{self._ledger}/assets/{code}"
        answer = await self._ask("PUT", path, {"exponent": exponent})
        self._assets[code] = define_asset(code, exponent)
        self._print_request("PUT", path, answer)

    async def open_wallet(self, user: str, currency: str) -> str:
        """Open a wallet; gives its id."""
        return await self._open(user, {"user_id": user, "currency": currency})

    async def open_account(self, name: str, currency: str, type: str) -> str:
        """Open an account of ours; gives its id."""
        return await self._open(name, {"name": name, "currency": currency, "type": type})

    async def _open(self, name: str, body: Mapping[str, Any]) -> str:
        answer = await self._ask("POST", "/v1/accounts", body, new_id("demo_"))
        account: str = answer.json()["id"]
        self._names[account] = f"{name}, {body['currency']}"
        self._print_request("POST", "/v1/accounts", answer, self._names[account])
        return account

    async def post(self, path: str, body: Mapping[str, Any], *, key: str = "") -> dict[str, Any]:
        """Post an entry and show its lines; gives the answer."""
        answer = await self._ask("POST", path, body, key or new_id("demo_"))
        entry: dict[str, Any] = answer.json()
        self._print_request("POST", path, answer, f"position {entry['position']}")
        table = _make_table("", "", ">")
        for line in entry["lines"]:
            amount = f"{self._format(line['amount'], line['currency'])} {line['currency']}"
            table.add_row(line["side"], await self._name(line["account_id"]), amount)
        self._print(table)
        return entry

    async def repeat(
        self, path: str, body: Mapping[str, Any], key: str, first: Mapping[str, Any]
    ) -> None:
        """Send what was sent before, and see that the first answer is given again."""
        answer = await self._ask("POST", path, body, key)
        replayed = answer.headers.get("idempotency-replayed")
        if answer.json()["id"] != first["id"] or replayed != "true":
            raise SetupError("A repeated request was not answered by its first answer.")
        self._print_request("POST", path, answer, f"position {first['position']}, as before")
        self.note(f"Idempotency-Replayed: {replayed}. Nothing moved twice.")

    async def fail(self, path: str, body: Mapping[str, Any]) -> None:
        """Ask for what must be refused, and show the problem."""
        answer = await self._ask("POST", path, body, new_id("demo_"), expected={_REFUSED})
        problem = answer.json()
        self._print_request("POST", path, answer)
        self._print(f"[red]{problem['code']}[/]: {escape(problem['title'])}. Nothing is written.")

    # --- chains and liens ---------------------------------------------------------------------

    async def make_chain(self, body: Mapping[str, Any]) -> str:
        """Make a chain and show how far it comes; gives its id."""
        answer = await self._ask("POST", "/v1/chains", body, new_id("demo_"))
        return await self._show_chain("/v1/chains", answer)

    async def tell_chain(self, chain: str, command: str, body: Mapping[str, Any]) -> None:
        """Tell a chain something, and show what comes of it."""
        path = f"/v1/chains/{chain}/{command}"
        await self._show_chain(path, await self._ask("POST", path, body, new_id("demo_")))

    async def _show_chain(self, path: str, answer: Response) -> str:
        """Show the chain's state, and what its steps have come to since it was shown last."""
        chain = answer.json()
        id: str = chain["id"]
        self._print_request("POST", path, answer, f"{chain['type']} {chain['state']}")
        steps = {step["name"]: step for step in chain["steps"]}
        rows = []
        events = (await self._ask("GET", f"/v1/chains/{id}/history?limit=100")).json()["items"]
        for event in events:
            if event["number"] > self._told.get(id, 0) and event["event"] in _TOLD:
                step = steps.get(event.get("step", ""))
                if step is not None:
                    rows.append((step["name"], step["type"], _tell_state(event["event"], step)))
        self._told[id] = events[-1]["number"]
        self._print_rows(rows)
        return id

    async def show_virtual(self, chain: str, accounts: Sequence[str]) -> None:
        """Show what everybody may spend of these accounts, and what the chain may."""
        answer = await self._ask("GET", f"/v1/chains/{chain}/virtual-balances")
        found = {row["account_id"]: row for row in answer.json()["items"]}
        told = ("posted", "reserved", "available", "virtual")
        table = _make_table("", *">>>>")
        table.add_row("", *told, style="dim")
        for account in accounts:
            row = found[account]
            amounts = (self._format(row[name], row["currency"]) for name in told)
            table.add_row(await self._name(account), *amounts)
        self._print(table)

    async def show_liens(self, account: str) -> None:
        """Show why money on an account cannot be spent."""
        path = f"/v1/accounts/{account}/liens"
        answer = await self._ask("GET", path)
        found = answer.json()
        self._print_request("GET", path, answer)
        for lien in found["items"]:
            amount = f"{self._format(lien['remaining'], found['currency'])} {found['currency']}"
            chain = f"a {lien['chain_type']} that is {lien['chain_state']}"
            self._print(f"{amount} are {lien['kind']} of the step {lien['step']} of {chain}")

    # --- gateways -----------------------------------------------------------------------------

    async def has_gateway(self, body: Mapping[str, Any]) -> bool:
        """Whether the ledger has the gateway that a deposit names; nothing is asked of it."""
        inputs = {name: body[name] for name in ("gateway", "amount", "currency", "method")}
        undo = {"type": "give_back"}
        step = {"name": "charge", "type": "gateway.charge", "inputs": inputs, "compensation": undo}
        tried = {_REFUSED, *_DONE}
        answer = await self._ask("POST", "/v1/chains/preview", {"steps": [step]}, expected=tried)
        return answer.status_code != _REFUSED

    async def order(self, path: str, body: Mapping[str, Any]) -> list[str]:
        """Have a gateway move money, and show the entries that come of it.

        Gives the accounts on their lines, the first one that was seen first.
        """
        answer = await self._ask("POST", path, body, new_id("demo_"), wait=_WAIT_SECONDS)
        done = answer.json()
        what = path.rpartition("/")[2].removesuffix("s")
        self._print_request("POST", path, answer, f"{what} {done['state']}")
        chain = (await self._ask("GET", f"/v1/chains/{done['chain_id']}")).json()
        seen: dict[str, None] = {}
        table = _make_table("", "", "", ">")
        posted = [step for step in chain["steps"] if "entry_id" in step]
        for step in sorted(posted, key=lambda step: step["commit_seq"]):
            entry = (await self._ask("GET", f"/v1/entries/{step['entry_id']}")).json()
            name = entry["type"]
            for line in entry["lines"]:
                seen[line["account_id"]] = None
                amount = f"{self._format(line['amount'], line['currency'])} {line['currency']}"
                table.add_row(name, line["side"], await self._name(line["account_id"]), amount)
                name = ""
        self._print(table)
        return list(seen)

    async def show_posted(self, accounts: Sequence[str]) -> None:
        """Show what is posted on these accounts."""
        table = _make_table("", ">")
        table.add_row("", "posted", style="dim")
        for account in accounts:
            found = (await self._ask("GET", f"/v1/accounts/{account}/balance")).json()
            posted = self._format(found["posted"], found["currency"])
            table.add_row(await self._name(account), posted)
        self._print(table)

    # --- asking and printing ------------------------------------------------------------------

    def _format(self, amount: int, code: str) -> str:
        return format_amount(amount, self._assets.get(code) or iso_currency(code))

    async def _name(self, account: str) -> str:
        """What people call an account: who owns it, or which role it has on the platform."""
        if account not in self._names:
            found = (await self._ask("GET", f"/v1/accounts/{account}")).json()
            self._names[account] = f"{found['role'] or found['name']}, {found['currency']}"
        return self._names[account]

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
        *,
        expected: frozenset[int] | set[int] = _DONE,
        wait: int | None = None,
    ) -> Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        try:
            answer = await self._client.request(method, path, json=body, headers=headers)
        except HTTPError as error:
            raise SetupError(
                f"Nothing answers at {self._client.base_url}; `catena up` starts the service."
            ) from error
        if answer.status_code not in expected:
            raise SetupError(f"{method} {path} was answered with {_describe(answer)}.")
        return answer

    def _print_request(self, method: str, path: str, answer: Response, note: str = "") -> None:
        shown = escape(_ID.sub("/{id}", path))
        status = f"[cyan]{answer.status_code}[/]"
        self._print(f"[dim]{method} {shown}[/] {status}{note and '  ' + note}")

    def _print_rows(self, rows: Sequence[Sequence[str]]) -> None:
        """Print texts in columns that begin at the same place."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for *left, last in rows:
            padded = (text.ljust(width) for text, width in zip(left, widths, strict=False))
            self._print("   ".join([*padded, last]))

    def _print(self, what: str | Table) -> None:
        self._paper.print(Padding(what, (0, 0, 0, 3), expand=False))


def _make_table(*columns: str) -> Table:
    """A table without rules; `>` aligns a column to the right."""
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(justify="right" if column == ">" else "left", no_wrap=True)
    return table


def _tell_state(state: str, step: Mapping[str, Any]) -> str:
    return f"[red]failed: {step['failure']['code']}[/]" if state == "failed" else state


def _describe(answer: Response) -> str:
    try:
        return f"{answer.status_code} {answer.json()['code']}"
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)
