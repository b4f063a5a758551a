"""Which algorithms there are, what they fit, and the settings that each is run with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gymnasium.vector import VectorEnv

from envs.core.forms import Form
from ppo_marketing.config import build
from ppo_marketing.errors import UserError, meant
from ppo_marketing.ppo.config import PPOConfig, require_fitting_minibatch
from ppo_marketing.ppo.trust_region import Clip, TrustRegion, Unbounded
from ppo_marketing.rivals.learned import Learned, OnCurve

Values = Mapping[str, Any]

ROWS_PER_STEP = 512
"""Of one policy-gradient step without re-use: twice PPO's minibatch, since each row serves once."""


@dataclass(frozen=True)
class Given:
    """What a decision and its user say, alike for every algorithm.

    `horizon` is the steps of an episode, None as long as no market says it: settings can then be
    checked, and only REINFORCE and the policy gradient have other ones once it is known.
    """

    ppo: PPOConfig
    copies: int
    horizon: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One algorithm: the action spaces it fits, where its settings come from, what it costs.

    `cost_us` is CPU microseconds a step of training on one core of 2.5 GHz, for foretelling how
    long a comparison takes; only its size matters.
    """

    name: str
    title: str
    forms: tuple[Form, ...]
    on_policy: bool
    cost_us: float
    source: str
    settings: Callable[[Given, Form], Values]
    own: bool
    obstacle: Callable[[PPOConfig], str | None] = lambda ppo: None
    """Why it cannot be run beside PPO's settings, and the remedy; None where it can."""

    def resolved(self, given: Given, form: Form, overrides: Values) -> Values:
        """The settings that it is run with, `copies` among them, as plain values.

        Raises:
            UserError: an override is no setting of this algorithm, or contradicts another, or
                PPO's settings have an `obstacle` to it.
        """
        obstacle = self.obstacle(given.ppo)
        if obstacle is not None:
            raise UserError(obstacle)
        settings = dict(self.settings(given, form))
        if self.own:
            copies = overrides.get("copies", settings["copies"])
            ppo = {**settings["ppo"], **{k: v for k, v in overrides.items() if k != "copies"}}
            config = build(PPOConfig, ppo, self.name)
            require_fitting_minibatch(config, copies)
            return {"copies": copies, "ppo": config.as_values()}
        unknown = sorted(overrides.keys() - settings.keys())
        if unknown:
            raise UserError(
                f"{self.name} has no setting {', '.join(unknown)}; it has {', '.join(settings)}"
            )
        return {**settings, **overrides}

    def train(
        self, env: VectorEnv, settings: Values, *, steps: int, seed: int, on_curve: OnCurve
    ) -> Learned:
        """Train for `steps` steps of all copies together; `settings` are `resolved`.

        Raises:
            UserError: the environment's spaces do not fit the algorithm.
            TrainingDiverged: a reward, an observation, a loss, an action or a weight is not finite.
        """
        if self.own:
            from ppo_marketing.rivals.own import train_own

            return train_own(env, settings["ppo"], steps=steps, seed=seed, on_curve=on_curve)
        # stable-baselines3 takes seconds to import, which help need not wait for.
        from ppo_marketing.rivals.stable_baselines import train_theirs

        return train_theirs(self.name, env, settings, steps=steps, seed=seed, on_curve=on_curve)


def _ppo(given: Given, form: Form) -> Values:
    return {"copies": given.copies, "ppo": given.ppo.as_values()}


def _one_pass(given: Given, rollout_steps: int, **changes: Any) -> Values:
    """Our core without its trust region: one gradient step on every row, once."""
    copies = math.ceil(ROWS_PER_STEP / rollout_steps)
    config = replace(
        given.ppo,
        trust_region=Unbounded(),
        anchor=None,
        target_kl=None,
        epochs=1,
        rollout_steps=rollout_steps,
        minibatch_size=rollout_steps * copies,
        **changes,
    )
    return {"copies": copies, "ppo": config.as_values()}


