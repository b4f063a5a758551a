"""A comparison's plan: what fits, what it costs, and every contradiction refused at once."""

from __future__ import annotations

from typing import Any

import pytest

from envs import load_decision
from ppo_marketing.config import RunConfig, build, load_config
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.plan import ComparisonPlan, planned
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.rivals.table import RIVALS, Given
from ppo_marketing.sweep import SWEEPS, swept_values


def configured(decision: str, **ppo: Any) -> RunConfig:
    return load_config(None, {"decision": decision, "training": {"ppo": ppo}})


def forms(decision: str, **asked: Any) -> dict[str, str]:
    plan = ComparisonPlan(seeds=1, **asked)
    laid_out = planned(load_decision(decision), configured(decision), plan)
    return {trial.label: trial.form for trial in laid_out.trials}


def test_every_algorithm_has_its_place_in_a_box_and_in_a_choice() -> None:
    box, choice = forms("bidding"), forms("personalization")
    assert box.keys() == choice.keys() == RIVALS.keys()
    assert {name for name, form in box.items() if form != "own"} == {"dqn"}
    assert {name for name, form in choice.items() if form != "own"} == {"sac", "ddpg"}
    assert box["dqn"] == "discrete"
    assert choice["sac"] == "continuous"


def test_in_one_form_only_those_that_fit_are_run() -> None:
    assert forms("bidding", actions="own").keys() == RIVALS.keys() - {"dqn"}
    discrete = forms("bidding", actions="discrete")
    assert discrete.keys() == RIVALS.keys() - {"sac", "ddpg"}
    assert set(discrete.values()) == {"discrete"}


def test_steps_are_equal_and_curves_share_the_off_policy_ones_points() -> None:
    plan = ComparisonPlan(seeds=2, steps=1_000_000, off_policy_steps=100_000)
    trials = planned(load_decision("bidding"), configured("bidding"), plan).trials
    assert len(trials) == 2 * len(RIVALS)
    assert {trial.seed for trial in trials} == {0, 1}
    points = {}
    for trial in trials:
        steps = 1_000_000 if RIVALS[trial.algorithm].on_policy else 100_000
        assert trial.steps == trial.points[-1] == steps
        points[trial.algorithm] = set(trial.points)
    assert {10_000 * k for k in range(1, 11)} <= points["ppo"] & points["sac"]


def test_the_dearest_come_first_and_the_cost_is_foretold() -> None:
    plan = ComparisonPlan(seeds=3)
    laid_out = planned(load_decision("bidding"), configured("bidding"), plan)
    assert laid_out.trials[0].algorithm == "sac"
    assert "27 trainings, about " in laid_out.foretold(2)
    one = planned(
        load_decision("bidding"), configured("bidding"), ComparisonPlan(algorithms=("ppo",))
    )
    assert one.seconds < laid_out.seconds / 9


def test_a_sweep_moves_one_setting_and_counts_the_default_once() -> None:
    plan = ComparisonPlan(seeds=1, sweep=("clip", "epochs", "batch"))
    laid_out = planned(load_decision("bidding"), configured("bidding"), plan)
    overrides = {trial.label: trial.overrides for trial in laid_out.trials}
    assert overrides["ppo"] == {}
    assert all(len(moved) == 1 for label, moved in overrides.items() if label != "ppo")
    for name in ("clip", "epochs", "batch"):
        values = [value for value, _ in laid_out.sweeps[name]]
        assert values == sorted(set(values))
        assert len(values) >= 4
        assert [label for _, label in laid_out.sweeps[name]].count("ppo") == 1
    assert {trial.algorithm for trial in laid_out.trials} == {"ppo"}


