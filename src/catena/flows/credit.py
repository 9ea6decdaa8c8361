"""Money that nobody had asked for: to the wallet that it names, else to suspense, until a person
says whose it is.

Invariant: what belongs to whom is never guessed; what stands in suspense leaves it once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from catena.chains.chain import Chain
from catena.chains.definition import Definition
from catena.chains.step_types import Outcome
from catena.db.bank_names import find_accounts
from catena.db.notices import Told
from catena.db.suspense import Suspended
from catena.flows.lines import OURS
from catena.flows.notices import describe_notice
from catena.flows.reactions import Moved, came_in, out_of_suspense, touched_by
from catena.gateways.bank.matching import (
    MATCHED_BY,
    find_candidates,
    match_credit,
    read_credit,
)
from catena.gateways.contract import Subject
from catena.ids import CHAIN, derive_within
from catena.journal import ChainResult, Follow, NoticeTaken, PostEntry, TakeNotice
from catena.ledger.accounts import SystemRole, system_account_id
from catena.ledger.entries import EntryType
from catena.ledger.operations import draft_deposit, draft_withdrawal
from catena.settings import LIMITS

if TYPE_CHECKING:
    from catena.db.installation import Ledger
    from catena.db.pool import Pool
    from catena.gateways.contract import Notice
    from catena.journal import Journal
    from catena.ledger.accounts import Account

__all__ = ["assign", "find_owner", "take_credit"]

REVERSED: Final = f"{OURS}credit_reversed"
_LOSSES: Final = str(SystemRole.LOSSES)
_SUSPENSE: Final = str(SystemRole.SUSPENSE)


async def find_owner(pool: Pool, ledger: Ledger, gateway: str, notice: Notice) -> str | None:
    """The account that a credit names by a virtual IBAN or a reference; None: it names nobody."""
    credit = read_credit(notice.details)
    named = find_candidates(credit)
    references = named.structured | named.in_text
    async with pool.acquire() as connection:
        by_iban, by_reference = await find_accounts(
            connection, ledger.number, gateway, named.ibans, references
        )
    return match_credit(credit, by_iban, by_reference)


async def take_credit(
    journal: Journal,
    ledger: Ledger,
    gateway: str,
    notice: Notice,
    *,
    wallet: str | None,
    since: str,
) -> NoticeTaken:
    """Take in money that came in, or one that is taken back (declined), once.

    `wallet`: whose it is; what is taken back goes out of suspense, since nobody knows which credit
    it was. `since`: digits of the id of what told it, by whose time the chain is sorted. What is
    kept of it has no whole account number of the payer's.
    """
    moved = Moved(
        gateway,
        notice.reference or notice.id,
        notice.amount or 0,
        notice.currency or "",
        (notice.text or notice.code or "credit")[: LIMITS.text_characters],
        None,
    )
    comes = notice.subject is Subject.PAYOUT or notice.outcome is Outcome.APPROVED

    def define(about: Chain | None, accounts: Mapping[str, Account]) -> Definition:
        del about
        return came_in(moved, wallet, accounts) if comes else out_of_suspense(moved, REVERSED)

    id = derive_within(CHAIN, since, "credit", gateway, notice.id)
    touched = touched_by(moved, wallet if comes else None, ledger.id)
    follow = Follow(id, gateway, touched, define)
    details = {name: told for name, told in notice.details.items() if name not in MATCHED_BY}
    kept = describe_notice(notice._replace(details=details))
    told = Told(gateway, notice.id, notice.subject, kept)
    result = await journal.ask(ledger, TakeNotice(told, follow=follow))
    assert isinstance(result, ChainResult)  # noqa: S101  # what the operation gives
    taken: NoticeTaken = result.value
    return taken


def assign(
    ledger: Ledger, one: Suspended, account: str | None, reason: str, by: str, content: str
) -> PostEntry:
    """The entry that gives what is in suspense to its owner, or has them give it back; without an
    `account` it is our loss, or makes good one.

    Its reference is what is assigned: one such entry is in force. `by`: whose decision it is;
    `content` fingerprints the account.
    """
    draft = draft_deposit if one.standing > 0 else draft_withdrawal
    owner = account or system_account_id(ledger.id, _LOSSES, one.currency)
    made = draft(ledger.id, owner, abs(one.standing), one.currency, through=_SUSPENSE)
    if account is None:
        made = made._replace(system=(*made.system, (_LOSSES, one.currency)))
    metadata = {"suspense_id": one.id, "assigned_by": by}
    return PostEntry(
        made._replace(
            type=EntryType.ADJUSTMENT,
            description=reason,
            reference=one.assigned_by,
            content=content,
            metadata=json.dumps(metadata, separators=(",", ":")),
        )
    )
