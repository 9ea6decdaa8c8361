"""Why Stripe says no, as data: which refusals will be said again, and which are for now.

Stripe's page "Decline codes" says what each means and gives no such list: the column is ours. What
is not in a table is permanent, so that no card is tried again for a reason that we do not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["ADVICE", "DECLINES", "REFUND_FAILURES", "is_permanent"]

ADVICE: Final[Mapping[str, bool]] = {
    "confirm_card_data": True,
    "do_not_try_again": True,
    "try_again_later": False,
}
"""The issuer's own word on trying again (`advice_code`), which beats any code: permanent or not."""

DECLINES: Final[Mapping[str, bool]] = {
    # For now: the same card may well pay later.
    "approve_with_id": False,
    "card_velocity_exceeded": False,
    "charge_exceeds_weekly_limit": False,
    "insufficient_funds": False,
    "issuer_not_available": False,
    "processing_error": False,
    "reenter_transaction": False,
    "try_again_later": False,
    "withdrawal_count_limit_exceeded": False,
    # The bank does not say why: its customer has to ask it.
    "call_issuer": True,
    "card_declined": True,
    "do_not_honor": True,
    "generic_decline": True,
    "no_action_taken": True,
    # The payer has to do something first.
    "authentication_not_handled": True,
    "authentication_required": True,
    "duplicate_transaction": True,
    "incorrect_address": True,
    "incorrect_cvc": True,
    "incorrect_pin": True,
    "incorrect_zip": True,
    "invalid_amount": True,
    "invalid_cvc": True,
    "invalid_pin": True,
    "mobile_device_authentication_required": True,
    "offline_pin_required": True,
    "online_or_offline_pin_required": True,
    "payment_intent_authentication_failure": True,
    "pin_try_exceeded": True,
    # Not with this card or account.
    "account_closed": True,
    "bank_account_unusable": True,
    "card_not_supported": True,
    "charge_exceeds_source_limit": True,
    "currency_not_supported": True,
    "debit_not_authorized": True,
    "do_not_try_again": True,
    "expired_card": True,
    "fraudulent": True,
    "incorrect_number": True,
    "invalid_account": True,
    "invalid_expiry_month": True,
    "invalid_expiry_year": True,
    "invalid_number": True,
    "lost_card": True,
    "merchant_blacklist": True,
    "new_account_information_available": True,
    "not_permitted": True,
    "pickup_card": True,
    "restricted_card": True,
    "revocation_of_all_authorizations": True,
    "revocation_of_authorization": True,
    "security_violation": True,
    "service_not_allowed": True,
    "stolen_card": True,
    "stop_payment_order": True,
    "testmode_decline": True,
    "transaction_not_allowed": True,
}
"""Codes of refused charges: `decline_code`, else `code`; permanent or not."""

REFUND_FAILURES: Final[Mapping[str, bool]] = {
    "charge_for_pending_refund_disputed": True,
    "declined": True,
    "expired_or_canceled_card": True,
    "insufficient_funds": False,  # ours, at Stripe
    "lost_or_stolen_card": True,
    "merchant_request": True,
    "unknown": True,
}
"""Codes of refunds that failed (`failure_reason`); permanent or not."""


def is_permanent(code: str, advice: str = "") -> bool:
    """Whether a charge that was refused so will be refused again."""
    return ADVICE.get(advice, DECLINES.get(code, True))