def _reinforce(given: Given, form: Form) -> Values:
    # As long as an episode can be: a return that is cut would have to be completed by a critic.
    # Whole where every episode has the full horizon; where one ends early the next is cut at the
    # rollout's end, and V = 0 stands for what it earned after that.
    steps = given.ppo.rollout_steps if given.horizon is None else given.horizon
    return _one_pass(given, steps, gae_lambda=1.0, value_coefficient=0.0)


def _policy_gradient(given: Given, form: Form) -> Values:
    steps = given.ppo.rollout_steps
    if given.horizon is not None:
        steps = min(steps, given.horizon)
    return _one_pass(given, steps, gae_lambda=0.97)


def _shared(given: Given, *, copies: int, normalise: bool) -> dict[str, Any]:
    """What is the task's and not the algorithm's, and networks of PPO's size for all."""
    return {
        "copies": copies,
        "normalise": normalise,
        "gamma": given.ppo.gamma,
        "reward_scale": given.ppo.reward_scale,
        "net_arch": list(given.ppo.hidden),
    }


def _a2c(given: Given, form: Form) -> Values:
    shared = _shared(given, copies=16, normalise=True)
    if form == "discrete":
        return shared | {
            "n_steps": 5, "gae_lambda": 1.0, "learning_rate": 8.3e-4, "anneal": True,
            "ent_coef": 1e-5, "vf_coef": 0.5, "log_std_init": 0.0, "ortho_init": True,
        }  # fmt: skip
    return shared | {
        "n_steps": 8, "gae_lambda": 0.9, "learning_rate": 7e-4, "anneal": True,
        "ent_coef": 0.0, "vf_coef": 0.4, "log_std_init": -2.0, "ortho_init": False,
    }  # fmt: skip


def _trpo(given: Given, form: Form) -> Values:
    shared = _shared(given, copies=16, normalise=True) | {"anneal": False}
    if form == "discrete":
        return shared | {
            "n_steps": 64, "batch_size": 128, "gae_lambda": 0.98, "learning_rate": 1e-3,
            "n_critic_updates": 15, "cg_damping": 0.01, "target_kl": 0.01,
        }  # fmt: skip
    return shared | {
        "n_steps": 128, "batch_size": 128, "gae_lambda": 0.95, "learning_rate": 1e-3,
        "n_critic_updates": 20, "cg_damping": 0.1, "target_kl": 0.01,
    }  # fmt: skip


def _one_epsilon(region: TrustRegion) -> float | None:
    """The epsilon of a clip that is alike on both sides, the one region of stable-baselines3."""
    if not isinstance(region, Clip) or region.low != region.high or region.dual is not None:
        return None
    return region.high


def _other_region(ppo: PPOConfig) -> str | None:
    if _one_epsilon(ppo.trust_region) is not None:
        return None
    return (
        "ppo-sb3 checks PPO by the same settings, and stable-baselines3 has no trust region but a "
        "clip with one epsilon: drop it, or set trust_region to kind clip with low equal to high "
        "and no dual"
    )


def _ppo_sb3(given: Given, form: Form) -> Values:
    """Ours, as far as theirs has the setting; the entropy bonus is not annealed there."""
    ppo = given.ppo
    return _shared(given, copies=given.copies, normalise=ppo.normalise_observations) | {
        "n_steps": ppo.rollout_steps,
        "batch_size": ppo.minibatch_size,
        "n_epochs": ppo.epochs,
        "gae_lambda": ppo.gae_lambda,
        "learning_rate": ppo.learning_rate,
        "anneal": ppo.anneals,
        "clip_range": _one_epsilon(ppo.trust_region),
        "ent_coef": ppo.entropy_coefficient,
        "vf_coef": ppo.value_coefficient,
        "max_grad_norm": ppo.max_grad_norm,
        "normalize_advantage": ppo.normalise_advantages,
        "target_kl": ppo.target_kl,
        "log_std_init": ppo.log_std_initial,
    }


