"""Only what somebody who knows the secret has just sent is read, from the very bytes that came."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.gateways.contract import ForgedWebhook, UnreadableWebhook
from catena.gateways.stripe.events import read_event
from catena.gateways.stripe.signature import HEADER, check_signature
from tests.gateways.stripe.running import AT, SECRET
from tests.gateways.stripe.shapes import event, intent
from tests.gateways.stripe.signing import sign

OLD = "whsec_of_before"
BODY = json.dumps(event("payment_intent.succeeded", intent()), indent=2).encode()
GOOD = sign(BODY, SECRET)
SECOND = dt.timedelta(seconds=1)
TOLERANCE = dt.timedelta(minutes=5)


def is_taken(header: str | None, body: bytes = BODY, *, now: dt.datetime = AT) -> bool:
    """Whether the webhook is taken for one of Stripe's."""
    headers = {} if header is None else {HEADER: header}
    try:
        check_signature([OLD, SECRET], headers, body, now, TOLERANCE)
    except ForgedWebhook as error:
        return SECRET in str(error)
    return True


def test_the_vector_of_the_notes_fits() -> None:
    """A signature that Stripe's own SDK made for these bytes, this time and this secret fits."""
    body = b'{"id":"evt_1","object":"event"}'
    at = dt.datetime.fromtimestamp(1_700_000_000, dt.UTC)
    known = "6fd13aeb3eae8caf0f65b522a7573de9e4d64a4652a207fed6a4c68a74b00b8a"
    header = f"t=1700000000,v1={known}"
    check_signature(["whsec_s3cr3t"], {HEADER: header}, body, at, TOLERANCE)
    assert header == sign(body, "whsec_s3cr3t", at=at)


TAKEN: list[tuple[str, str, bool]] = [
    ("as Stripe sends it", GOOD, True),
    ("by the secret that was in force before", sign(BODY, OLD), True),
    ("while a secret is rolled", sign(BODY, "whsec_new", SECRET), True),
    ("with test mode's own scheme beside it", f"{GOOD},v0=00", True),
    ("by another secret", sign(BODY, "whsec_other"), False),
    ("by test mode's scheme alone", sign(BODY, SECRET, scheme="v0"), False),
    ("with its time changed", GOOD.replace("t=1", "t=2"), False),
    ("with another time before it", f"t=1,{GOOD}", False),
    ("with another time after it", f"{GOOD},t=1", False),
    ("without a time", GOOD.partition(",")[2], False),
    ("without a signature", GOOD.partition(",")[0], False),
    ("with a time that is none", GOOD.replace("t=1", "t=-1"), False),
    ("with a time in other digits", GOOD.replace("t=1", "t=\u0661"), False),
    ("empty", "", False),
    ("in capitals", GOOD.upper(), False),
    ("with signatures without end", ",".join([GOOD] + 21 * ["v1=00"]), False),
    ("with letters of no alphabet", f"{GOOD.partition(',')[0]},v1=\u00e9\udcff", False),
]


@pytest.mark.parametrize(
    ("header", "taken"), [case[1:] for case in TAKEN], ids=[case[0] for case in TAKEN]
)
def test_a_header_is_taken_or_not(header: str, *, taken: bool) -> None:
    """One signature of a secret in force is enough, and nothing else will do."""
    assert is_taken(header) is taken


def test_no_header_is_no_signature() -> None:
    """Who signs nothing is refused."""
    assert not is_taken(None)


@pytest.mark.parametrize("sign_of_time", [-1, 1])
def test_a_replay_is_refused(sign_of_time: int) -> None:
    """Within the tolerance it is taken, beyond it not, be it of the past or of a time to come."""
    edge = sign_of_time * TOLERANCE
    assert is_taken(sign(BODY, SECRET, at=AT + edge))
    assert not is_taken(sign(BODY, SECRET, at=AT + edge + sign_of_time * SECOND))


def test_other_bytes_are_refused() -> None:
    """The same JSON in other bytes is not what was signed."""
    again = json.dumps(json.loads(BODY)).encode()
    assert json.loads(again) == json.loads(BODY)
    assert not is_taken(GOOD, again)
    assert not is_taken(GOOD, BODY + b" ")


@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_any_change_of_a_byte_is_refused(noise: bytes, place: int) -> None:
    """Whatever is changed within the body, the signature does not fit any more."""
    place %= len(BODY)
    changed = BODY[:place] + noise + BODY[place + len(noise) :]
    assert is_taken(GOOD, changed) is (changed == BODY)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


@given(_JSON | st.binary().map(lambda noise: noise.decode("latin-1")))
def test_whatever_is_signed_is_read_or_unreadable(found: object) -> None:
    """A body that Stripe would never send says nothing, and breaks nothing."""
    for body in (json.dumps(found).encode(), repr(found).encode("utf-8", "surrogatepass")):
        with pytest.raises(UnreadableWebhook):
            read_event(body, is_live=False)


@given(st.sampled_from([intent(), event("payment_intent.succeeded", intent())]), st.data())
def test_any_part_may_be_of_another_kind(whole: dict[str, object], data: st.DataObject) -> None:
    """An event with one part that is something else is read, or is unreadable."""
    broken = event("payment_intent.payment_failed", dict(whole))
    target = data.draw(st.sampled_from([broken, broken["data"]["object"]]))
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(_JSON)
    try:
        read = read_event(json.dumps(broken).encode(), is_live=False)
    except UnreadableWebhook:
        read = []
    assert len(read) <= 1


ODD: list[tuple[str, bytes]] = [
    ("not UTF-8", b"\xff"),
    ("UTF-16", json.dumps(event("payment_intent.succeeded", intent())).encode("utf-16")),
    ("nested without end", b'{"a":' * 100_000),
    ("a number without end", b'{"created":' + 5_000 * b"9" + b"}"),
    ("nothing", b""),
]


@pytest.mark.parametrize("body", [case[1] for case in ODD], ids=[case[0] for case in ODD])
def test_odd_bytes_are_unreadable(body: bytes) -> None:
    """Bytes that are no JSON of Stripe's are unreadable, whoever signed them."""
    with pytest.raises(UnreadableWebhook):
        read_event(body, is_live=False)
