"""A hold: authorised, captured in parts, and its rest given back; and one that is voided.

Run it beside `catena up`: `python examples/hold_and_capture.py`.
"""

from __future__ import annotations

from typing import Any

from caller import connect, dollars


def main() -> None:
    """Play it."""
    catena = connect()
    print("A guest with 200 dollars, and a hotel.")
    guest, hotel = catena.open_wallet("guest", 20000), catena.open_wallet("hotel")
    terms = {
        "account_id": guest,
        "destination_account_id": hotel,
        "amount": 15000,
        "currency": "USD",
        "expires_seconds": 604800,
    }

    print("The hotel has 150 dollars set aside for a week.")
    hold = catena.post("/v1/holds", {**terms, "reference": "room 12"})
    catena.show(guest=guest, hotel=hotel)

    print("It takes 90 dollars for the room. They are the hotel's at once.")
    tell(catena.post(f"/v1/holds/{hold['id']}/capture", {"amount": 9000}))
    catena.show(guest=guest, hotel=hotel)

    print("More than remains is refused.")
    catena.post(f"/v1/holds/{hold['id']}/capture", {"amount": 9000})

    print("Breakfast is the last capture: the rest is the guest's again.")
    tell(catena.post(f"/v1/holds/{hold['id']}/capture", {"amount": 1500, "final": True}))
    catena.show(guest=guest, hotel=hotel)

    print("Another guest never comes: voided before a capture, a hold leaves no trace.")
    hold = catena.post("/v1/holds", {**terms, "amount": 5000, "reference": "room 13"})
    tell(catena.post(f"/v1/holds/{hold['id']}/void", {"reason": "No show"}))
    catena.show(guest=guest, hotel=hotel)


def tell(hold: dict[str, Any]) -> None:
    """Print what was captured, and what remains."""
    print(f"    captured {dollars(hold['captured'])}, remaining {dollars(hold['remaining'])}")


if __name__ == "__main__":
    main()
