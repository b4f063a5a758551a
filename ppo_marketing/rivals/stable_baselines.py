"""A2C, PPO, DQN, SAC, DDPG and TRPO of stable-baselines3 and sb3-contrib on our environments."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from sb3_contrib import TRPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.sac.policies import SACPolicy
from torch.distributions import Categorical, Distribution, Normal, kl_divergence
from torch.nn.utils import parameters_to_vector

from ppo_marketing.errors import TrainingDiverged, UserError
from ppo_marketing.ppo.gaussian import squash_correction
from ppo_marketing.ppo.normalise import RunningMoments, normalise
from ppo_marketing.ppo.threads import single_threaded
from ppo_marketing.rivals.learned import Array, Learned, OnCurve, Probe, last_half_mean, probed
from ppo_marketing.rivals.vec_env import NativeVecEnv

KINDS: Mapping[str, type[BaseAlgorithm]] = {
    "a2c": A2C,
    "ppo-sb3": PPO,
    "trpo": TRPO,
    "dqn": DQN,
    "sac": SAC,
    "ddpg": DDPG,
}
OF_THE_POLICY = ("net_arch", "log_std_init", "ortho_init")
OURS = ("copies", "normalise", "reward_scale", "anneal", "noise_std")
FUSED_ADAM = {"fused": True}
"""The same steps in one call of torch; whoever learns at every step takes an eighth less time."""


class TheirPolicy:
    """A policy of stable-baselines3 with the observation statistics that it was trained with.

    It knows no masks: what it may not choose is replaced by `permitted`.
    """

    def __init__(self, policy: BasePolicy, moments: RunningMoments | None) -> None:
        self.policy = policy
        self.moments = moments

    def act(
        self,
        observation: Array,
        rng: np.random.Generator,
        mask: Array | None = None,
        *,
        deterministic: bool = False,
    ) -> Array:
        """Return an action for every row; stochastic draws come from torch's own generator."""
        actions, _ = self.policy.predict(self.inputs(observation), deterministic=deterministic)
        return np.asarray(actions)

    def inputs(self, observation: Array) -> Array:
        """Return what the network takes, `[n, obs]` float32."""
        if self.moments is None:
            return np.asarray(observation, np.float32)
        return normalise(observation, self.moments)

    def copy(self) -> Self:
        """Return the same policy, which further training does not change."""
        return type(self)(copy.deepcopy(self.policy), self.moments)

    def distribution(self, observation: Array) -> Distribution | None:
        """Return the distribution of actions (before any squashing); None of deterministic ones."""
        rows = torch.from_numpy(self.inputs(observation))
        with torch.no_grad():
            if isinstance(self.policy, ActorCriticPolicy):
                distribution: Distribution = self.policy.get_distribution(rows).distribution
                return distribution
            if isinstance(self.policy, SACPolicy):
                mean, log_std, _ = self.policy.actor.get_action_dist_params(rows)
                return Normal(mean, log_std.exp())
        return None


def train_theirs(
    name: str,
    env: VectorEnv,
    settings: Mapping[str, Any],
    *,
    steps: int,
    seed: int,
    on_curve: OnCurve,
) -> Learned:
    """Train one of `KINDS`, as `Rival.train` says.

    On one thread: networks this small are slower on two. Where replay comes first
    (`learning_starts`) it is a tenth of the steps at most, so that a short
    training learns at all. stable-baselines3 seeds the process's global generators; train in a
    process of its own where that matters.
    """
    probe = probed(env, seed, np.random.default_rng([seed, 2]))
    # The first update must not be measured by statistics that are only then made.
    moments = RunningMoments.empty(probe.observation.shape[1]).updated(probe.observation)
    adapted = NativeVecEnv(
        env,
        seed,
        moments=moments if settings["normalise"] else None,
        reward_scale=settings["reward_scale"],
        gamma=settings["gamma"],
    )
    model = _model(name, adapted, _begun_in_time(settings, steps), seed)
    watch = _Watch(adapted, probe, on_curve)
    try:
        with single_threaded():
            model.learn(total_timesteps=steps, callback=watch)
        watch.after_update()
        policy = TheirPolicy(model.policy, adapted.moments)
        entropy = _entropy(policy, probe)
    except ValueError as error:
        # Their distributions refuse parameters that are no longer numbers.
        if "nan" not in str(error).lower():
            raise
        raise TrainingDiverged(f"{name} diverged: {str(error).splitlines()[0]}") from error
    return Learned(
        policy=policy,
        steps=int(model.num_timesteps),
        updates=watch.updates,
        largest_kl=max(watch.kls) if watch.kls else None,
        mean_kl=last_half_mean(watch.kls),
        clip_fraction=None if not watch.clipped else float(np.mean(watch.clipped)),
        entropy=entropy,
    )


