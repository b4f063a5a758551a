"""`fairness` on a table of decisions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from ppo_marketing.cli import app
from ppo_marketing.jobs.kept_parts import parts_of
from ppo_marketing.jobs.run_fairness import segments_of

RUN = CliRunner()


def table(folder: Path, treated: dict[str, int], people: int = 200) -> Path:
    """`people` of each group, the first so many of them treated."""
    rows = [
        f"{group}{i},{group},{int(i < count)},{'letter' if i < count else 'none'}"
        for group, count in treated.items()
        for i in range(people)
    ]
    path = folder / "decisions.csv"
    path.write_text("customer_id,gender,treated,action\n" + "\n".join(rows) + "\n")
    return path


def test_a_group_below_four_fifths_of_the_best_treated_fails(tmp_path: Path) -> None:
    path = table(tmp_path, {"a": 100, "b": 79})
    done = RUN.invoke(app, ["fairness", str(path), "--attribute", "gender", "--json"])
    found = json.loads(done.stdout)["gender"]
    assert found["verdict"] == "fails"
    assert [group["ratio"] for group in found["groups"]] == [1.0, 0.79]
    plain = RUN.invoke(app, ["fairness", str(path), "--attribute", "gender"])
    assert "fails" in plain.stdout


def test_an_action_may_count_as_treatment_and_decisions_of_one_person_belong_together(
    tmp_path: Path,
) -> None:
    path = table(tmp_path, {"a": 100, "b": 80})
    line = ["fairness", str(path), "--attribute", "gender", "--treated", "action", "--json"]
    done = RUN.invoke(app, [*line, "--action", "letter", "--unit", "customer_id"])
    found = json.loads(done.stdout)["gender"]
    assert found["verdict"] == "passes"
    assert found["groups"][1]["ratio"] == 0.8


def test_nothing_is_said_of_few_people(tmp_path: Path) -> None:
    path = table(tmp_path, {"a": 50, "b": 1}, people=99)
    done = RUN.invoke(app, ["fairness", str(path), "--attribute", "gender", "--json"])
    assert json.loads(done.stdout)["gender"]["verdict"] == "too few to say"


def test_missing_columns_and_actions_that_nobody_got_are_named(tmp_path: Path) -> None:
    path = table(tmp_path, {"a": 100, "b": 80})
    line = ["fairness", str(path), "--attribute", "age", "--attribute", "income"]
    absent = RUN.invoke(app, line)
    assert "age" in str(absent.exception)
    assert "income" in str(absent.exception)
    line = ["fairness", str(path), "--attribute", "gender", "--treated", "action"]
    nobody = RUN.invoke(app, [*line, "--action", "sms"])
    assert "holds letter, none" in str(nobody.exception)


def test_a_runs_policy_is_compared_by_segments_of_its_own_log(judged_customers: Path) -> None:
    parts = parts_of(judged_customers)
    within = segments_of(parts)
    assert within is not None
    assert within.usual == tuple(one for one in within.actions if one != "none")
    line = ["fairness", str(judged_customers), "--attribute", "frequency"]
    done = RUN.invoke(app, [*line, "--json"])
    told = json.loads(done.stdout)["frequency"]
    shipped = parts.policy.act(
        within.observation, np.random.default_rng(0), within.mask, deterministic=True
    )
    frequency = next(one for one in within.variables if one.name == "frequency")
    for group in told["policy"]["groups"]:
        rows = frequency.shown(within.observation) == frequency.levels.index(group["group"])
        assert group["rate"] == (shipped[rows] != 0).mean()
    for group in told["log"]["groups"]:
        rows = frequency.shown(within.observation) == frequency.levels.index(group["group"])
        assert group["rate"] == (within.action[rows] != 0).mean()
    plain = RUN.invoke(app, line)
    assert "frequency, the policy: " in plain.stdout
    assert "frequency, the log: passes" in plain.stdout
    refused = RUN.invoke(app, ["fairness", str(judged_customers), "--attribute", "gender"])
    assert "there is no segment column 'gender'" in str(refused.exception)
