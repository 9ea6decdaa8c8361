"""The terms of an account: what people may change about it, and when a change is refused.

Invariant: whether an account has a floor never changes; a closed account stays closed and empty.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from catena.ledger.accounts import Account, AccountStatus, AccountType
from catena.ledger.refusals import Refusal, RefusalCode

__all__ = ["Profile", "TermsChange", "change_terms", "refuse_change"]


class Profile(NamedTuple):
    """An account as people see it. `floor` and `ceiling` in minor units; `metadata` JSON text.

    `created_at` None: it is being opened right now.
    """

    id: str
    type: AccountType
    currency: str
    role: str | None
    user_id: str | None
    name: str | None
    metadata: str
    status: AccountStatus
    floor: int | None
    ceiling: int | None
    revision: int
    created_at: dt.datetime | None = None


class TermsChange(NamedTuple):
    """The fields to change, by name, out of name, metadata, status, floor and ceiling.

    `revision`: the one that the caller read; None changes whatever is there.
    """

    revision: int | None
    fields: dict[str, object]


def refuse_change(change: TermsChange, profile: Profile, account: Account) -> Refusal | None:
    """Why the change cannot be made to the account as it stands, or None.

    Of several reasons the one that comes first in `RefusalCode`.
    """
    changed = profile._replace(**change.fields)  # type: ignore[arg-type]  # checked at the edge
    closes = changed.status is AccountStatus.CLOSED
    floor = changed.floor
    found = {
        RefusalCode.STALE_REVISION: change.revision not in {None, profile.revision},
        # Its operations need it for ever.
        RefusalCode.SYSTEM_ACCOUNT: closes and profile.role is not None,
        RefusalCode.ACCOUNT_CLOSED: profile.status is AccountStatus.CLOSED,
        RefusalCode.ACCOUNT_NOT_EMPTY: closes and bool(account.posted or account.reserved),
        RefusalCode.FLOOR_NOT_CHANGEABLE: (floor is None) is not (profile.floor is None),
        RefusalCode.FLOOR_ABOVE_BALANCE: (
            floor is not None and account.posted - account.reserved < floor
        ),
    }
    reasons = [code for code, holds in found.items() if holds]
    if not reasons:
        return None
    return Refusal(min(reasons, key=lambda code: code.precedence), profile.id)


def change_terms(change: TermsChange, profile: Profile, account: Account) -> Profile:
    """Apply a change that was not refused, and give the account's next revision."""
    changed = profile._replace(revision=profile.revision + 1, **change.fields)  # type: ignore[arg-type]
    account.status, account.floor, account.ceiling = changed.status, changed.floor, changed.ceiling
    return changed
