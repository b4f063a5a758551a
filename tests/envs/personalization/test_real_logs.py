"""The whole line on real logs: what each can say of the policy that was learnt from it."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from envs.core.fidelity import Check
from envs.core.log import LogTable
from envs.personalization import DECISION
from envs.personalization.settings import PersonalizationSettings
from ppo_marketing import as_shipped
from ppo_marketing.config import EvaluationSection, LogSection, TrainingSection
from ppo_marketing.errors import UserError
from ppo_marketing.gate import GateRules, Reason, judge
from ppo_marketing.pipeline import calibrating, judging, learning, reading

FEW = TrainingSection(
    total_steps=2_000, copies=100, episodes=500, validation_episodes=100, validate_every=10
)
JUDGED = EvaluationSection(episodes=500, bootstrap=200)


class Said(NamedTuple):
    """What a log must turn out to say: ranges, not digits, for the fit may become better."""

    effective_n: tuple[float, float]
    unsupported: tuple[float, float]
    positives: tuple[float, float]
    lacks: frozenset[Reason]
    """What the gate finds the log too thin for, of a policy that was hardly trained."""
    randomised: bool = True
    believed: bool = False
    """Whether the simulator passes and the model's choice is shown better than the log's own."""


class RealLog(NamedTuple):
    """A log, how it is read, and what it must turn out to say."""

    path: str
    reader: str
    options: dict[str, int]
    said: Said


THIN = frozenset({Reason.SUPPORT, Reason.TOO_FEW_EVENTS})
REAL = (
    RealLog(
        "open_bandit_small/random/all/all.csv.gz", "open-bandit", {},
        Said((10, 400), (0.05, 1.0), (0, 20), THIN),
    ),
    RealLog(
        "open_bandit_small/bts/men/men.csv.gz", "open-bandit", {},
        Said((10, 400), (0.0, 1.0), (0, 30), THIN),
    ),
    RealLog(
        "bank_marketing/bank-additional-full.csv.gz", "bank-marketing", {},
        Said((500, 5_000), (0.0, 0.6), (100, 1_500), frozenset({Reason.SUPPORT}), randomised=False),
    ),
    RealLog(
        "upworthy_ab_counts/n_matrix.csv.gz", "upworthy", {"tests": 40},
        Said((10_000, 100_000), (0.0, 0.05), (500, 5_000), frozenset(), believed=True),
    ),
)  # fmt: skip


def log_of(section: LogSection, folder: Path) -> LogTable:
    return reading.read(DECISION, section, folder / "cache")


def run_and_hear(log: LogTable, said: Said) -> None:
    """Calibrate, train a little, judge; the log says what it must, and the evidence is whole."""
    settings = reading.settle(DECISION, log, PersonalizationSettings())
    calibration = calibrating.calibrate(DECISION, log, settings, 0)
    found: dict[str, Check] = {check.name: check for check in calibration.fidelity.checks}
    values = {
        "effective_n": float(found["value of the policy: greedy"].n),
        "unsupported": found["unsupported mass"].value,
        "positives": found["effective positives"].value,
    }
    for name, value in values.items():
        low, high = getattr(said, name)
        assert low <= value <= high, (name, value)
    assumed = any("assumed, not identified" in note for note in calibration.notes)
    assert assumed != said.randomised
    lift_low = re.search(r"95 % interval from ([-.\de]+)\)", calibration.notes[-1])
    assert lift_low is not None
    if said.believed:
        assert float(lift_low[1]) > 0
    assert calibration.fidelity.passed == said.believed
    if not said.believed:
        with pytest.raises(UserError, match="--accept-failed-fidelity"):
            calibrating.require_fidelity(calibration, None)
    calibrating.require_fidelity(calibration, "the line itself is what is tested")
    rules = calibrating.tuned_rules(DECISION, calibration, settings, 0)
    trained = learning.learn_from_calibration(DECISION, calibration, settings, FEW, 0)
    start = learning.untrained(
        calibration.history_world(settings), learning.ppo_config(DECISION, FEW), 0
    )
    judgement = judging.judge_policy(
        DECISION, calibration, settings, trained.best, start, rules, JUDGED, 0
    )
    rows = {row.name: row for row in judgement.later.rows}
    assert {"PPO", "best fixed item", "logging policy", "uniform"} <= rows.keys()
    # Judged by the model of the later part, nobody earns more than the best item for everyone.
    shares = np.array([row.share_of_ceiling.value for row in rows.values()])
    assert (shares <= 1 + 1e-9).all()
    assert shares.min() > 0
    audit = as_shipped.audit_policy(
        DECISION, calibration, settings, trained.best, rules, judgement, JUDGED, None, 0
    )
    assert judge(audit, GateRules()).reasons & THIN == said.lacks


@pytest.mark.parametrize("log", REAL, ids=lambda log: log.path.split("/", 1)[1])
def test_a_real_log_runs_the_whole_line_and_says_what_it_can(
    log: RealLog, shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / log.path
    if not path.is_file():
        pytest.skip(f"{log.path} is not in the folder of real development logs ({shared_data})")
    section = LogSection(path=path, reader=log.reader, reader_options=log.options)
    run_and_hear(log_of(section, tmp_path), log.said)


def offers(folder: Path) -> Iterator[dict[str, Any]]:
    """Starbucks offers that can be completed, to one in three: who got one and completed it."""

    def lines(name: str) -> Iterator[Any]:
        with gzip.open(folder / name, "rt", encoding="utf-8") as file:
            yield from (json.loads(line) for line in file if line.strip())

    people = {person["id"]: person for person in list(lines("profile.json.gz"))[::3]}
    received: list[dict[str, Any]] = []
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for event in lines("transcript.json.gz"):
        offer = event["value"].get("offer id") or event["value"].get("offer_id")
        who = event["person"]
        if who not in people:
            continue
        if event["event"] == "offer received":
            person = people[who]
            latest[who, offer] = {
                "person": who, "offer": offer, "done": 0, "age": person["age"],
                "gender": person["gender"] or "", "income": person["income"] or "",
            }  # fmt: skip
            received.append(latest[who, offer])
        elif event["event"] == "offer completed":
            latest[who, offer]["done"] = 1
    completable = {row["offer"] for row in received if row["done"]}
    yield from (row for row in received if row["offer"] in completable)


def test_a_table_of_named_columns_runs_the_whole_line(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "starbucks_simulated"
    if not folder.is_dir():
        pytest.skip(f"starbucks_simulated is not in the folder of real logs ({shared_data})")
    path = tmp_path / "offers.csv"
    rows = list(offers(folder))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    columns = {
        "unit_id": "person", "action_id": "offer", "reward": "done", "age": "age",
        "gender": "gender", "income": "income",
    }  # fmt: skip
    section = LogSection(path=path, reader="table", columns=columns)
    # Offers are the same for all by chance: what was dealt at random is recognised as such.
    said = Said((300, 3_000), (0.0, 0.05), (200, 3_000), frozenset(), believed=True)
    run_and_hear(log_of(section, tmp_path), said)