def _dqn(given: Given, form: Form) -> Values:
    return _shared(given, copies=4, normalise=False) | {
        "learning_rate": 6.3e-4,
        "anneal": False, "batch_size": 128, "buffer_size": 50_000, "learning_starts": 0,
        "target_update_interval": 250, "train_freq": 1, "gradient_steps": -1,
        "exploration_fraction": 0.12, "exploration_final_eps": 0.1, }  # fmt: skip


def _sac(given: Given, form: Form) -> Values:
    return _shared(given, copies=4, normalise=False) | {
        "learning_rate": 3e-4,
        "anneal": False, "batch_size": 256, "buffer_size": 1_000_000, "learning_starts": 10_000,
        "tau": 0.005, "train_freq": 1, "gradient_steps": -1, }  # fmt: skip


def _ddpg(given: Given, form: Form) -> Values:
    return _shared(given, copies=4, normalise=False) | {
        "learning_rate": 1e-3,
        "anneal": False, "batch_size": 256, "buffer_size": 200_000, "learning_starts": 10_000,
        "tau": 0.005, "train_freq": 1, "gradient_steps": -1, "noise_std": 0.1,
        }  # fmt: skip


BOTH: tuple[Form, ...] = ("discrete", "continuous")
ZOO = "rl-baselines3-zoo"

RIVALS: Mapping[str, Rival] = {
    rival.name: rival
    for rival in (
        Rival(
            name="ppo", title="PPO", forms=BOTH, on_policy=True, cost_us=30, own=True,
            settings=_ppo, source="this project's own, with the decision's settings",
        ),
        Rival(
            name="ppo-sb3", title="PPO of stable-baselines3", forms=BOTH, on_policy=True,
            cost_us=70, own=False, settings=_ppo_sb3, source="PPO's settings here: a check",
            obstacle=_other_region,
        ),
        Rival(
            name="a2c", title="A2C", forms=BOTH, on_policy=True, cost_us=75, own=False,
            settings=_a2c, source=f"{ZOO}, LunarLander and LunarLanderContinuous, without gSDE",
        ),
        Rival(
            name="trpo", title="TRPO", forms=BOTH, on_policy=True, cost_us=170, own=False,
            settings=_trpo, source=f"{ZOO}, LunarLander and LunarLanderContinuous",
        ),
        Rival(
            name="vpg", title="vanilla policy gradient", forms=BOTH, on_policy=True, cost_us=20,
            own=True, settings=_policy_gradient,
            source="PPO's settings here, one pass, no clip; lambda .97 as in Spinning Up",
        ),
        Rival(
            name="reinforce", title="REINFORCE", forms=BOTH, on_policy=True, cost_us=25, own=True,
            settings=_reinforce, source="PPO's settings here, one pass, no clip, no baseline",
        ),
        Rival(
            name="dqn", title="DQN", forms=("discrete",), on_policy=False, cost_us=1400, own=False,
            settings=_dqn, source=f"{ZOO}, LunarLander",
        ),
        Rival(
            name="sac", title="SAC", forms=("continuous",), on_policy=False, cost_us=3200,
            own=False, settings=_sac, source="stable-baselines3's defaults, as rl-baselines3-zoo's "
            "MuJoCo tasks have them",
        ),
        Rival(
            name="ddpg", title="DDPG", forms=("continuous",), on_policy=False, cost_us=1700,
            own=False, settings=_ddpg, source=f"{ZOO}, LunarLanderContinuous",
        ),
    )
}  # fmt: skip


def rivals_named(names: Sequence[str]) -> tuple[Rival, ...]:
    """The algorithms of these names, each once, in the order given; none: all.

    Raises:
        UserError: listing every name that there is not, with what was meant.
    """
    problems = [
        f"  {name}: there is no such algorithm; {meant(name, RIVALS)}"
        for name in names
        if name not in RIVALS
    ]
    if problems:
        raise UserError("these algorithms cannot be compared:\n" + "\n".join(problems))
    return tuple(RIVALS[name] for name in dict.fromkeys(names or RIVALS))
