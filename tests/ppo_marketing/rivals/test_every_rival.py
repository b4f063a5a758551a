"""What every algorithm must keep, run over all of them in every action space that each fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envs.core.forms import Form
from ppo_marketing.errors import TrainingDiverged, UserError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy, save_policy
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.rivals.learned import Chooser, Learned
from ppo_marketing.rivals.stable_baselines import KINDS
from ppo_marketing.rivals.table import RIVALS, Given, Rival, rivals_named
from tests.support.bandit import TwoArms

PPO = PPOConfig(rollout_steps=8, minibatch_size=32, hidden=(8,), learning_rate=0.01)
GIVEN = Given(ppo=PPO, copies=16, horizon=1)
OBSERVATION = np.full((4, 1), 0.5, np.float32)
CASES = [(name, form) for name, rival in RIVALS.items() for form in rival.forms]
# Replay begins at once and learns fast: the bandit is small.
QUICK: dict[str, dict[str, Any]] = {
    "dqn": {"learning_rate": 0.01},
    "sac": {"learning_starts": 64, "learning_rate": 0.01},
    "ddpg": {"learning_starts": 64, "learning_rate": 0.01},
}


def trained(name: str, form: Form, seed: int = 0, steps: int | None = None) -> Learned:
    rival = RIVALS[name]
    settings = rival.resolved(GIVEN, form, QUICK.get(name, {}))
    env = TwoArms(form, settings["copies"])
    steps = steps or (4096 if rival.on_policy else 800)
    return rival.train(env, settings, steps=steps, seed=seed, on_curve=lambda at, policy: None)


def preferred(policy: Chooser) -> Any:
    return policy.act(OBSERVATION, np.random.default_rng(0), deterministic=True)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def case(request: pytest.FixtureRequest) -> tuple[str, Form]:
    name, form = request.param
    return name, form


@pytest.fixture(scope="module")
def learned(case: tuple[str, Form]) -> Learned:
    return trained(*case)


def test_it_finds_the_arm_that_pays(learned: Learned) -> None:
    assert (preferred(learned.policy) > 0).all()


def test_it_reports_what_it_can_measure(case: tuple[str, Form], learned: Learned) -> None:
    rival = RIVALS[case[0]]
    wanted = 4096 if rival.on_policy else 800
    assert wanted <= learned.steps <= wanted + 2 * PPO.rollout_steps * 512
    assert learned.updates >= 2
    if case[0] in ("dqn", "ddpg"):  # deterministic policies
        assert learned.entropy is learned.largest_kl is None
        return
    # At most that of two equal arms, or about that of the widest Gaussian that any begins with.
    widest = {"discrete": np.log(2) + 1e-6, "continuous": 0.5 * np.log(2 * np.pi * np.e) + 0.1}
    assert learned.entropy is not None
    assert learned.entropy < widest[case[1]]
    assert learned.largest_kl is not None
    assert learned.mean_kl is not None
    assert 0 < learned.mean_kl <= learned.largest_kl


def test_the_same_seed_gives_the_same_policy_and_another_seed_another(
    case: tuple[str, Form],
) -> None:
    def weights(seed: int) -> list[Any]:
        policy: Any = trained(*case, seed=seed, steps=1024 if RIVALS[case[0]].on_policy else 200)
        if isinstance(policy.policy, Agent):
            return list(policy.policy.arrays().values())
        return [tensor.numpy() for tensor in policy.policy.policy.state_dict().values()]

    first, again, other = weights(3), weights(3), weights(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", [name for name, rival in RIVALS.items() if rival.own])
def test_a_saved_policy_decides_as_before(name: str, tmp_path: Path) -> None:
    for form in RIVALS[name].forms:
        policy: Any = trained(name, form).policy
        save_policy(policy, tmp_path / form)
        np.testing.assert_array_equal(preferred(load_policy(tmp_path / form)), preferred(policy))


def test_the_curve_is_told_of_the_start_and_of_every_update(case: tuple[str, Form]) -> None:
    name, form = case
    rival = RIVALS[name]
    settings = rival.resolved(GIVEN, form, QUICK.get(name, {}))
    told: list[int] = []
    copies: list[Chooser] = []

    def on_curve(steps: int, policy: Chooser) -> None:
        told.append(steps)
        copies.append(policy.copy())

    env = TwoArms(form, settings["copies"])
    steps = 2048 if rival.on_policy else 160
    learned = rival.train(env, settings, steps=steps, seed=0, on_curve=on_curve)
    assert told[0] == 0
    assert told == sorted(told)
    assert told[-1] == learned.steps
    assert len(told) == learned.updates + 1
    # What was copied on the way is not changed by what came after.
    np.testing.assert_array_equal(preferred(copies[-1]), preferred(learned.policy))


def test_settings_that_an_algorithm_does_not_have_are_refused(case: tuple[str, Form]) -> None:
    name, form = case
    with pytest.raises(UserError, match="epsilom"):
        RIVALS[name].resolved(GIVEN, form, {"epsilom": 1})


def test_a_name_that_there_is_not_is_refused_with_what_was_meant() -> None:
    with pytest.raises(UserError, match=r"scac.*did you mean sac\?(.|\n)*quite: .*known: ppo, "):
        rivals_named(["ppo", "scac", "quite"])
    assert [rival.name for rival in rivals_named(["sac", "ppo", "sac"])] == ["sac", "ppo"]
    assert rivals_named([]) == tuple(RIVALS.values())


def test_a_policy_gradient_is_ppo_that_looks_once_and_holds_nothing_back() -> None:
    for name in ("vpg", "reinforce"):
        ppo = RIVALS[name].resolved(GIVEN, "discrete", {})["ppo"]
        assert (ppo["epochs"], ppo["trust_region"]["kind"]) == (1, "none")


def test_an_episodes_length_matters_where_it_is_known_and_to_policy_gradients_alone() -> None:
    def settings(name: str, horizon: int | None) -> dict[str, Any]:
        given = Given(PPO, copies=16, horizon=horizon)
        return dict(RIVALS[name].resolved(given, RIVALS[name].forms[0], {}))

    for name in RIVALS.keys() - {"vpg", "reinforce"}:
        assert settings(name, None) == settings(name, 5)
    steps = {
        (name, horizon): settings(name, horizon)["ppo"]["rollout_steps"]
        for name in ("vpg", "reinforce")
        for horizon in (None, 5, 20)
    }
    assert steps == {
        ("vpg", None): 8, ("vpg", 5): 5, ("vpg", 20): 8,
        ("reinforce", None): 8, ("reinforce", 5): 5, ("reinforce", 20): 20,
    }  # fmt: skip


def test_reinforce_has_no_baseline_at_any_time() -> None:
    rival: Rival = RIVALS["reinforce"]
    settings = rival.resolved(GIVEN, "discrete", {})
    values: list[float] = []

    def on_curve(steps: int, policy: Any) -> None:
        values.append(float(np.abs(policy.value(OBSERVATION)).max()))

    env = TwoArms("discrete", settings["copies"])
    rival.train(env, settings, steps=2048, seed=0, on_curve=on_curve)
    assert values == [0.0] * len(values)


def test_our_own_training_copies_no_agent_while_it_is_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copied: list[Agent] = []
    real = Agent.copy

    def copy(agent: Agent) -> Agent:
        copied.append(agent)
        return real(agent)

    monkeypatch.setattr(Agent, "copy", copy)
    short, long = (trained("ppo", "discrete", steps=steps).updates for steps in (512, 2048))
    assert long > short >= 2
    assert len(copied) <= 2 * 2, "a training copies its start, and nothing an update"


class CountsThreads(TwoArms):
    """Notes how many threads torch has while it is stepped."""

    threads: set[int]

    def step(self, actions: Any) -> Any:
        self.threads.add(torch.get_num_threads())
        return super().step(actions)


def test_a_training_takes_one_thread_and_gives_the_others_back(case: tuple[str, Form]) -> None:
    name, form = case
    settings = RIVALS[name].resolved(GIVEN, form, QUICK.get(name, {}))
    env = CountsThreads(form, settings["copies"])
    env.threads = set()
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        RIVALS[name].train(env, settings, steps=8, seed=0, on_curve=lambda at, policy: None)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    # Situations to compare policies in are gathered before the training.
    assert env.threads - {3} == {1}


@pytest.mark.parametrize("name", ["dqn", "sac", "ddpg"])
def test_whoever_learns_at_every_step_steps_adam_in_one_call(name: str) -> None:
    policy: Any = trained(name, RIVALS[name].forms[0], steps=1).policy
    owner = policy.policy if name == "dqn" else policy.policy.actor
    assert owner.optimizer.defaults["fused"] is True


class NotANumber(TwoArms):
    """Pays what is no number."""

    def step(self, actions: Any) -> Any:
        observation, reward, *rest = super().step(actions)
        return observation, reward * np.nan, *rest


def test_rewards_that_are_not_numbers_stop_a_training(case: tuple[str, Form]) -> None:
    name, form = case
    settings = RIVALS[name].resolved(GIVEN, form, QUICK.get(name, {}))
    env = NotANumber(form, settings["copies"])
    with pytest.raises(TrainingDiverged, match="not a finite number"):
        RIVALS[name].train(env, settings, steps=512, seed=0, on_curve=lambda at, policy: None)


THEIRS = [(name, form) for name, form in CASES if not RIVALS[name].own]


def overwritten(
    name: str, form: Form, change: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> Learned:
    """One update's training whose weights were changed at its very end."""
    kind = KINDS[name]
    train = kind.train

    def spoilt(model: Any, *args: Any, **kwargs: Any) -> None:
        train(model, *args, **kwargs)
        with torch.no_grad():
            for weights in model.policy.parameters():
                change(weights)

    monkeypatch.setattr(kind, "train", spoilt)
    return trained(name, form, steps=1)


@pytest.mark.parametrize(("name", "form"), THEIRS)
def test_a_policy_that_is_no_longer_numbers_has_diverged_even_in_its_last_update(
    name: str, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in ("sac", "ddpg"):
        monkeypatch.setitem(QUICK, name, {"learning_starts": 0})
    with pytest.raises(TrainingDiverged, match="not a finite number"):
        overwritten(name, form, lambda weights: weights.fill_(np.nan), monkeypatch)


@pytest.mark.parametrize("name", ["a2c", "ppo-sb3", "trpo"])
def test_finite_weights_whose_distribution_is_none_have_diverged_too(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingDiverged, match=f"{name} diverged"):
        overwritten(name, "discrete", lambda weights: weights.fill_(3e38), monkeypatch)


def test_the_librarys_ppo_is_given_our_settings() -> None:
    theirs = RIVALS["ppo-sb3"].resolved(Given(PPOConfig(), copies=64, horizon=1), "discrete", {})
    same = ("copies", "n_steps", "batch_size", "n_epochs", "learning_rate", "anneal", "clip_range")
    assert [theirs[name] for name in same] == [64, 32, 256, 4, 1e-3, True, 0.2]
