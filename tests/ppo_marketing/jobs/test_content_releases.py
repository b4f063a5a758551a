"""An aligned model on its way out: sealed, judged, released, taken back, exported, recorded."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from ppo_marketing.access import Role, User
from ppo_marketing.audit_trail import Action, read_trail
from ppo_marketing.cli import app
from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.bundle import bundle_sha256, write_bundle
from ppo_marketing.content.judged import BUNDLE, FILE, keep_judgement, kept_judgement
from ppo_marketing.content.places import content_folder, found_in
from ppo_marketing.content.rules.brand import read_brand
from ppo_marketing.content.stages.rating import Question
from ppo_marketing.errors import GateNotPassed, IntegrityError, Interrupted, Refused, UserError
from ppo_marketing.jobs.content import live_curves
from ppo_marketing.jobs.content_exporting import CATALOG, DECK, export_copy
from ppo_marketing.jobs.content_judging import Candidate, judge_into
from ppo_marketing.jobs.content_rating import questions, rate_at
from ppo_marketing.jobs.release_book import Desk, desk_of, trail_of
from ppo_marketing.jobs.released import champion_of, verify
from ppo_marketing.jobs.releasing import approve, promote, rollback
from ppo_marketing.jobs.reviewing import reject
from ppo_marketing.releases import ReleaseRules
from ppo_marketing.tracking import open_tracker
from tests.support.content_project import QUIET, content_copy, content_project, verdict_of

__all__ = ["content_project"]

SHORT = AlignmentConfig(most_tokens=20)
VIEWER = User("vera@example.com", Role.VIEWER)


@pytest.fixture
def judged(content_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The judged folder of a copy of the project, its model passed."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    return content_copy(content_project, tmp_path)


def desk(project: Path, user: User | None = None) -> Desk:
    return desk_of(project, user)


def another(judged: Path) -> Path:
    """A second model of the same brand, judged too: its reference, say."""
    brand, output = judged.parent, judged.parent / "second"
    candidate = Candidate(
        reference=brand / "sft" / "model", model=brand / "model", prompts=brand / "prompts.jsonl",
        rules=brand / "reward.yaml", reward=brand / "reward", texts=24, most_nats=10.0,
        config=SHORT, release=ReleaseRules(), seed=0,
    )  # fmt: skip
    found = judge_into(candidate, output, content_folder(judged.parents[3]).parents[1], QUIET)
    keep_judgement(output, verdict_of(found, passed=True))
    return output


def test_a_model_is_released_replaced_and_rolled_back_on_the_record(
    judged: Path, tmp_path: Path
) -> None:
    first = promote(judged, desk(tmp_path), approver="Ada")
    assert (first.line.decision, first.line.to_version) == ("content", 1)
    assert first.line.policy_sha256 == kept_judgement(judged).bundle_sha256
    again = promote(judged, desk(tmp_path), approver="Ada")
    assert not again.new
    second = promote(another(judged), desk(tmp_path), approver="Grace")
    assert second.line.to_version == 2
    rollback("content", desk(tmp_path), approver="Ada", reason="customers complained")
    now = champion_of("content", desk(tmp_path)).standing
    assert now is not None
    assert now.champion.to_version == 1
    assert [line.action for line in verify(desk(tmp_path)).lines] == [
        Action.PROMOTE,
        Action.PROMOTE,
        Action.ROLLBACK,
    ]


def test_what_is_stored_of_a_version_is_the_whole_bundle_and_a_change_is_found(
    judged: Path, tmp_path: Path
) -> None:
    promote(judged, desk(tmp_path), approver="Ada")
    registry = open_tracker(tmp_path).registry
    version = registry.version("content", 1)
    stored = registry.policy_folder(version)
    assert bundle_sha256(stored) == kept_judgement(judged).bundle_sha256
    assert read_brand(stored / "reward.yaml").terms
    config = stored / "model" / "config.json"
    before = config.read_text()
    try:
        config.write_text(before + " ")
        with pytest.raises(IntegrityError, match="missing or are not the policy"):
            registry.require_untouched(version)
    finally:
        config.write_text(before)


def test_a_refused_model_is_neither_released_nor_exported(
    content_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    judged = content_copy(content_project, tmp_path, passed=False)
    with pytest.raises(GateNotPassed, match="not shown better: judge by more texts"):
        promote(judged, desk(tmp_path), approver="Ada")
    with pytest.raises(GateNotPassed, match="Nothing was exported"):
        export_copy(judged, desk(tmp_path), per_prompt=1, seed=0)
    assert read_trail(trail_of(tmp_path)) == ()


def test_four_eyes_and_rejections_hold_for_models_too(
    content_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    judged = content_copy(content_project, tmp_path, four_eyes=True)
    with pytest.raises(Refused, match="need four eyes"):
        promote(judged, desk(tmp_path), approver="Ada")
    reject(judged, desk(tmp_path), approver="Grace", reason="tone")
    approve(judged, desk(tmp_path), approver="Grace", reason="I looked again")
    assert promote(judged, desk(tmp_path), approver="Ada").line.to_version == 1


def test_a_viewer_is_refused_everywhere_and_every_attempt_is_recorded(
    judged: Path, tmp_path: Path
) -> None:
    own = desk(tmp_path, VIEWER)
    (task,) = found_in(tmp_path).tasks
    (question, *_), _ = questions(task)
    for attempt in (
        lambda: promote(judged, own, approver=None),
        lambda: export_copy(judged, own, per_prompt=1, seed=0),
        lambda: rate_at(own, task, question, "first"),
    ):
        with pytest.raises(Refused, match="is a viewer"):
            attempt()
    lines = read_trail(trail_of(tmp_path))
    assert [line.action for line in lines] == [Action.REFUSE] * 3
    assert {line.decision for line in lines} == {"content"}
    assert not (task.folder / "ratings.jsonl").exists()


def test_no_text_that_breaks_a_hard_rule_is_in_a_file(judged: Path, tmp_path: Path) -> None:
    found = export_copy(judged, desk(tmp_path), per_prompt=4, seed=0)
    brand = read_brand(judged / BUNDLE / "reward.yaml")
    deck = list(csv.DictReader(io.StringIO(found.files[DECK].decode("utf-8-sig"))))
    catalog = list(csv.DictReader(io.StringIO(found.files[CATALOG].decode("utf-8-sig"))))
    assert [row["text"] for row in deck] == [row["text"] for row in found.rows]
    assert [row["text"] for row in catalog] == [row["text"] for row in deck]
    assert found.blocked > 0
    assert not [row for row in deck if brand.problems(row["text"], row["prompt"])]


def test_a_changed_verdict_or_bundle_is_not_believed(judged: Path, tmp_path: Path) -> None:
    path = judged / FILE
    kept = path.read_text()
    values = json.loads(kept)
    values["most_nats"] = 1000.0
    path.write_text(json.dumps(values))
    with pytest.raises(IntegrityError, match="is not what was written"):
        kept_judgement(judged)
    path.write_text(kept)
    (judged / BUNDLE / "reward.yaml").write_text("terms: []\n")
    with pytest.raises(IntegrityError, match=r"what differs: reward\.yaml"):
        kept_judgement(judged)
    with pytest.raises(UserError, match="name the folder that `content gate` wrote to"):
        kept_judgement(tmp_path)


def test_a_bundle_takes_own_functions_along_and_is_the_same_each_time(
    judged: Path, tmp_path: Path
) -> None:
    (tmp_path / "ours.py").write_text("def short(text, prompt):\n    return 1.0\n")
    rules = tmp_path / "own.yaml"
    rules.write_text("terms:\n- {kind: own, function: 'ours.py:short', hard: true}\n")
    model = judged / BUNDLE / "model"
    first, second = (write_bundle(tmp_path / name, model, rules) for name in ("one", "two"))
    assert first == second == bundle_sha256(tmp_path / "one")
    assert read_brand(tmp_path / "one" / "reward.yaml").own
    (tmp_path / "one" / "more.txt").write_text("")
    with pytest.raises(IntegrityError, match=r"more\.txt"):
        bundle_sha256(tmp_path / "one")


def test_a_rating_is_kept_with_its_rater_and_a_pair_is_rated_once(
    judged: Path, tmp_path: Path
) -> None:
    (task,) = found_in(tmp_path).tasks
    (question, *rest), total = questions(task)
    assert rate_at(desk(tmp_path, User("ann@example.com", Role.ANALYST)), task, question, "second")
    left, _ = questions(task)
    assert left == tuple(rest)
    assert total == len(rest) + 1
    (line,) = (task.folder / "ratings.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "prompt": question.prompt, "chosen": question.second, "rejected": question.first,
        "rater": "ann@example.com",
    }  # fmt: skip
    with pytest.raises(Refused, match="rated meanwhile"):
        rate_at(desk(tmp_path), task, question, "first")
    stranger = Question(0, "no such prompt", "a", "b")
    with pytest.raises(Refused, match="rated meanwhile"):
        rate_at(desk(tmp_path), task, stranger, "first")


def test_the_curves_of_an_alignment_are_in_the_store_update_by_update(
    content_project: Path,
) -> None:
    from mlflow.tracking import MlflowClient

    run = json.loads((content_folder(content_project) / "demo" / "ppo" / "run.json").read_text())
    client = MlflowClient(f"sqlite:///{content_project}/mlruns/mlflow.db")
    for curve, points in (("kl", 20), ("score", 20), ("entropy", 20), ("held_out_score", 4)):
        found = client.get_metric_history(run["run"], curve)
        assert len(found) == points, curve
    assert client.get_run(run["run"]).info.status == "FINISHED"


def test_an_interrupted_alignment_is_killed_and_the_resumed_one_has_every_update(
    judged: Path, tmp_path: Path
) -> None:
    from mlflow.tracking import MlflowClient

    source, folder = judged.parent / "ppo", tmp_path / "again"
    folder.mkdir()
    for name in ("stage.json", "result.json"):
        shutil.copy(source / name, folder)
    updates = json.loads((source / "history.json").read_text())["updates"][:4]
    rows: list[Any] = [SimpleNamespace(**row) for row in updates]

    def cut_short() -> None:
        with live_curves(folder, tmp_path, QUIET) as told:
            told(rows[:1], {})
            told(rows[:2], {2: 0.5})
            raise Interrupted("stopped", 15)

    with pytest.raises(Interrupted):
        cut_short()
    assert not (folder / "run.json").exists()
    with live_curves(folder, tmp_path, QUIET) as told:
        told(rows[:3], {2: 0.5})
        told(rows, {2: 0.5, 4: 0.7})
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("content")
    runs = client.search_runs(
        [experiment.experiment_id], "attributes.run_name = 'ppo again'",
        order_by=["attributes.start_time ASC"],
    )  # fmt: skip
    assert [run.info.status for run in runs] == ["KILLED", "FINISHED"]
    last = runs[-1].info.run_id
    assert json.loads((folder / "run.json").read_text()) == {"run": last}
    assert [m.step for m in client.get_metric_history(last, "kl")] == [1, 2, 3, 4]
    held_out = client.get_metric_history(last, "held_out_score")
    assert [(m.step, m.value) for m in held_out] == [(2, 0.5), (4, 0.7)]


def test_releasing_by_the_command_line(judged: Path, tmp_path: Path) -> None:
    runner, brand = CliRunner(), judged.parent

    def said(line: str) -> str:
        done = runner.invoke(app, line.split(), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "champion   none" in said("champion content")
    assert "promoted: content none -> version 1, by Ada" in said(f"promote {judged} --approver Ada")
    assert json.loads(said("champion content --json"))["champion"] == 1
    found = json.loads(said(f"content export {judged} -o {tmp_path}/out --json"))
    assert found["texts"] > 0
    assert (tmp_path / "out" / DECK).is_file()
    assert "pairs to rate" in said(
        f"content pairs --model {judged}/policy/model --prompts {judged}/prompts.jsonl "
        f"-o {tmp_path}/pairs.jsonl"
    )
    gate = (
        f"content gate --reference {brand}/sft/model --model {brand}/sft/model "
        f"--prompts {brand}/prompts.jsonl --rules {brand}/reward.yaml --reward {brand}/reward "
        f"--texts 24 --four-eyes --approvers Grace -o {brand}/same"
    )
    refused = runner.invoke(app, gate.split())
    assert isinstance(refused.exception, GateNotPassed)
    kept = kept_judgement(brand / "same")
    assert kept.verdict.reasons == ("not shown better",)
    assert kept.release == ReleaseRules(four_eyes=True, approvers=("Grace",))
    unfit = runner.invoke(app, ["promote", str(judged), "--config", str(brand / "reward.yaml")])
    assert "said to `content gate`" in str(unfit.exception)
