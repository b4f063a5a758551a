"""`/v1/decide`: what is asked by name is answered in words, within the limits, with its chance."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import envs
from ppo_marketing.errors import AlreadyRunning, UserError
from ppo_marketing.guardrails import (
    AmountLimits,
    Budget,
    ChoiceLimits,
    ContactCap,
    GuardrailLimits,
    Support,
)
from ppo_marketing.serve.decision_log import read_lines
from ppo_marketing.serve.server import opened
from ppo_marketing.serve.settings import LogSettings, RequestLimits, ServeSettings, read_settings
from tests.support.agents import agent_of
from tests.support.serving import Client, decision_bundle, plain_bundle, served

MENU = ChoiceLimits(choices=4, nothing=0)
SIZE = 16


def observation(seed: int = 0) -> list[float]:
    return [float(x) for x in np.random.default_rng(seed).normal(size=SIZE)]


def ask(client: Client, *decisions: dict[str, Any]) -> Any:
    answer = client.post("/v1/decide", {"decisions": list(decisions)})
    assert answer.status == 200, answer.content
    return answer.json["decisions"]


@pytest.mark.parametrize("decision", envs.decision_names())
def test_every_decision_is_asked_by_name_and_answers_in_its_words(
    tmp_path: Path, decision: str
) -> None:
    with served(decision_bundle(tmp_path / "b", decision), tmp_path / "s") as client:
        champion = client.server.desk.champion
        names = champion.words.names
        values = np.clip(np.zeros(len(names)), champion.words.low, champion.words.high)
        named = dict(zip(names, values.tolist(), strict=True))
        by_name, by_place = ask(client, {"observation": named}, {"observation": list(values)})
        assert by_name["action"] == by_place["action"]
        assert by_name["propensity"] == 1.0
        assert by_name["reasons"] == []
        direct = champion.bundle.policy.act(
            values[None].astype(np.float32), np.random.default_rng(0), deterministic=True
        )[0]
        if champion.choices:
            assert by_name["action"]["number"] == int(direct)
            said = {k: v for k, v in by_name["action"].items() if k != "number"}
            assert said == champion.words.choices[int(direct)]
        else:
            np.testing.assert_allclose(list(by_name["action"].values()), direct)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "the body must be"),
        ([], "the body must be"),
        ({"decisions": []}, "1 to 64"),
        ({"decisions": [{}] * 65}, "1 to 64"),
        ({"decisions": [3]}, "objects"),
        ({"decision": "other", "decisions": [{}]}, "must be 'shelf'"),
        ({"decisions": [{"observations": []}]}, "did you mean observation?"),
        ({"decisions": [{"observation": [1.0]}]}, "16 numbers"),
        ({"decisions": [{"observation": ["x"] * SIZE}]}, "must be a finite number, or null"),
        ({"decisions": [{"observation": [10**400] * SIZE}]}, "must be a finite number"),
        ({"decisions": [{"observation": {"observation_0": 1}}]}, "missing observation_1"),
        ({"decisions": [{"observation": [0.0] * SIZE, "mask": [True]}]}, "4 times true or false"),
        ({"decisions": [{"observation": [0.0] * SIZE, "hour": 24}]}, "up to but not including 24"),
        ({"decisions": [{"observation": [0.0] * SIZE, "unit": True}]}, "text or a whole number"),
        ({"decisions": [{"observation": [0.0] * SIZE, "cost": -1}]}, "0 or more"),
        ({"decisions": [{"observation": [0.0] * SIZE, "context": {"a": []}}]}, "short texts"),
    ],
)
def test_what_cannot_be_decided_is_400_with_what_is_allowed(
    tmp_path: Path, body: Any, said: str
) -> None:
    limits = GuardrailLimits(choices=MENU)
    with served(plain_bundle(tmp_path / "b", "not normalised", limits), tmp_path / "s") as client:
        answer = client.post("/v1/decide", body)
        assert answer.status == 400
        assert said in " ".join(answer.json["problems"])


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b"NaN", b'{"decisions": [{"observation": [NaN]}]}', b"\xff\xfe", b"[" * 40,
     '{"a": 1}'.encode("utf-16")],
)  # fmt: skip
def test_what_is_no_json_is_400(tmp_path: Path, content: bytes) -> None:
    limits = GuardrailLimits(choices=MENU)
    with served(plain_bundle(tmp_path / "b", "not normalised", limits), tmp_path / "s") as client:
        assert client.ask("POST", "/v1/decide", content).status == 400


def test_a_value_outside_its_range_is_refused_and_one_that_is_unknown_falls_back(
    tmp_path: Path,
) -> None:
    with served(decision_bundle(tmp_path / "b", "bidding"), tmp_path / "s") as client:
        names = client.server.desk.champion.words.names
        named: dict[str, Any] = dict.fromkeys(names, 0.0)
        answer = client.post("/v1/decide", {"decisions": [{"observation": named | {names[3]: 4}}]})
        assert answer.status == 400
        assert f"{names[3]} is 4: it must be a number from -3 to 3" in answer.json["problems"][0]
        (one,) = ask(client, {"observation": named | {names[3]: None}})
        assert one["action"] == {"a": 0.0}
        assert [reason["reason"] for reason in one["reasons"]] == ["non_finite_input"]
        metrics = client.ask("GET", "/metrics").content.decode()
        assert 'ppo_interventions_total{reason="non_finite_input"} 1.0' in metrics


def test_hard_limits_hold_whatever_is_asked(tmp_path: Path) -> None:
    limits = GuardrailLimits(
        amounts=AmountLimits(floor=0.1, cap=0.2, nothing=0.0),
        budget=Budget(day=5.0),
        contact_caps=(ContactCap(contacts=1, days=7),),
        suppressed=frozenset({"never"}),
    )
    with served(
        plain_bundle(tmp_path / "b", "amounts without bounds", limits), tmp_path / "s"
    ) as c:
        spent, contacted = 0.0, Counter[str]()
        rng = np.random.default_rng(0)
        for step in range(120):
            unit = str(rng.choice(["never", *map(str, range(60))]))
            cost = float(rng.uniform(0, 3))
            (one,) = ask(c, {"observation": observation(step), "unit": unit, "cost": cost})
            (amount,) = one["action"].values()
            assert amount == 0.0 or 0.1 <= amount <= 0.2
            assert amount == 0.0 or unit != "never"
            spent += amount * cost
            contacted[unit] += amount != 0.0
        assert max(contacted.values()) == 1
        assert 4.0 < spent <= 5.0


def test_books_hold_across_a_restart(tmp_path: Path) -> None:
    limits = GuardrailLimits(choices=MENU, contact_caps=(ContactCap(contacts=1, days=7),))
    bundle = plain_bundle(tmp_path / "b", "not normalised", limits)
    asked = {"observation": observation(), "unit": "ann", "mask": [False, True, True, True]}
    with served(bundle, tmp_path / "s") as client:
        assert ask(client, asked)[0]["action"]["choice"] != "0"
    with served(bundle, tmp_path / "s") as client:
        assert ask(client, asked)[0]["action"]["choice"] == "0"


def test_what_decisions_cost_can_be_settled_once(tmp_path: Path) -> None:
    limits = GuardrailLimits(
        amounts=AmountLimits(floor=0.5, cap=1.0, nothing=0.0), budget=Budget(day=10.0)
    )
    with served(
        plain_bundle(tmp_path / "b", "amounts without bounds", limits), tmp_path / "s"
    ) as c:
        (one,) = ask(c, {"observation": observation(), "cost": 2.0})
        paid = {"settlements": [{"receipt": one["receipt"], "spent": 0.25}]}
        assert c.post("/v1/settle", paid).json == {"booked": 1, "ignored": 0}
        assert c.post("/v1/settle", paid).json == {"booked": 0, "ignored": 1}
        assert c.server.desk.books.state.spent_day == 250_000_000
        assert c.post("/v1/settle", {"settlements": [{"receipt": True, "spent": 1}]}).status == 400


@pytest.mark.parametrize(
    "limits",
    [
        GuardrailLimits(choices=MENU),
        GuardrailLimits(choices=ChoiceLimits(choices=4, nothing=0, closed=(2,))),
        GuardrailLimits(choices=MENU, changed_share=0.5),
        GuardrailLimits(choices=MENU, budget=Budget(day=1e6)),
    ],
    ids=["menu", "closed", "share", "budget"],
)
def test_propensities_are_the_frequencies_of_what_ships(
    tmp_path: Path, limits: GuardrailLimits
) -> None:
    n = 500
    bundle = plain_bundle(tmp_path / "b", "not normalised", limits)
    with served(bundle, tmp_path / "s", act="sample") as client:
        client.server.desk.rng = np.random.default_rng(7)
        asked = {"observation": observation(), "cost": [0.0, 1.0, 2.0, 3.0]}
        weights, seen = [], Counter[str]()
        for _ in range(n):
            (one,) = ask(client, asked)
            weights.append(1.0 / one["propensity"])
            seen[one["action"]["choice"]] += 1
        # E[sum over shipped of 1 / P] is the number of choices that can ship at all; where that
        # varies with the books it is at least 1 and at most 4.
        mean = float(np.mean(weights))
        if limits.changed_share is None:
            possible = 4 - len(limits.choices.closed if limits.choices else ())
            error = np.std(weights) / np.sqrt(n)
            assert abs(mean - possible) < 4 * error
        else:
            assert 1.0 <= mean <= 4.0
            assert seen["0"] >= n / 2  # half may differ from the fallback


def test_the_density_of_a_drawn_amount_is_the_policys_own(tmp_path: Path) -> None:
    limits = GuardrailLimits(amounts=AmountLimits(floor=-50.0, cap=50.0))
    bundle = plain_bundle(tmp_path / "b", "amounts without bounds", limits)
    with served(bundle, tmp_path / "s", act="sample") as client:
        (one,) = ask(client, {"observation": observation()})
        policy = agent_of("amounts without bounds", hidden=(8,))
        seen = np.array([observation()], np.float32)
        action = np.array([list(one["action"].values())], np.float32)
        expected = float(np.exp(policy.log_prob(seen, action)[0]))
        assert one["propensity"] == pytest.approx(expected, rel=1e-3)


def test_situations_that_training_never_saw_fall_back(tmp_path: Path) -> None:
    support = Support(low=(-1.0,) * SIZE, high=(1.0,) * SIZE, margin=0.0)
    limits = GuardrailLimits(choices=MENU, support=support)
    bundle = plain_bundle(tmp_path / "b", "not normalised", limits)
    with served(bundle, tmp_path / "s", fallback=2.0) as client:
        (one,) = ask(client, {"observation": [9.0] * SIZE})
        assert one["action"]["choice"] == "2"
        assert one["reasons"][0]["reason"] == "out_of_support"


def test_actions_of_several_parts_are_decided_without_limits(tmp_path: Path) -> None:
    with served(plain_bundle(tmp_path / "b", "several choices", None), tmp_path / "s") as client:
        one, unknown = ask(client, {"observation": observation()}, {"observation": [None] * SIZE})
        assert len(one["action"]["parts"]) == 2
        assert unknown["action"] == {"parts": [0, 0]}


def test_the_log_holds_every_decision_with_policy_chance_and_reasons(tmp_path: Path) -> None:
    bundle = decision_bundle(tmp_path / "b", "sequencing")
    with served(bundle, tmp_path / "s", log=LogSettings(bytes=1000)) as client:
        size = len(client.server.desk.champion.words.names)
        told = [
            ask(client, {"observation": [0.0] * size, "unit": f"c{i}", "context": {"shop": "x"}})[0]
            for i in range(6)
        ]
        version = client.server.desk.champion.version
    files = sorted((tmp_path / "s" / "decisions").iterdir())
    assert len(files) > 1  # rotated by size
    assert all(path.suffix == ".jsonl" for path in files)
    lines = [line for path in files for line in read_lines(path)]
    assert [line["id"] for line in lines] == [one["decision_id"] for one in told]
    assert {line["policy"] for line in lines} == {version}
    row = lines[2]["row"]
    assert row["customer_id"] == "c2"
    assert row["event"] in ("none", "contact")
    assert row["propensity"] == 1.0
    assert row["shop"] == "x"


def test_a_log_that_cannot_be_written_is_told_and_decisions_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = GuardrailLimits(choices=MENU)
    with served(plain_bundle(tmp_path / "b", "not normalised", limits), tmp_path / "s") as client:

        def full(lines: Any, now: float) -> None:
            raise OSError("No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(client.server.desk.log, "write", full)
            ask(client, {"observation": observation()})
            assert "cannot be written" in str(client.ask("GET", "/readyz").json["problems"])


def test_books_that_cannot_be_kept_decide_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = GuardrailLimits(choices=MENU, contact_caps=(ContactCap(contacts=1, days=7),))
    with served(plain_bundle(tmp_path / "b", "not normalised", limits), tmp_path / "s") as client:

        def full(record: Any) -> None:
            raise OSError("No space left on device")

        asked = {"observation": observation(), "unit": "ann", "mask": [False, True, True, True]}
        with monkeypatch.context() as patch:
            patch.setattr(client.server.desk.books._journal, "append", full)
            assert client.post("/v1/decide", {"decisions": [asked]}).status == 503
        assert ask(client, asked)[0]["action"]["choice"] != "0"  # nothing was counted


def test_bodies_are_bounded_before_they_are_parsed(tmp_path: Path) -> None:
    import gzip

    limits = RequestLimits(bytes=2000, depth=5)
    guards = GuardrailLimits(choices=MENU)
    bundle = plain_bundle(tmp_path / "b", "not normalised", guards)
    with served(bundle, tmp_path / "s", requests=limits) as client:
        good = json.dumps({"decisions": [{"observation": [0.0] * SIZE}]}).encode()
        packed = gzip.compress(good)
        assert client.ask("POST", "/v1/decide", packed, content_encoding="gzip").status == 200
        for content, headers in (
            (b" " * 2001, {}),
            (b"x", {"content_length": "99999999"}),
            (gzip.compress(b" " * 10_000_000), {"content_encoding": "gzip"}),
            (packed[:-4], {"content_encoding": "gzip"}),
            (packed + b"more", {"content_encoding": "gzip"}),
            (good, {"content_encoding": "gzip"}),
            (good, {"content_encoding": "br"}),
            (b"[" * 6 + b"]" * 6, {}),
            (b'{"a":' * 6 + b"1" + b"}" * 6, {}),
        ):
            assert client.ask("POST", "/v1/decide", content, **headers).status == 400
        deep = b'["' + b"[" * 50 + b'"]'  # brackets in a text are no nesting
        assert "the body must be" in str(client.ask("POST", "/v1/decide", deep).json)


def test_a_token_is_asked_of_everybody_but_health_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVE_TOKEN", "s" * 20)
    guards = GuardrailLimits(choices=MENU)
    bundle = plain_bundle(tmp_path / "b", "not normalised", guards)
    with served(bundle, tmp_path / "s", token_variable="SERVE_TOKEN") as client:
        good = {"decisions": [{"observation": [0.0] * SIZE}]}
        assert client.post("/v1/decide", good).status == 401
        assert client.post("/v1/decide", good, authorization="Bearer x").status == 401
        assert client.post("/v1/decide", good, authorization="Bearer " + "s" * 20).status == 200
        assert client.ask("POST", "/admin/reload").status == 401
        assert client.ask("GET", "/metrics").status == 401
        assert client.ask("GET", "/healthz").status == 200
    monkeypatch.setenv("SERVE_TOKEN", "short")
    with (
        opened(
            bundle, ServeSettings(folder=str(tmp_path / "t"), token_variable="SERVE_TOKEN")
        ) as s,
        pytest.raises(UserError, match="at least 16"),
    ):
        Client(s)


def test_settings_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text("port: 99999\nhots: x\nrequests: {depth: 1}\n")
    with pytest.raises(UserError) as refused:
        read_settings(path, {})
    for problem in ("did you mean host?", "from 2 to 100"):
        assert problem in str(refused.value)
    with pytest.raises(UserError, match="others than this machine"):
        read_settings(None, {"host": "0.0.0.0"})
    path.write_text("live: {anything: 1}\nport: 1234\n")
    settings = read_settings(path, {"port": 4321})
    assert settings.port == 4321
    assert settings.live == {"anything": 1}


def test_one_folder_has_one_server(tmp_path: Path) -> None:
    guards = GuardrailLimits(choices=MENU)
    bundle = plain_bundle(tmp_path / "b", "not normalised", guards)
    with (
        served(bundle, tmp_path / "s"),
        pytest.raises(AlreadyRunning, match="--folder"),
        served(bundle, tmp_path / "s"),
    ):
        pass


def test_limits_that_need_what_was_not_told_are_400(tmp_path: Path) -> None:
    limits = GuardrailLimits(choices=MENU, budget=Budget(day=1.0))
    with served(plain_bundle(tmp_path / "b", "not normalised", limits), tmp_path / "s") as client:
        answer = client.post("/v1/decide", {"decisions": [{"observation": observation()}]})
        assert answer.status == 400
        assert "cost is missing" in str(answer.json)
