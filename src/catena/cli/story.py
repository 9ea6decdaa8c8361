"""The story: what happens in it, and how it is told.

Invariant: everything told was just answered by the service; nothing here computes a balance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from httpx2 import AsyncClient, HTTPError, Response
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from catena.errors import SetupError
from catena.ids import new_id
from catena.money import format_amount, iso_currency

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Teller", "tell"]

_DONE: Final = frozenset({200, 201})
_REFUSED: Final = 422


async def tell(teller: Teller) -> None:
    """Play the story and print it as it goes. Raises SetupError when it goes otherwise."""
    await teller.choose_ledger()
    teller.say("Alice and Bob open wallets in dollars, and Alice one in euros.")
    alice = await teller.open_wallet("alice", "USD")
    euros = await teller.open_wallet("alice", "EUR")
    bob = await teller.open_wallet("bob", "USD")

    teller.say("Alice pays in 500 dollars. They lie at the bank: the clearing account.")
    await teller.post("/v1/deposits", {"account_id": alice, "amount": 50000, "currency": "USD"})

    teller.say("She sends Bob 120 dollars. One entry; a fee of 1 % is a line of it.")
    rent = {
        "source_account_id": alice,
        "destination_account_id": bob,
        "amount": 12000,
        "currency": "USD",
        "description": "Rent",
        "fees": [{"type": "percentage", "name": "transfer", "rate": "0.01"}],
    }
    key = new_id("demo_")
    paid = await teller.post("/v1/transfers", rent, key=key)

    teller.say("The answer got lost: her app sends the same request with the same key.")
    await teller.repeat("/v1/transfers", rent, key, paid)

    teller.say("Bob tries to send 1,000 dollars, which he does not have.")
    await teller.fail(
        "/v1/transfers",
        {
            "source_account_id": bob,
            "destination_account_id": alice,
            "amount": 100000,
            "currency": "USD",
        },
    )

    teller.say("The rent was paid twice: the entry is reversed, its fee with it.")
    await teller.post(f"/v1/entries/{paid['id']}/reverse", {"description": "Paid twice"})

    teller.say("Alice buys euros for 100 dollars, at a rate of 0.9215.")
    await teller.post(
        "/v1/exchanges",
        {
            "source_account_id": alice,
            "destination_account_id": euros,
            "source_currency": "USD",
            "destination_currency": "EUR",
            "source_amount": 10000,
            "rate": "0.9215",
        },
    )

    teller.say("What everybody has now.")
    await teller.show_balances([alice, euros, bob])
    teller.say("And how Alice's dollars came to be what they are.")
    await teller.show_history(alice)


class Teller:
    """Asks the service, and prints what it answers."""

    def __init__(self, client: AsyncClient, paper: Console) -> None:
        self._client = client
        self._paper = paper
        self._names: dict[str, str] = {}
        self._steps = 0

    def say(self, sentence: str) -> None:
        """Begin the next step."""
        self._steps += 1
        self._paper.print(f"\n[bold]{self._steps:2} {escape(sentence)}[/]")

    async def choose_ledger(self) -> None:
        """Play in the first ledger that the key may use."""
        ledgers = (await self._ask("GET", "/v1/ledgers")).json()["items"]
        if not ledgers:
            raise SetupError("There is no ledger to play in; `catena up` makes one.")
        self._client.headers["Catena-Ledger"] = ledgers[0]["id"]

    async def open_wallet(self, user: str, currency: str) -> str:
        """Open a wallet; gives its id."""
        answer = await self._ask(
            "POST", "/v1/accounts", {"user_id": user, "currency": currency}, new_id("demo_")
        )
        account: str = answer.json()["id"]
        self._names[account] = f"{user}, {currency}"
        self._print_request("POST", "/v1/accounts", answer, self._names[account])
        return account

    async def post(self, path: str, body: Mapping[str, Any], *, key: str = "") -> dict[str, Any]:
        """Post an entry and show its lines; gives the answer."""
        answer = await self._ask("POST", path, body, key or new_id("demo_"))
        entry: dict[str, Any] = answer.json()
        self._print_request("POST", path, answer, f"position {entry['position']}")
        table = _make_table("", "", ">")
        for line in entry["lines"]:
            amount = _format(line["amount"], line["currency"])
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
        self._print(f"[dim]Idempotency-Replayed: {replayed}. Nothing moved twice.[/]")

    async def fail(self, path: str, body: Mapping[str, Any]) -> None:
        """Ask for what must be refused, and show the problem."""
        answer = await self._ask("POST", path, body, new_id("demo_"), expected={_REFUSED})
        problem = answer.json()
        self._print_request("POST", path, answer)
        self._print(f"[red]{problem['code']}[/]: {escape(problem['title'])}. Nothing is written.")

    async def show_balances(self, accounts: Sequence[str]) -> None:
        """Read each balance and show it."""
        table = _make_table("", ">", ">")
        table.add_row("", "posted", "available", style="dim")
        for account in accounts:
            path = f"/v1/accounts/{account}/balance"
            balance = (await self._ask("GET", path)).json()
            posted, available = (
                format_amount(balance[name], iso_currency(balance["currency"]))
                for name in ("posted", "available")
            )
            table.add_row(await self._name(account), posted, available)
        self._print("[dim]GET /v1/accounts/{id}/balance[/]")
        self._print(table)

    async def show_history(self, account: str) -> None:
        """Read an account's history and show it, the oldest first."""
        path = f"/v1/accounts/{account}/entries?order=ascending"
        history = (await self._ask("GET", path)).json()
        currency = iso_currency(history["currency"])
        table = _make_table("", "", ">", ">")
        table.add_row("", "", "amount", "balance", style="dim")
        for line in history["items"]:
            amount, balance = (
                format_amount(line[name], currency) for name in ("amount", "balance")
            )
            table.add_row(line["entry"]["type"], line["side"], amount, balance)
        self._print("[dim]GET /v1/accounts/{id}/entries?order=ascending[/]")
        self._print(table)

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
    ) -> Response:
        headers = {} if key is None else {"Idempotency-Key": key}
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
        head, _, id = path.rpartition("/")
        if "_" in head:  # an id of 36 characters would hide what is done with it
            head = head.rpartition("/")[0] + "/{id}"
        status = f"[cyan]{answer.status_code}[/]"
        self._print(f"[dim]{method} {escape(head)}/{id}[/] {status}{note and '  ' + note}")

    def _print(self, what: str | Table) -> None:
        self._paper.print(Padding(what, (0, 0, 0, 3), expand=False))


def _make_table(*columns: str) -> Table:
    """A table without rules; `>` aligns a column to the right."""
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(justify="right" if column == ">" else "left", no_wrap=True)
    return table


def _format(amount: int, currency: str) -> str:
    return f"{format_amount(amount, iso_currency(currency))} {currency}"


def _describe(answer: Response) -> str:
    try:
        return f"{answer.status_code} {answer.json()['code']}"
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)
