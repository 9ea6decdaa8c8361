"""Somebody else's idea of Stripe, as processes: localstripe behind our proxy, and Stripe's own SDK.

Invariant: nothing of theirs is imported, and nothing of theirs listens beyond loopback. What
localstripe refuses because it does not know it, the proxy leaves out: `UNKNOWN_TO_LOCALSTRIPE`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.gateways.stripe.running import API_KEY, SECRET, Proxy, run_program, run_proxy

__all__ = ["Localstripe", "Sdk", "run_localstripe", "run_sdk", "run_stateful_mock"]

_HERE: Final = Path(__file__).parent

UNKNOWN_TO_LOCALSTRIPE: Final = (
    ("POST", "/v1/payment_intents", "description|return_url|mandate|payment_method_data"),
    ("GET", "/v1/payment_intents", "created"),
    ("POST", "/v1/payment_intents/[^/]+/capture", "metadata"),
    ("GET", "/v1/balance_transactions", "created"),
)
"""What localstripe answers with 400: method, path, and how the names of parameters begin. Lists are
longer without `created`; metadata of a capture is written right after it.
"""


def _python(program: str) -> Path:
    """The Python of the environment that this program is installed in."""
    found = shutil.which(program)
    assert found is not None, f"{program} is not installed"
    return Path(found).with_name("python")


@dataclass(frozen=True)
class Localstripe:
    """localstripe, and the proxy in front of it."""

    url: str
    proxy: Proxy
    http: httpx2.Client

    def ask(self, method: str, path: str, **form: str) -> Any:  # noqa: ANN401  # any JSON
        """Ask localstripe itself, past the proxy."""
        told = {"data": form} if method == "POST" else {"params": form}
        answer = self.http.request(method, path, **told)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    def make_card(self, number: str) -> str:
        """A payment method, which Stripe's own form would have made in the payer's browser."""
        card = {"number": number, "exp_month": "12", "exp_year": "2034", "cvc": "314"}
        form = {f"card[{name}]": text for name, text in card.items()}
        return str(self.ask("POST", "/v1/payment_methods", type="card", **form)["id"])

    def make_debit(self, iban: str) -> str:
        """A payment method that is a bank account."""
        form = {"type": "sepa_debit", "sepa_debit[iban]": iban}
        return str(self.ask("POST", "/v1/payment_methods", **form)["id"])

    def authenticate(self, intent: str, *, success: bool) -> None:
        """The payer's bank asks its customer, who says yes or no."""
        secret = self.ask("GET", f"/v1/payment_intents/{intent}")["client_secret"]
        said = {"client_secret": secret, "success": "true" if success else "false"}
        self.http.post(f"/v1/payment_intents/{intent}/_authenticate", data=said)

    def send_hooks_to(self, url: str, name: str = "ours") -> None:
        """Have it send its webhooks there, too, signed with our secret."""
        self.ask("POST", f"/_config/webhooks/{name}", url=url, secret=SECRET)

    def list_intents(self, **wanted: str) -> list[dict[str, Any]]:
        """Its PaymentIntents that have this in their metadata."""
        found = self.ask("GET", "/v1/payment_intents", limit="1000")["data"]
        return [one for one in found if wanted.items() <= (one["metadata"] or {}).items()]

    def list_refunds(self, key: str) -> list[dict[str, Any]]:
        """Its refunds that bear this key."""
        found = self.ask("GET", "/v1/refunds", limit="1000")["data"]
        return [one for one in found if (one["metadata"] or {}).get("catena_key") == key]


@contextmanager
def run_localstripe() -> Iterator[Localstripe]:
    """localstripe, with nothing in it, and a proxy in front of it."""
    with (
        run_program(_python("localstripe"), _HERE / "localstripe_server.py") as url,
        run_proxy(url, UNKNOWN_TO_LOCALSTRIPE) as proxy,
        httpx2.Client(
            base_url=url,
            headers={"authorization": f"Bearer {API_KEY}"},
            timeout=20,
            trust_env=False,
        ) as http,
    ):
        yield Localstripe(url, proxy, http)


@dataclass(frozen=True)
class Sdk:
    """Stripe's SDK, in its own process."""

    process: subprocess.Popen[str]

    def call(self, call: str, **told: object) -> Any:  # noqa: ANN401  # any JSON
        """What it gets; see `_CALLS`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"call": call, "told": told}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def takes(self, body: bytes, header: str, secret: str = SECRET) -> bool:
        """Whether it takes a webhook for one of Stripe's."""
        text = base64.b64encode(body).decode()
        answer = self.call("construct_event", body=text, header=header, secret=secret)
        assert answer.get("raised") in (None, "SignatureVerificationError"), answer
        return "found" in answer


@contextmanager
def run_sdk(url: str) -> Iterator[Sdk]:
    """The SDK, which calls this address with our key."""
    with subprocess.Popen(
        [_python("localstripe"), _HERE / "stripe_sdk.py", API_KEY, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Sdk(process)
        finally:
            process.kill()


@contextmanager
def run_stateful_mock() -> Iterator[str]:
    """stripe-stateful-mock, with nothing in it; gives its address."""
    found = shutil.which("stripe-stateful-mock")
    assert found is not None
    modules = Path(found).resolve().parents[2]
    environment: Mapping[str, str] = os.environ | {"NODE_PATH": str(modules), "LOG_LEVEL": "error"}
    with run_program("node", _HERE / "stateful_mock.js", **environment) as url:
        yield url
