"""The fused engine of the update: the reference's steps in compiled code, on one thread or more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.fused.barrier import break_barrier, new_barrier
from ppo_marketing.ppo.fused.compiled import Array, Floats, Ints
from ppo_marketing.ppo.fused.crew import Crew
from ppo_marketing.ppo.fused.epochs import fill_log_prob_old, run_epochs
from ppo_marketing.ppo.fused.kernel import Model, Scratch, lanes_of
from ppo_marketing.ppo.fused.model import agent_obstacle, as_columns, model_of, scratch_for
from ppo_marketing.ppo.fused.objective import MEASURES, Objective, Rows
from ppo_marketing.ppo.fused.regions import Interval, interval_of
from ppo_marketing.ppo.minibatches import (
    Held,
    Measured,
    Passes,
    TrainingRows,
    edges_of_minibatches,
    kl_limit,
    refuse_divergence,
)
from ppo_marketing.ppo.trust_region import TrustRegion


def obstacle(agent: Agent, region: TrustRegion) -> str | None:
    """Return why this engine cannot train this agent in this region; None where it can."""
    if interval_of(region, torch.empty(0)) is None:
        return f"the fused engine does not know the trust region {type(region).__name__}"
    return agent_obstacle(agent)


def run_passes(
    agent: Agent,
    optimizer: Adam,
    rows: TrainingRows,
    permutations: list[Array],
    region: TrustRegion,
    config: PPOConfig,
    held: Held | None,
    crew: Crew,
) -> Passes:
    """Take a step on every minibatch of every permutation, until the KL is too large.

    Raises:
        TrainingDiverged: the loss or its gradient is not finite; that step was not taken.
    """
    flat, model = model_of(agent)
    action = as_columns(rows.action)
    update = _Update(
        flat=flat,
        model=model,
        optimizer=optimizer,
        order=np.stack(permutations),
        edges=np.array(edges_of_minibatches(len(rows), config.minibatch_size), np.int64),
        scratch=scratch_for(model, len(flat), action.shape[1]),
        crew=crew,
    )
    prepared = kernel_rows(rows, action)
    objective = objective_of(config, held)
    update.log_prob_old(prepared, objective)
    interval = interval_of(region, rows.log_prob_old)
    assert interval is not None, "ppo_update asked for the obstacle"
    prepared.low[:] = interval.low
    prepared.high[:] = interval.high
    objective = objective._replace(dual=interval.dual, penalty=interval.penalty)
    return update.run(prepared, objective)


class _Update:
    """One update under way."""

    def __init__(
        self,
        *,
        flat: Floats,
        model: Model,
        optimizer: Adam,
        order: Ints,
        edges: Ints,
        scratch: Scratch,
        crew: Crew,
    ) -> None:
        self.flat = flat
        self.model = model
        self.optimizer = optimizer
        self.order = order
        self.edges = edges
        self.scratch = scratch
        self.crew = crew
        self.batches = len(edges) - 1
        self.lanes = max(lanes_of(int(size)) for size in np.diff(edges))
        self.chosen = crew.threads(self.lanes)
        self.threads = min(self.chosen, self.lanes)
        self.barrier = new_barrier()
        self.measured = np.empty((self.batches + 1, MEASURES + 1))

    def share(self, work: Callable[[int], None]) -> None:
        """Let the threads do their parts, all at once."""
        self.crew.share(self.threads, work, partial(break_barrier, self.barrier))

    def log_prob_old(self, rows: Rows, objective: Objective) -> None:
        """Fill it, in the very batches of the first epoch, so that the first ratio is exactly 1."""

        def part(thread: int) -> None:
            fill_log_prob_old(
                self.flat, self.model, rows, objective, self.order, self.edges, self.scratch,
                thread, self.threads,
            )  # fmt: skip

        self.share(part)

    def run(self, rows: Rows, objective: Objective) -> Passes:
        """Take every step and return what was measured."""
        gradient, mean, square, steps = self.optimizer.buffers()
        outcomes: dict[int, tuple[int, int, int]] = {}

        def part(thread: int) -> None:
            outcomes[thread] = run_epochs(
                self.flat, self.model, rows, objective, self.order, self.edges, self.scratch,
                gradient, mean, square, steps, self.measured, thread, self.threads, self.barrier,
            )  # fmt: skip

        def work() -> int:
            self.share(part)
            return outcomes[0][0] * self.batches

        self.crew.timed(self.chosen, work)
        epochs, done, steps = outcomes[0]
        self.optimizer.count(steps)
        measured = [Measured(*row.tolist()) for row in self.measured]
        refuse_divergence(measured[done - 1])
        return Passes(measured[self.batches], measured[:done], epochs)


def objective_of(config: PPOConfig, held: Held | None) -> Objective:
    """Return the settings as numbers, with the plain policy gradient until the region is known."""
    plain = Interval()
    return Objective(
        dual=plain.dual,
        penalty=plain.penalty,
        value_coefficient=float(config.value_coefficient),
        value_clip=float("inf" if config.value_clip is None else config.value_clip),
        entropy_coefficient=float(config.entropy_coefficient),
        anchor_coefficient=0.0 if held is None else float(held.anchor.coefficient),
        normalise_advantages=config.normalise_advantages,
        max_grad_norm=float(config.max_grad_norm),
        kl_limit=float(kl_limit(config.target_kl)),
        learning_rate=float(config.learning_rate),
    )


def kernel_rows(rows: TrainingRows, action: Floats) -> Rows:
    """Return the rows as the kernels take them; the region's interval is still to be filled in."""
    reference = rows.log_prob_reference
    return Rows(
        inputs=rows.inputs.numpy(),
        action=action,
        allowed=np.empty((0, 0), np.bool_) if rows.allowed is None else rows.allowed.numpy(),
        log_prob_old=rows.log_prob_old.numpy(),
        log_prob_reference=np.empty(0, np.float32) if reference is None else reference.numpy(),
        low=np.empty(len(rows), np.float32),
        high=np.empty(len(rows), np.float32),
        advantage=rows.advantage.numpy(),
        target=rows.target.numpy(),
        value_old=rows.value_old.numpy(),
    )