def _model(name: str, env: NativeVecEnv, settings: Mapping[str, Any], seed: int) -> BaseAlgorithm:
    space = env.action_space
    if isinstance(space, spaces.Discrete) and space.start != 0:
        raise UserError(f"{name} counts choices from 0 and {space} does not")
    given = arguments_of(settings)
    if "noise_std" in settings:
        size = space.shape[0]
        given["action_noise"] = NormalActionNoise(
            np.zeros(size), np.full(size, settings["noise_std"])
        )
    return KINDS[name]("MlpPolicy", env, seed=seed, device="cpu", verbose=0, **given)


def arguments_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A rival's settings as what the library's algorithm is made with, those of `OURS` left out."""
    plain = {k: v for k, v in settings.items() if k not in (*OURS, *OF_THE_POLICY)}
    of_the_policy = {k: settings[k] for k in OF_THE_POLICY if k in settings}
    if "gradient_steps" in settings:
        of_the_policy["optimizer_kwargs"] = FUSED_ADAM
    return {
        **plain,
        "learning_rate": _schedule(settings["learning_rate"], anneal=settings["anneal"]),
        "policy_kwargs": of_the_policy,
    }


def _begun_in_time(settings: Mapping[str, Any], steps: int) -> Mapping[str, Any]:
    """The settings with learning begun after a tenth of the steps at the latest."""
    if "learning_starts" not in settings:
        return settings
    return {**settings, "learning_starts": min(settings["learning_starts"], steps // 10)}


def _schedule(rate: float, *, anneal: bool) -> float | Callable[[float], float]:
    return (lambda left: rate * left) if anneal else rate


class _Watch(BaseCallback):  # type: ignore[misc] # the library is not read by mypy
    """Tells the curve of every update and measures KL(before, after) over the probe, exactly."""

    def __init__(self, env: NativeVecEnv, probe: Probe, on_curve: OnCurve) -> None:
        super().__init__()
        self._env, self._probe, self._on_curve = env, probe, on_curve
        self._before: Distribution | None = None
        self._begun = False
        self.updates = 0
        self.kls: list[float] = []
        self.clipped: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self.after_update()

    def after_update(self) -> None:
        """Take note of the policy as it stands: before the first rollout, and after every update.

        An update is whatever lies between two rollouts: for the off-policy ones a few steps.

        Raises:
            TrainingDiverged: a weight of the policy or of its critics is not finite.
        """
        if not parameters_to_vector(self.model.policy.parameters()).isfinite().all():
            raise TrainingDiverged("a weight of the networks is not a finite number")
        policy = TheirPolicy(self.model.policy, self._env.moments)
        now = policy.distribution(self._probe.observation)
        if self._begun:
            self.updates += 1
            if now is not None and self._before is not None:
                self.kls.append(mean_kl(self._before, now))
            share = self.logger.name_to_value.get("train/clip_fraction")
            if share is not None:
                self.clipped.append(float(share))
        self._before, self._begun = now, True
        self._on_curve(int(self.model.num_timesteps), policy)


def mean_kl(before: Distribution, now: Distribution) -> float:
    """The mean over rows of KL(before, now), summed over dimensions; nats.

    Of choices it is Σ p (log p - log q): torch's own calls it infinite as soon as a probability q
    is too small for a float32, whose logarithm is still a number.
    """
    if isinstance(before, Categorical) and isinstance(now, Categorical):
        kl = before.probs.double() * (before.logits.double() - now.logits.double())
    else:
        kl = kl_divergence(before, now).double()
    return float(kl.reshape(len(kl), -1).sum(-1).mean())


def _entropy(policy: TheirPolicy, probe: Probe) -> float | None:
    """Nats; of a squashed Gaussian through 32 fixed quantiles a dimension."""
    distribution = policy.distribution(probe.observation)
    if distribution is None:
        return None
    entropy = distribution.entropy()
    if isinstance(policy.policy, SACPolicy):
        assert isinstance(distribution, Normal)
        quantiles = torch.special.ndtri((torch.arange(32) + 0.5) / 32)[:, None, None]
        draws = distribution.mean + distribution.stddev * quantiles
        entropy = entropy + squash_correction(draws).mean(0)
    return float(entropy.reshape(len(probe.observation), -1).sum(-1).mean())
