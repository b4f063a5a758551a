"""What was decided live is read as the next calibration's log."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs import load_decision
from envs.core.log import LogTable, read_log
from ppo_marketing.errors import UserError
from ppo_marketing.serve.outcomes import join_outcomes
from tests.support.serving import Client, decision_bundle, served


def read(path: Path, decision: str, columns: dict[str, str] | None = None) -> LogTable:
    schema = load_decision(decision).schema
    names = {name: name for name in _header(path)} if columns is None else columns
    return read_log(path, schema, columns=names, cache=path.parent / "cache")


def _header(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        return list(pq.read_schema(path).names)
    with path.open(encoding="utf-8") as file:
        return next(csv.reader(file))


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def ask(client: Client, n: int, **more: Any) -> list[dict[str, Any]]:
    words = client.server.desk.champion.words
    rng = np.random.default_rng(0)
    asked = [
        {
            "observation": np.clip(rng.random(len(words.names)), words.low, words.high).tolist(),
            "unit": f"u{i}",
            **more,
        }
        for i in range(n)
    ]
    answer = client.post("/v1/decide", {"decisions": asked})
    assert answer.status == 200, answer.content
    found: list[dict[str, Any]] = answer.json["decisions"]
    return found


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_auctions_that_were_bid_on_are_an_auction_log(tmp_path: Path, suffix: str) -> None:
    with served(decision_bundle(tmp_path / "b", "bidding"), tmp_path / "s") as client:
        paid = []
        for i in range(12):
            imp = {"id": "1", "banner": {}, "metric": [
                {"type": "click_through_rate", "value": (i + 1) / 1e5}
            ]}  # fmt: skip
            answer = client.post("/openrtb2/bid", {"id": str(i), "imp": [imp]})
            (bid,) = answer.json["seatbid"][0]["bid"]
            if i % 3 == 0:
                paid.append(bid["price"] / 2)
                address = bid["nurl"].replace("${AUCTION_PRICE}", str(paid[-1]))
                client.ask("GET", address.replace("${AUCTION_CURRENCY}", "USD"))
            if i == 3:
                client.ask("GET", address.replace("/win?", "/click?"))
    report = join_outcomes([tmp_path / "s" / "decisions"], tmp_path / f"next{suffix}")
    assert report["rows"] == 12
    assert report["with_outcome"] == 4
    columns = read(tmp_path / f"next{suffix}", "bidding").arrays(
        ["won", "price_cpm", "bid_cpm", "click", "pctr"]
    )
    assert columns["won"].sum() == 4
    assert columns["click"].sum() == 1
    # The log's unit is a hundredth of the currency, as in the calibration that was served.
    np.testing.assert_allclose(
        columns["price_cpm"][columns["won"]], np.array(paid) * 100, rtol=1e-5
    )
    np.testing.assert_allclose(sorted(columns["pctr"]), np.arange(1, 13) / 1e5, rtol=1e-5)


def test_items_that_were_shown_are_a_visit_log_once_rewards_are_joined(tmp_path: Path) -> None:
    bundle = decision_bundle(tmp_path / "b", "personalization")
    with served(bundle, tmp_path / "s", act="sample") as client:
        client.server.desk.rng = np.random.default_rng(1)
        told = ask(client, 40, context={"country": "DE", "age": 30})
    rewarded = written(
        tmp_path / "rewards.csv",
        [{"decision_id": one["decision_id"], "reward": 1} for one in told[:5]],
    )
    report = join_outcomes(
        [tmp_path / "s" / "decisions"], tmp_path / "next.parquet",
        outcomes=rewarded, absent={"reward": 0},
    )  # fmt: skip
    assert (report["rows"], report["with_outcome"]) == (40, 5)
    table = read(tmp_path / "next.parquet", "personalization")
    columns = table.arrays(["reward", "propensity", "action_id", "country"])
    assert columns["reward"].sum() == 5
    assert sorted(columns["propensity"]) == pytest.approx(
        sorted(one["propensity"] for one in told), rel=1e-6
    )
    assert set(columns["country"]) == {"DE"}


def test_contacts_that_were_decided_are_events_beside_the_teams_own(tmp_path: Path) -> None:
    with served(decision_bundle(tmp_path / "b", "sequencing"), tmp_path / "s") as client:
        told = ask(client, 20)
    at = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    own = [
        {"timestamp": at, "event_id": f"s{i}", "customer_id": f"u{i}", "event": "signup",
         "channel": "", "value": "", "consent_email": 1, "consent_letter": 1}
        for i in range(20)
    ]  # fmt: skip
    own.append({**own[0], "event_id": "p", "event": "purchase", "value": 9.5})
    events = written(tmp_path / "own.csv", own)
    join_outcomes([tmp_path / "s" / "decisions"], tmp_path / "next.csv", events=events)
    columns = read(tmp_path / "next.csv", "sequencing").arrays(["event", "customer_id", "channel"])
    contacts = sum(one["action"]["event"] == "contact" for one in told)
    assert (columns["event"] == "contact").sum() == contacts
    assert (columns["event"] == "none").sum() == 20 - contacts
    assert (columns["event"] == "purchase").sum() == 1


def test_outcomes_nobody_decided_and_files_that_are_none_are_told(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    line = {"kind": "decision", "id": "1", "row": {"a": 1}}
    log.write_text(json.dumps(line) + "\n" + '{"kind": "dec')  # cut off by a kill
    strange = written(tmp_path / "o.csv", [{"decision_id": "2", "b": 1}])
    report = join_outcomes([log], tmp_path / "o.parquet", outcomes=strange)
    assert report["rows"] == 1
    assert report["outcomes_of_unknown_decisions"] == 1
    with pytest.raises(UserError, match="a column other"):
        join_outcomes([log], tmp_path / "p.csv", outcomes=strange, key="other")
    with pytest.raises(UserError, match="must end in"):
        join_outcomes([log], tmp_path / "p.txt")
    with pytest.raises(UserError, match="no decision log"):
        join_outcomes([tmp_path / "none"], tmp_path / "p.csv")
    log.write_text("nonsense\n" + json.dumps(line))
    with pytest.raises(UserError, match="line 1"):
        join_outcomes([log], tmp_path / "p.csv")
    assert not (tmp_path / "p.csv").exists()


def test_many_decisions_are_written_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ppo_marketing.serve import outcomes

    monkeypatch.setattr(outcomes, "BATCH_ROWS", 3)
    log = tmp_path / "a.jsonl"
    log.write_text(
        "".join(
            json.dumps({"kind": "decision", "id": str(i), "row": {"n": i}}) + "\n"
            for i in range(10)
        )
    )
    join_outcomes([log], tmp_path / "o.parquet")
    assert pq.read_table(tmp_path / "o.parquet").equals(
        pa.table({"n": [float(i) for i in range(10)]})
    )
