"""Thousands of hostile requests: 200, 204 or 400, and never a bid above cap or budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.hostile import hostile
from tests.support.serving import Answer, Client, decision_bundle, served

BID, DECIDE = "/openrtb2/bid", "/v1/decide"
BUDGET_TOTAL = 0.05  # currency: reached within the run, so that its end is met too
CAP_CPM = 2.5
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("id", "imp", "banner", "bidfloor", "decisions", "observation", "cur")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


class Auditor:
    """Adds up what was bid; shares no code with the books."""

    def __init__(self) -> None:
        self.bid = 0.0
        self.statuses: dict[int, int] = {}

    def look(self, asked: Any, answer: Answer) -> None:
        """Hold one answer to what no answer may be."""
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        assert answer.status in (200, 204, 400), (answer.status, asked[:300], answer.content)
        if answer.status == 200 and b"seatbid" in answer.content:
            for bid in answer.json["seatbid"][0]["bid"]:
                assert 0 < bid["price"] <= CAP_CPM
                if "r=-1&" not in bid["nurl"]:  # of tests, which reserve nothing
                    self.bid += bid["price"] / 1000
        assert self.bid <= BUDGET_TOTAL + 1e-12


def valid_bid(number: int) -> dict[str, Any]:
    imps = [
        {
            "id": str(i), "banner": {"w": 1}, "bidfloor": 0.0001, "bidfloorcur": "USD",
            "metric": [{"type": "click_through_rate", "value": 1e-4}], "pmp": {"deals": []},
        }
        for i in range(1 + number % 3)
    ]  # fmt: skip
    return {
        "id": f"r{number}", "imp": imps, "at": 2, "test": 0, "tmax": 500, "cur": ["USD", "EUR"],
        "regs": {"coppa": 0, "gdpr": 0}, "device": {"lmt": 0}, "user": {}, "site": {"id": "s"},
    }  # fmt: skip


def valid_decide(client: Client) -> dict[str, Any]:
    names = client.server.desk.champion.words.names
    one = {
        "observation": dict.fromkeys(names, 0.5), "unit": "u", "hour": 3, "cost": 1.0, "id": "1",
        "context": {"shop": "x"},
    }  # fmt: skip
    return {"decision": client.server.desk.champion.words.decision, "decisions": [one, dict(one)]}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decision_bundle(tmp_path_factory.mktemp("hostile") / "bundle", "bidding")


def serving(bundle: Path, folder: Path) -> Any:
    live = {"budget_total": BUDGET_TOTAL, "bid_cap_cpm": CAP_CPM, "own_ms": 0.001}
    return served(bundle, folder, live=live)


def attack(client: Client, requests: int, seed: int) -> Auditor:
    auditor, rng = Auditor(), np.random.default_rng(seed)
    decide = valid_decide(client)
    for number in range(requests):
        address, valid = (BID, valid_bid(number)) if number % 2 else (DECIDE, decide)
        content, headers = hostile(valid, rng)
        auditor.look(content, client.ask("POST", address, content, **headers))
    return auditor


def test_mutilated_requests_get_400_or_204_and_never_more_than_the_budget(
    bundle: Path, tmp_path: Path
) -> None:
    with serving(bundle, tmp_path / "s") as client:
        auditor = attack(client, 1500, seed=0)
        assert auditor.statuses[400] > 500
        assert auditor.statuses[204] > 20
        assert auditor.statuses[200] > 50  # some mutations do no harm: those are answered
        assert auditor.bid > 0
        alerts = client.server.desk.metrics.registry.get_sample_value(
            "ppo_alerts_total", {"what": "error"}
        )
        assert alerts is None


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_hundred_thousand_mutilated_requests(bundle: Path, tmp_path: Path, seed: int) -> None:
    with serving(bundle, tmp_path / "s") as client:
        assert attack(client, 20_000, seed).statuses[400] > 5000


def test_any_json_at_all_is_answered(bundle: Path, tmp_path: Path) -> None:
    with serving(bundle, tmp_path / "s") as client:
        auditor = Auditor()

        @settings(
            max_examples=300, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(JSON)
        def everything(values: Any) -> None:
            for address in (BID, DECIDE):
                auditor.look(str(values), client.post(address, values))

        everything()
        assert sum(auditor.statuses.values()) >= 600


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_the_server_keeps_to_its_own_description(
    bundle: Path, tmp_path: Path, mode: GenerationMode
) -> None:
    with serving(bundle, tmp_path / "s") as client:
        schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
        for address in (BID, DECIDE, "/v1/settle"):
            statuses: set[int] = set()
            generated = schema[address]["POST"].as_strategy(generation_mode=mode)

            @settings(
                max_examples=20, deadline=None, database=None, derandomize=True,
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(generated, st.just(statuses))
            def keeps(case: Any, statuses: set[int]) -> None:
                statuses.add(case.call_and_validate(checks=CHECKS).status_code)

            keeps()
            assert statuses <= {200, 204, 400, 405}
            assert (200 if mode is GenerationMode.POSITIVE else 400) in statuses
