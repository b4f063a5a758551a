"""The training loop: gather, improve, measure, save; and resume exactly where it was left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from gymnasium.vector import VectorEnv

from ppo_marketing.errors import Interrupted, UserError, below_one
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.anchor import Reference
from ppo_marketing.ppo.checkpoint import load_checkpoint, save_checkpoint
from ppo_marketing.ppo.config import PPOConfig, unfilled_minibatch
from ppo_marketing.ppo.fused.crew import Crew
from ppo_marketing.ppo.fused.rows import column_moments
from ppo_marketing.ppo.rollout import Buffers, Rollout, collect
from ppo_marketing.ppo.run import Run, TrainingRow, restore_run, start_run, state_of
from ppo_marketing.ppo.signals import StopSignal
from ppo_marketing.ppo.threads import single_threaded
from ppo_marketing.ppo.update import engine_for, ppo_update


@dataclass(frozen=True)
class TrainResult:
    """What training gave."""

    agent: Agent  # as it stood after the last update
    best: Agent  # with the highest validation score; the last one when nothing was validated
    best_score: float | None
    best_update: int  # 0: the untrained start was never beaten
    history: tuple[TrainingRow, ...]


def train(
    env: VectorEnv,
    config: PPOConfig,
    *,
    total_steps: int,
    seed: int,
    checkpoint: Path | None = None,
    checkpoint_every: int = 10,
    on_update: Callable[[TrainingRow], None] | None = None,
    validate: Callable[[Agent], float] | None = None,
    validate_every: int = 10,
    agent: Agent | None = None,
    reference: Reference | None = None,
    stop: StopSignal | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> TrainResult:
    """Train an agent on a Gymnasium vector environment for `total_steps` steps of all copies.

    The steps are rounded up to whole rollouts. Where observations are normalised, one rollout
    of the untrained policy comes first, only to measure them; it counts as steps.

    `seed` fixes every draw of training and the environment's first reset. An existing
    `checkpoint` is resumed, bit by bit as if it had never stopped; a finished one returns at
    once. `validate` scores an agent, higher is better, before the first update, every
    `validate_every` updates and after the last; it must be a pure function of the agent.
    Training starts from a copy of `agent` where one is given. `config.anchor` holds to
    `reference`, or to that start where none is given.

    Raises:
        UserError: the environment or the arguments do not allow what is asked.
        IntegrityError: the checkpoint is damaged.
        TrainingDiverged: a reward, an observation, the loss or its gradient is not finite.
        Interrupted: `stop` was requested; the state was saved if there is a checkpoint.
    """
    updates = math.ceil(total_steps / (config.rollout_steps * env.num_envs))
    _check_arguments(env, config, total_steps, checkpoint, checkpoint_every, validate_every)
    if reference is not None and config.anchor is None:
        raise UserError("a reference policy was given and no anchor holds to it: set ppo.anchor")
    identity = _identity(env, config) | {
        "total_steps": total_steps,
        "seed": seed,
        "validate_every": None if validate is None else validate_every,
    }
    with single_threaded(), Crew() as crew:
        run = start_run(env, config, seed, agent, reference)
        # As resolved: "auto" may mean something else where the checkpoint is resumed.
        identity["device"] = run.agent.device.type
        identity["engine"] = engine_for(run.agent, run.region, config.engine)
        # Not in the checkpoint: without a `reference` it is the start, which `agent` may change.
        identity["reference"] = None if run.held is None else run.held.reference.sha256()
        if checkpoint is not None and checkpoint.exists():
            restore_run(run, load_checkpoint(checkpoint), identity, env, checkpoint)
        elif validate is not None:
            run.best_score = _score(validate, run.agent)

        buffers = Buffers(config.rollout_steps, env.num_envs, run.agent.observation_size)
        while run.update < updates:
            _advance(run, env, config, updates, buffers, crew, clock)
            last = run.update == updates
            if validate is not None and (last or run.update % validate_every == 0):
                _compare(run, validate)
            stopped_by = None if stop is None else stop.number
            if checkpoint is not None and (
                last or stopped_by is not None or run.update % checkpoint_every == 0
            ):
                save_checkpoint(checkpoint, state_of(run, identity, env))
            if on_update is not None:
                on_update(run.history[-1])
            if stopped_by is not None:
                raise _interrupted(stopped_by, run.update, updates, checkpoint)
    best = run.agent if run.best_score is None else run.best
    return TrainResult(
        agent=run.agent,
        best=best,
        best_score=run.best_score,
        best_update=run.update if run.best_score is None else run.best_update,
        history=tuple(run.history),
    )


def _advance(
    run: Run,
    env: VectorEnv,
    config: PPOConfig,
    updates: int,
    buffers: Buffers,
    crew: Crew,
    clock: Callable[[], float],
) -> None:
    """Gather one rollout and learn from it."""
    began = clock()
    current = config.at(run.update / updates)
    steps_before = run.steps
    if run.agent.normaliser is not None and run.agent.normaliser.count == 0:
        _observe(run.agent, _gather(run, env, config, buffers, crew))
    rollout = _gather(run, env, config, buffers, crew)
    factor = config.reward_scale
    if run.reward_scale is not None:
        run.reward_scale = run.reward_scale.updated(rollout.reward, rollout.ended, rollout.valid)
        factor = run.reward_scale.factor
    learning = ppo_update(
        run.agent,
        run.optimizer,
        rollout,
        run.region,
        current,
        rng=run.rng,
        reward_factor=cast("float", factor),
        held=run.held,
        crew=crew,
    )
    run.region = run.region.updated(learning.kl)
    if run.held is not None:
        assert learning.anchor_kl is not None
        run.held = replace(run.held, anchor=run.held.anchor.updated(learning.anchor_kl))
    _observe(run.agent, rollout)
    run.update += 1
    took = clock() - began
    run.seconds += took
    returns = rollout.episode_returns
    run.history.append(
        TrainingRow(
            update=run.update,
            steps=run.steps,
            seconds=run.seconds,
            steps_per_second=(run.steps - steps_before) / max(took, 1e-9),
            episodes=len(returns),
            mean_return=float(returns.mean()) if len(returns) else None,
            learning_rate=current.learning_rate,
            entropy_coefficient=current.entropy_coefficient,
            validation_score=None,
            learning=learning,
        )
    )


def _gather(run: Run, env: VectorEnv, config: PPOConfig, buffers: Buffers, crew: Crew) -> Rollout:
    rollout, run.position = collect(
        env,
        run.agent,
        run.position,
        config.rollout_steps,
        run.rng,
        buffers=buffers,
        compiled=config.engine != "torch",
        crew=crew,
    )
    run.steps += rollout.reward.size
    return rollout


def _observe(agent: Agent, rollout: Rollout) -> None:
    """Add a rollout's observations to the agent's statistics, once nothing depends on the old."""
    if agent.normaliser is not None:
        rows = rollout.observation
        if not rollout.valid.all():
            rows = rows[rollout.valid]
        rows = rows.reshape(-1, agent.observation_size)
        agent.normaliser = agent.normaliser.merged(*column_moments(rows))


def _compare(run: Run, validate: Callable[[Agent], float]) -> None:
    """Score the agent, note it in the history, and keep it if it is the best so far."""
    score = _score(validate, run.agent)
    run.history[-1] = replace(run.history[-1], validation_score=score)
    if run.best_score is None or score > run.best_score:
        run.best, run.best_score, run.best_update = run.agent.copy(), score, run.update


def _score(validate: Callable[[Agent], float], agent: Agent) -> float:
    score = float(validate(agent))
    if math.isnan(score):
        raise UserError("`validate` returned NaN; it must return a number, higher is better")
    return score


def _identity(env: VectorEnv, config: PPOConfig) -> dict[str, Any]:
    """Return what must be equal for a checkpoint to be continued."""
    return config.as_values() | {
        "copies": env.num_envs,
        "observation_space": str(env.single_observation_space),
        "action_space": str(env.single_action_space),
    }


def _check_arguments(
    env: VectorEnv,
    config: PPOConfig,
    total_steps: int,
    checkpoint: Path | None,
    checkpoint_every: int,
    validate_every: int,
) -> None:
    problems = below_one(
        {
            "total_steps": total_steps,
            "checkpoint_every": checkpoint_every,
            "validate_every": validate_every,
        }
    )
    problems += unfilled_minibatch(config, env.num_envs)
    if checkpoint is not None and not (
        hasattr(env, "state_dict") and hasattr(env, "load_state_dict")
    ):
        problems.append(
            f"a checkpoint was asked for and {type(env).__name__} has no state_dict() and "
            "load_state_dict(); without them training cannot be resumed exactly, so give the "
            "environment both, or train without a checkpoint"
        )
    if problems:
        raise UserError("training cannot start:\n  " + "\n  ".join(problems))


def _interrupted(number: int, update: int, updates: int, checkpoint: Path | None) -> Interrupted:
    saved = (
        "nothing was saved, since no checkpoint was asked for"
        if checkpoint is None
        else f"the state is saved in {checkpoint}; the same command resumes it"
    )
    return Interrupted(f"stopped after update {update} of {updates}: {saved}", number)
