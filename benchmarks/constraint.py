"""Does training end within its limit, and how often is it beyond? PID beside a plain Lagrangian.

On the generator's own market: contacts a customer may get, and what a click may cost. The limit is
a share of what the same training uses when nothing limits it. Both controllers get equal steps.

    python -m benchmarks.constraint
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.report import write_result
from envs import load_decision
from ppo_marketing import pipeline
from ppo_marketing.config import TrainingSection, load_config
from ppo_marketing.constrained import PricedVectorEnv
from ppo_marketing.evaluation import play
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.constraint import PIDLagrangian
from ppo_marketing.ppo.train import train

BAR = 0.05  # of the limit
EPISODES = 2000


@dataclass(frozen=True)
class Case:
    """What is limited, for how many steps it is trained, and how tight the limit is."""

    decision: str
    kpi: str
    per: str | None
    total_steps: int
    share: float  # of what is used without a limit


CASES = (
    Case("sequencing", "contacts", None, 3_000_000, 0.5),
    Case("bidding", "spend", "clicks", 600_000, 0.8),
)
CONTROLLERS: dict[str, dict[str, float]] = {
    "PID": {},
    "plain": {"proportional": 0.0, "derivative": 0.0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=[case.decision for case in CASES])
    arguments = parser.parse_args()
    results = {}
    for case in CASES:
        if arguments.only in (None, case.decision):
            rows = [measured(case, seed) for seed in range(arguments.seeds)]
            results[f"{case.decision}: {case.kpi}" + (f" per {case.per}" if case.per else "")] = {
                "case": case.__dict__,
                "seeds": rows,
            }
    settings = {"seeds": arguments.seeds, "bar": BAR, "episodes": EPISODES}
    write_result("constraint", settings, results)


def measured(case: Case, seed: int) -> dict[str, Any]:
    """Train without a limit, then within a share of what that used, once for each controller."""
    training = load_config(None, {"decision": case.decision}).training
    training = training.model_copy(update={"total_steps": case.total_steps})
    limit = PIDLagrangian(kpi=case.kpi, limit=1.0, per=case.per)
    free = Market(case, training, seed)
    agent, _ = free.trained(None)
    used, value = free.judged(agent, limit)
    limit = replace(limit, limit=case.share * used)
    row: dict[str, Any] = {"seed": seed, "used": used, "value": value, "limit": limit.limit}
    print(case.decision, row, flush=True)
    for name, gains in CONTROLLERS.items():
        constraint = replace(limit, **gains)
        agent, paid = free.trained(constraint)
        used, value = free.judged(agent, constraint)
        errors = np.array([violation for violation, _ in paid])
        row[name] = {
            "used_over_limit": used / limit.limit,
            "value": value,
            "adjustments": len(errors),
            "violating": int((errors > 0).sum()),
            "violating_by_over_5_percent": int((errors > BAR).sum()),
            "last_half_mean_error": float(errors[len(errors) // 2 :].mean()),
        }
        print("  ", name, row[name], [round(float(e), 2) for e in errors[:: max(1, len(errors)//25)]], [round(p,2) for _, p in paid[:: max(1, len(errors)//25)]], flush=True)
    return row


class Market:
    """One seed's markets: one to learn in, one to be chosen in, one to be judged in."""

    def __init__(self, case: Case, training: TrainingSection, seed: int) -> None:
        self.card, self.training, self.seed = load_decision(case.decision), training, seed
        self.learns, self.chooses, self.judges = (
            self.card.true_world(
                self.card.presets[0],
                episodes,
                self.card.sample_settings(),
                np.random.default_rng([seed, 50, purpose]),
            )
            for purpose, episodes in enumerate(
                (training.episodes, training.validation_episodes, EPISODES)
            )
        )

    def trained(
        self, constraint: PIDLagrangian | None
    ) -> tuple[Agent, list[tuple[float, float]]]:
        """Return the agent of the last update and what every adjustment saw."""
        config = pipeline.ppo_config(self.card, self.training)
        env = pipeline.training_env(
            self.learns,
            self.training.copies,
            regret=self.training.regret,
            constraint=constraint,
        )
        result = train(env, config, total_steps=self.training.total_steps, seed=self.seed,
                       agent=pipeline.untrained(self.learns, config, self.seed))
        return result.agent, env.paid if isinstance(env, PricedVectorEnv) else []

    def judged(self, agent: Agent, constraint: PIDLagrangian) -> tuple[float, float]:
        """Return the amount used, in units of the limit, and the value an episode."""
        played = play(PolicyActor("PPO", agent), self.judges, EPISODES, self.seed, "policy")
        used = constraint.limit * (1.0 + pipeline.violation(constraint, played.kpis))
        return used, float(played.kpis[self.card.value_kpi].mean())


if __name__ == "__main__":
    main()
