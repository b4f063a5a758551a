"""What a project holds of content, and what its curves and agreements say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppo_marketing.content.agreement import agreement_of
from ppo_marketing.content.curve import Curve, curve_of
from ppo_marketing.content.judged import Sample, broken_rules
from ppo_marketing.content.overoptimisation import GaoFit
from ppo_marketing.content.places import Place, content_folder, found_in
from ppo_marketing.content.preferences import calibration_bins, calibration_error
from ppo_marketing.content.stages.rating import open_questions
from ppo_marketing.errors import UserError

FORM = GaoFit("rl", alpha=1.0, beta=0.8, r_squared=1.0)  # highest at √KL = e^(1/.8 - 1) = 1.284


def stage(project: Path, name: str, kind: str, **files: Any) -> Path:
    folder = content_folder(project) / name
    folder.mkdir(parents=True)
    (folder / "stage.json").write_text(json.dumps({"stage": kind}))
    for file, values in files.items():
        (folder / f"{file}.json").write_text(json.dumps(values))
    return folder


def alignment(project: Path, distances: list[float], *, gold: bool = False) -> Curve:
    """The curve of an alignment whose held-out scores, or gold, lie on the form."""
    scores = FORM.at(np.array(distances))
    rows = [{"update": i, "kl": d**2, "score": float(i)} for i, d in enumerate(distances, 1)]
    looks = [row | {"score": s} for row, s in zip(rows, scores.tolist(), strict=True)]
    kept = {"kept_update": 3, "audit": [], "held_out": rows if gold else looks}
    stage(
        project, "brand/ppo", "ppo",
        result=kept | {"gold": looks if gold else []}, history={"updates": rows},
    )  # fmt: skip
    return curve_of(found_in(project).alignments[0])


def test_a_curve_finds_the_form_that_its_points_lie_on_and_where_it_turns(tmp_path: Path) -> None:
    curve = alignment(tmp_path, [0.2, 0.6, 1.3, 2.0, 2.6])
    assert curve.fit is not None
    assert (curve.fit.alpha, curve.fit.beta) == pytest.approx((1.0, 0.8))
    assert curve.peak_nats == pytest.approx(np.exp(2 * (1 / 0.8 - 1)))
    ends = np.array(curve.fitted)[[0, -1]]
    np.testing.assert_allclose(ends, [[0.0, 0.0], [2.6, float(FORM.at(np.array(2.6)))]], atol=1e-9)
    assert "was best at 1.7 nats" in curve.sentence
    assert "update 3 is kept" in curve.sentence
    assert [point.score for point in curve.proxy] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_gold_is_believed_where_a_held_out_score_still_rises(tmp_path: Path) -> None:
    curve = alignment(tmp_path, [0.2, 0.6, 1.3, 2.0, 2.6], gold=True)
    assert curve.fit is not None
    assert curve.fit.alpha == pytest.approx(1.0)
    assert curve.held_out[-1].score == 5.0
    assert curve.sentence.startswith("Gold was best at 1.7 nats")


def test_a_curve_that_still_rises_says_so_and_names_no_turn(tmp_path: Path) -> None:
    curve = alignment(tmp_path, [0.2, 0.5, 0.8, 1.1])
    assert curve.peak_nats is None
    assert "rose to the end" in curve.sentence


def test_a_turn_that_lies_before_every_point_seen_is_not_named(tmp_path: Path) -> None:
    curve = alignment(tmp_path, [1.9, 2.1, 2.3, 2.5])
    assert curve.fit is not None
    assert curve.fit.peak == pytest.approx(np.exp(1 / 0.8 - 1))
    assert curve.peak_nats is None


def test_without_a_held_out_score_the_proxy_is_not_sold_as_quality(tmp_path: Path) -> None:
    curve = alignment(tmp_path, [])
    assert curve.fit is None
    assert curve.fitted == ()
    assert "rises whether or not the texts become better" in curve.sentence


def test_unfinished_stages_and_what_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    assert found_in(tmp_path).empty
    stage(tmp_path, "brand/unfinished", "ppo")
    stage(tmp_path, "brand/sft", "sft", result={})
    damaged = stage(tmp_path, "brand/damaged", "reward", result={})
    (damaged / "stage.json").write_text("{")
    assert found_in(tmp_path).empty
    stage(tmp_path, "brand/reward", "reward", result={})
    stage(tmp_path, "a/b/c/too-deep", "reward", result={})
    (content_folder(tmp_path) / "brand" / "pairs.jsonl").write_text("")
    found = found_in(tmp_path)
    assert [place.name for place in found.rewards] == ["brand/reward"]
    assert [place.name for place in found.tasks] == ["brand"]


def held_out(**more: Any) -> dict[str, Any]:
    return {
        "pairs": 100, "accuracy": 0.62, "accuracy_bounds": [0.52, 0.71], "log_loss": 0.66,
        "calibration_error": 0.05, "longer_scored_higher": 0.7, "longer_chosen": 0.55,
    } | more  # fmt: skip


def reward(project: Path, name: str, **more: Any) -> Place:
    stage(
        project, name, "reward",
        result={"held_out": held_out(**more), "members": [{"accuracy": 0.6}], "calibration": []},
    )  # fmt: skip
    return next(place for place in found_in(project).rewards if place.name == name)


def test_agreement_names_the_length_bias_beyond_the_raters_own(tmp_path: Path) -> None:
    found = agreement_of(reward(tmp_path, "one"))
    assert found.length_bias == pytest.approx(0.15)
    assert "62% of the time (95 %: 52% to 71%): better than a coin" in found.sentence
    poor = agreement_of(reward(tmp_path, "two", accuracy_bounds=[0.45, 0.6], longer_chosen=None))
    assert "a coin's word" in poor.sentence
    assert poor.length_bias is None


def test_reward_models_of_another_version_are_named(tmp_path: Path) -> None:
    stage(tmp_path, "old", "reward", result={"held_out": {}, "members": []})
    with pytest.raises(UserError, match="the reward models of old were kept by another version"):
        agreement_of(found_in(tmp_path).rewards[0])


def test_bins_hold_equal_numbers_and_their_gaps_are_the_calibration_error() -> None:
    margin = np.array([0.0, 2.0, -2.0, 2.0])  # said .5, .88 x 3; right .5, then 2 of 3
    first, second = calibration_bins(margin, bins=2)
    sure = 1 / (1 + np.exp(-2.0))
    assert (first.pairs, second.pairs) == (2, 2)
    assert first.said == pytest.approx((0.5 + sure) / 2)
    assert (first.right, second.right) == (0.75, 0.5)
    expected = (abs(0.75 - first.said) + abs(0.5 - sure)) / 2
    assert calibration_error(margin, bins=2) == pytest.approx(expected)


def test_what_a_text_breaks_is_said_by_kind_and_place() -> None:
    rules = {"1. banned": "says 'free'", "2. length": "kept", "3. channel": "too long"}
    assert broken_rules(rules) == "banned (rule 1), channel (rule 3)"
    assert broken_rules({"1. banned": "kept"}) == "none"
    assert Sample("p", "a", "b", rules, {"1. banned": "kept"}).broken == (2, 0)


def test_open_questions_hide_which_text_is_which_the_same_way_each_time() -> None:
    pairs = [{"prompt": "p", "a": f"a{i}", "b": f"b{i}"} for i in range(40)]
    asked = open_questions(pairs, [], 0)
    assert asked == open_questions(pairs, [], 0)
    first = [question.first[0] for question in asked]
    assert 10 < first.count("a") < 30
    rated = [asked[3].rating("second")]
    assert [question.place for question in open_questions(pairs, rated, 0)] == [
        place for place in range(40) if place != 3
    ]
