"""Signatures of webhooks: what Standard Webhooks publishes, and every way to be wrong."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.errors import InvalidInput
from catena.outside.signing import format_secret, parse_secret, sign, verify

# The example of the specification's own libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SENT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

FIVE_MINUTES = timedelta(minutes=5)
KEY = parse_secret(SECRET)


def compute(secret: bytes, id: str, seconds: int, body: bytes) -> str:
    """The signature, worked out step by step by RFC 2104."""
    block = secret.ljust(64, b"\0")
    inner = bytes(byte ^ 0x36 for byte in block)
    outer = bytes(byte ^ 0x5C for byte in block)
    signed = id.encode() + b"." + str(seconds).encode() + b"." + body
    digest = hashlib.sha256(outer + hashlib.sha256(inner + signed).digest()).digest()
    return "v1," + base64.b64encode(digest).decode()


def test_the_published_example() -> None:
    """What other libraries sign, we sign the same and accept."""
    headers = sign(KEY, ID, SENT, BODY)
    assert headers == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }
    assert verify(KEY, headers, BODY, SENT, FIVE_MINUTES)


@given(
    st.binary(min_size=24, max_size=64),
    st.text("abc_019", min_size=1),
    st.integers(0, 2**33),
    st.binary(),
)
def test_a_signature_is_the_standards(secret: bytes, id: str, seconds: int, body: bytes) -> None:
    """Any secret, id, second and body: HMAC with SHA-256 over the three, parted by dots."""
    at = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=999_999)
    headers = sign(secret, id, at, body)
    assert headers["webhook-signature"] == compute(secret, id, seconds, body)
    assert verify(secret, headers, body, at, timedelta(seconds=1))


@given(st.integers(0, 2**20), st.binary(min_size=1), st.data())
def test_a_changed_byte_is_seen(flip: int, body: bytes, data: st.DataObject) -> None:
    """No bit of the body can change."""
    headers = sign(KEY, ID, SENT, body)
    place = data.draw(st.integers(0, len(body) - 1))
    changed = bytearray(body)
    changed[place] ^= 1 << flip % 8
    assert not verify(KEY, headers, bytes(changed), SENT, FIVE_MINUTES)


@pytest.mark.parametrize(
    ("seconds", "fits"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_an_old_signature_is_refused(seconds: int, fits: bool) -> None:  # noqa: FBT001
    """What was sent too long ago, or is to be sent in the future, may be a copy."""
    now = SENT + timedelta(seconds=seconds)
    assert verify(KEY, sign(KEY, ID, SENT, BODY), BODY, now, FIVE_MINUTES) is fits


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"},
        {"webhook-id": ""},
        {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": "01614265330"},
        {"webhook-timestamp": "+1614265330"},
        {"webhook-timestamp": "1614265330 "},
        {"webhook-timestamp": "1_614_265_330"},
        {"webhook-timestamp": "١٦١٤٢٦٥٣٣٠"},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "1614265330.0"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": SIGNATURE.removeprefix("v1,")},
        {"webhook-signature": SIGNATURE.replace("v1", "v2")},
        {"webhook-signature": SIGNATURE[:-1]},
        {"webhook-signature": SIGNATURE.lower()},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "v1,\ud800"},
    ],
)
def test_a_changed_header_is_seen(change: dict[str, str]) -> None:
    """Id, time and signature belong together, and are written in one way."""
    headers = sign(KEY, ID, SENT, BODY)
    assert verify(KEY, headers, BODY, SENT, FIVE_MINUTES)
    assert not verify(KEY, {**headers, **change}, BODY, SENT, FIVE_MINUTES)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_header_is_needed(name: str) -> None:
    """A message that lacks one is not signed."""
    headers = sign(KEY, ID, SENT, BODY)
    del headers[name]
    assert not verify(KEY, headers, BODY, SENT, FIVE_MINUTES)


def test_another_secret_does_not_fit() -> None:
    """Only who holds the secret can sign."""
    headers = sign(b"x" * 32, ID, SENT, BODY)
    assert not verify(KEY, headers, BODY, SENT, FIVE_MINUTES)


def test_one_signature_of_several_is_enough() -> None:
    """While a secret is changed, a message carries the signatures of both."""
    headers = sign(KEY, ID, SENT, BODY)
    others = ["v1," + base64.b64encode(b"x" * 32).decode(), "v1a,abc"]
    headers["webhook-signature"] = " ".join([*others, SIGNATURE])
    assert verify(KEY, headers, BODY, SENT, FIVE_MINUTES)
    headers["webhook-signature"] = " ".join(others)
    assert not verify(KEY, headers, BODY, SENT, FIVE_MINUTES)


def test_what_is_signed_is_read_in_one_way() -> None:
    """An id with a dot could be an id, a time and half a body: it is never signed nor accepted."""
    with pytest.raises(InvalidInput):
        sign(KEY, f"{ID}.1614265330", SENT, BODY)
    with pytest.raises(InvalidInput):
        sign(KEY, "", SENT, BODY)
    for id, fits in (("a-1", True), ("a.1", False), ("", False)):
        headers = {
            "webhook-id": id,
            "webhook-timestamp": "1614265330",
            "webhook-signature": compute(KEY, id, 1614265330, BODY),
        }
        assert verify(KEY, headers, BODY, SENT, FIVE_MINUTES) is fits


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_read_as_it_was_written(secret: bytes) -> None:
    """`whsec_` and base64, there and back."""
    text = format_secret(secret)
    assert text == "whsec_" + base64.b64encode(secret).decode()
    assert parse_secret(text) == secret


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        SECRET.replace("whsec_", "WHSEC_"),
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        SECRET + "!",
        SECRET + "\n",
        SECRET[:-1],
        "whsec_" + "é" * 32,
    ],
)
def test_a_bad_secret_is_refused(text: str) -> None:
    """Another prefix, another alphabet, too short or too long; the error does not repeat it."""
    with pytest.raises(InvalidInput) as caught:
        parse_secret(text)
    assert caught.value.detail == "A signing secret is whsec_ and 24 to 64 bytes in base64."


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_weak_secret_is_not_shown(size: int) -> None:
    """Nobody is given a secret that others would refuse."""
    with pytest.raises(InvalidInput):
        format_secret(b"x" * size)
