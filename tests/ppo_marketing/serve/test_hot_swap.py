"""Another policy takes over between two requests, or the one in charge remains."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.export.loading import load_bundle
from ppo_marketing.guardrails import ChoiceLimits, GuardrailLimits
from ppo_marketing.serve.app import look
from ppo_marketing.serve.server import opened
from ppo_marketing.serve.settings import ServeSettings
from tests.support.serving import Client, plain_bundle, served

KIND = "not normalised"
LIMITS = GuardrailLimits(choices=ChoiceLimits(choices=4, nothing=0))
ASKED = {"decisions": [{"observation": [0.1] * 16}]}


def version(client: Client) -> str:
    found = client.post("/v1/decide", ASKED)
    assert found.status == 200
    return str(found.json["policy"])


def look_once(client: Client) -> None:
    client.loop.run_until_complete(look(client.server))


def alerts(client: Client) -> float:
    counted = client.server.desk.metrics.registry.get_sample_value(
        "ppo_alerts_total", {"what": "refused_bundle"}
    )
    return counted or 0.0


def test_an_exported_bundle_takes_over_by_itself(tmp_path: Path) -> None:
    bundle = plain_bundle(tmp_path / "b", KIND, LIMITS)
    with served(bundle, tmp_path / "s") as client:
        first = version(client)
        look_once(client)
        assert version(client) == first
        plain_bundle(bundle, KIND, LIMITS, seed=1)
        look_once(client)
        second = version(client)
        assert second != first
        assert second == load_bundle(bundle).manifest["policy_sha256"][:12]
        metrics = client.ask("GET", "/metrics").content.decode()
        assert f'ppo_policy{{policy="{second}"}} 1.0' in metrics
        assert f'ppo_policy{{policy="{first}"}} 0.0' in metrics


def test_a_damaged_bundle_never_takes_over_and_is_told_once(tmp_path: Path) -> None:
    bundle = plain_bundle(tmp_path / "b", KIND, LIMITS)
    with served(bundle, tmp_path / "s") as client:
        assert client.ask("POST", "/admin/reload").status == 403  # no token was ever agreed on
        first = version(client)
        plain_bundle(bundle, KIND, LIMITS, seed=1)
        model = bytearray((bundle / "policy.onnx").read_bytes())
        model[len(model) // 2] ^= 1
        (bundle / "policy.onnx").write_bytes(model)
        for _ in range(3):
            look_once(client)
        assert version(client) == first
        assert alerts(client) == 1.0
        assert "SHA-256" in str(client.ask("GET", "/readyz").json["problems"])
        plain_bundle(bundle, KIND, LIMITS, seed=2)  # exported again
        look_once(client)
        assert version(client) != first
        assert client.ask("GET", "/readyz").json["problems"] == []


@pytest.mark.parametrize("other", ["choices", "amounts, clipped"])
def test_a_policy_of_other_actions_does_not_take_over(tmp_path: Path, other: str) -> None:
    bundle = plain_bundle(tmp_path / "b", KIND, LIMITS)
    with served(bundle, tmp_path / "s") as client:
        first = version(client)
        plain_bundle(bundle, other, None)
        look_once(client)
        assert version(client) == first
        assert "a server of its own" in client.server.refused


def test_while_an_export_is_renamed_nothing_is_missed(tmp_path: Path) -> None:
    bundle = plain_bundle(tmp_path / "b", KIND, LIMITS)
    with served(bundle, tmp_path / "s") as client:
        first = version(client)
        bundle.rename(tmp_path / "moved")
        look_once(client)
        assert version(client) == first
        assert alerts(client) == 0.0


def test_requests_in_flight_are_all_answered_while_policies_change(tmp_path: Path) -> None:
    bundle = plain_bundle(tmp_path / "b", KIND, LIMITS)
    with served(bundle, tmp_path / "s") as client:
        content = json.dumps(ASKED).encode()
        seen: list[str] = []

        async def asking() -> None:
            while len(set(seen)) < 3:
                answer = await client._ask("POST", "/v1/decide", content, {})
                assert answer.status == 200
                seen.append(answer.json["policy"])
                await asyncio.sleep(0)

        async def changing() -> None:
            for seed in (1, 2):
                plain_bundle(bundle, KIND, LIMITS, seed=seed)
                await look(client.server)
                await asyncio.sleep(0)

        async def together() -> None:
            await asyncio.wait_for(asyncio.gather(asking(), changing()), 60)

        client.loop.run_until_complete(together())
        order = list(dict.fromkeys(seen))
        assert len(order) == 3
        assert seen == sorted(seen, key=order.index)  # never back to an earlier one


def test_a_server_does_not_start_on_a_damaged_or_unexpected_bundle(tmp_path: Path) -> None:
    bundle = plain_bundle(tmp_path / "b", KIND, LIMITS)
    settings = ServeSettings(folder=str(tmp_path / "s"))
    with (
        pytest.raises(IntegrityError, match="another bundle"),
        opened(bundle, settings, sha256="0" * 64),
    ):
        pass
    (bundle / "golden.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError), opened(bundle, settings):
        pass
    with pytest.raises(UserError), opened(tmp_path / "none", settings):
        pass


def test_whoever_has_the_token_may_ask_for_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVE_TOKEN", "s" * 20)
    bearer = "Bearer " + "s" * 20
    bundle = plain_bundle(tmp_path / "b", KIND, LIMITS)
    with served(bundle, tmp_path / "s", token_variable="SERVE_TOKEN") as client:
        first = client.server.desk.champion.version
        assert client.ask("POST", "/admin/reload").status == 401
        plain_bundle(bundle, KIND, LIMITS, seed=1)
        answer = client.ask("POST", "/admin/reload", authorization=bearer)
        assert (answer.status, answer.json["before"]) == (200, first)
        assert answer.json["policy"] != first
        (bundle / "schema.json").write_bytes(b"{}")
        answer = client.ask("POST", "/admin/reload", authorization=bearer)
        assert answer.status == 409
        assert "schema.json" in answer.json["refused"]
