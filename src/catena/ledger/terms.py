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
    """Why the change cannot be made to the account as it stands, or None."""
    changed = profile._replace(**change.fields)  # type: ignore[arg-type]  # checked at the edge
    if change.revision is not None and change.revision != profile.revision:
        return Refusal(RefusalCode.STALE_REVISION, profile.id)
    if profile.status is AccountStatus.CLOSED:
        return Refusal(RefusalCode.ACCOUNT_CLOSED, profile.id)
    if changed.status is AccountStatus.CLOSED and (account.posted or account.reserved):
        return Refusal(RefusalCode.ACCOUNT_NOT_EMPTY, profile.id)
    if (changed.floor is None) is not (profile.floor is None):
        return Refusal(RefusalCode.FLOOR_NOT_CHANGEABLE, profile.id)
    if changed.floor is not None and account.posted - account.reserved < changed.floor:
        return Refusal(RefusalCode.FLOOR_ABOVE_BALANCE, profile.id)
    return None


def change_terms(change: TermsChange, profile: Profile, account: Account) -> Profile:
    """Apply a change that was not refused, and give the account's next revision."""
    changed = profile._replace(revision=profile.revision + 1, **change.fields)  # type: ignore[arg-type]
    account.status, account.floor, account.ceiling = changed.status, changed.floor, changed.ceiling
    return changed