@pytest.mark.parametrize("name", SWEEPS)
def test_every_swept_value_arrives_in_the_configuration(name: str) -> None:
    given = Given(PPOConfig(), copies=64)
    for value, overrides in swept_values(name, PPOConfig(), 2048):
        resolved = RIVALS["ppo"].resolved(given, "discrete", overrides)["ppo"]
        assert SWEEPS[name].current(build(PPOConfig, resolved, "a test")) == pytest.approx(value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seeds": 0, "steps": 0}, ("--seeds is 0", "--steps is 0")),
        ({"processes": -1}, ("--processes is -1",)),
        ({"algorithms": ("ppo", "scac")}, ("scac", "did you mean sac?")),
        ({"sweep": ("epoch",)}, ("did you mean epochs?",)),
        ({"algorithms": ("a2c",), "sweep": ("clip",)}, ("--sweep varies PPO",)),
        ({"actions": "fuzzy"}, ("choose one of fitting, own",)),
        ({"actions": "own", "algorithms": ("dqn",)}, ("dqn needs discrete actions", "drop it")),
        ({"actions": "discrete", "algorithms": ("sac",)}, ("sac needs continuous actions",)),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_remedy(
    asked: dict[str, Any], said: tuple[str, ...]
) -> None:
    with pytest.raises(UserError) as refused:
        planned(load_decision("bidding"), configured("bidding"), ComparisonPlan(**asked))
    for words in said:
        assert words in str(refused.value)
    assert refused.value.exit_code == 3


@pytest.mark.parametrize(
    ("ppo", "said"),
    [
        ({"minibatch_size": 10**6}, "one rollout has only 2048 rows"),
        (
            {"trust_region": {"kind": "kl_penalty", "schedule": "fixed", "target_kl": 0.01}},
            "choose 'doubling' or 'proportional' to follow a target",
        ),
        (
            {"trust_region": {"kind": "clip", "target_kl": 0.01}},
            "trust_region.clip.target_kl: there is no such setting of this kind",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_any_work(
    ppo: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=r"cannot be used|only 2048 rows") as refused:
        planned(load_decision("bidding"), configured("bidding", **ppo), ComparisonPlan())
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "region",
    [
        {"kind": "kl_penalty"},
        {"kind": "none"},
        {"kind": "clip", "low": 0.1, "high": 0.3},
        {"kind": "clip", "dual": 3.0},
    ],
)
def test_the_librarys_ppo_is_left_out_where_it_has_no_such_region_and_refused_if_named(
    region: dict[str, Any],
) -> None:
    card, config = load_decision("bidding"), configured("bidding", trust_region=region)
    laid_out = planned(card, config, ComparisonPlan(seeds=1))
    assert {trial.label for trial in laid_out.trials} == RIVALS.keys() - {"ppo-sb3"}
    assert "left out: ppo-sb3 checks PPO by the same settings" in laid_out.foretold(2)
    with pytest.raises(UserError, match="clip with one epsilon: drop it, or set trust_region"):
        planned(card, config, ComparisonPlan(algorithms=("ppo", "ppo-sb3")))
    with pytest.raises(UserError, match="clip with one epsilon"):
        RIVALS["ppo-sb3"].resolved(
            Given(build(PPOConfig, {"trust_region": region}, "a test"), 64), "discrete", {}
        )


def test_everyone_fits_a_clip_with_one_epsilon_and_nobody_is_told_of() -> None:
    config = configured("bidding", trust_region={"kind": "clip", "low": 0.3, "high": 0.3})
    laid_out = planned(load_decision("bidding"), config, ComparisonPlan(seeds=1))
    assert laid_out.left_out == {}
    assert "left out" not in laid_out.foretold(2)
    theirs = RIVALS["ppo-sb3"].resolved(
        Given(build(PPOConfig, config.as_values()["training"]["ppo"], "a test"), 64), "discrete", {}
    )
    assert theirs["clip_range"] == 0.3


def test_a_sweep_of_the_clip_needs_a_clip() -> None:
    config = configured("bidding", trust_region={"kind": "kl_penalty"})
    plan = ComparisonPlan(sweep=("clip",))
    with pytest.raises(UserError, match="needs a trust region with one epsilon"):
        planned(load_decision("bidding"), config, plan)
