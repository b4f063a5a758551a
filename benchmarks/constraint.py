"""Does training end within its limit, and how often is it beyond? PID beside a plain Lagrangian.

Sequencing on the generator's own customers: the contacts that a customer may get, and what contacts
may cost for each purchase. The limit is half of what the same training uses when nothing limits it.
Both controllers get equal steps and the same k_I. Judged: the chosen policy on fresh customers, and
at how many adjustments of the price the training was beyond the limit.

    python -m benchmarks.constraint
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.report import write_result
from envs import load_decision
from envs.core.decision import Decision
from ppo_marketing.config import TrainingSection, load_config
from ppo_marketing.constrained import PricedVectorEnv
from ppo_marketing.evaluation import play
from ppo_marketing.pipeline import learning
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.constraint import PIDLagrangian
from ppo_marketing.ppo.train import train

Array = npt.NDArray[Any]

BAR = 0.05  # of the limit
EPISODES = 2000


SHARE = 0.5  # of what is used without a limit
LIMITED = {
    "contacts": PIDLagrangian(kpi="contacts", limit=1.0),
    "contact cost per purchase": PIDLagrangian(kpi="contact_cost", limit=1.0, per="purchases"),
}
CONTROLLERS: dict[str, dict[str, Any]] = {
    "PID": {},
    "plain": {"proportional": 0.0, "derivative": 0.0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3_000_000)
    arguments = parser.parse_args()
    card = load_decision("sequencing")
    training = load_config(None, {"decision": card.name}).training
    training = training.model_copy(update={"total_steps": arguments.steps})
    results: dict[str, Any] = {}
    for title, limited in LIMITED.items():
        rows = [measured(Market(card, training, seed), limited) for seed in range(arguments.seeds)]
        results[title] = {"per_seed": rows, **judged(rows)}
        print(f"{title}: {judged(rows)}", flush=True)
    config = {"bar": BAR, "share": SHARE, "episodes": EPISODES, "training": training.model_dump()}
    write_result("constraint", {"seeds": arguments.seeds, **config}, results)
    if not all(row["reached"] for row in results.values()):
        raise SystemExit("a limit was not held, or the plain Lagrangian held it as well: see above")


def judged(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the worst use of the limit and both controllers' violating adjustments."""
    worst = max(row["PID"]["used_over_limit"] for row in rows)
    violating = {name: sum(row[name]["violating"] for row in rows) for name in CONTROLLERS}
    return {
        "worst_use_over_limit": worst,
        "violating": violating,
        "reached": worst <= 1.0 + BAR and violating["PID"] < violating["plain"],
    }


def measured(market: Market, limited: PIDLagrangian) -> dict[str, Any]:
    """Train without a limit, then within a share of what that used, once for each controller."""
    agent, _ = market.trained(None)
    used, value = market.judged(agent, limited)
    row: dict[str, Any] = {"seed": market.seed, "unlimited_use": used, "unlimited_value": value}
    for name, gains in CONTROLLERS.items():
        constraint = replace(limited, limit=SHARE * used, **gains)
        agent, errors = market.trained(constraint)
        amount, value = market.judged(agent, constraint)
        row[name] = {
            "used_over_limit": amount / constraint.limit,
            "value": value,
            "adjustments": len(errors),
            "violating": int((errors > 0).sum()),
            "violating_by_over_5_percent": int((errors > BAR).sum()),
            "mean_error_in_the_last_half": float(errors[len(errors) // 2 :].mean()),
        }
    print(row, flush=True)
    return row


class Market:
    """One seed's customers: those to learn from, to choose with and to judge by."""

    def __init__(self, card: Decision, training: TrainingSection, seed: int) -> None:
        self.card, self.training, self.seed = card, training, seed
        self.learns, self.chooses, self.judges = (
            card.true_world(
                card.presets[0],
                episodes,
                card.sample_settings(),
                np.random.default_rng([seed, 50, purpose]),
            )
            for purpose, episodes in enumerate(
                (training.episodes, training.validation_episodes, EPISODES)
            )
        )

    def trained(self, constraint: PIDLagrangian | None) -> tuple[Agent, Array]:
        """Return the chosen agent and the errors J / limit - 1 that the controller saw."""
        training, card = self.training, self.card
        config = learning.ppo_config(card, training)
        env = learning.training_env(
            self.learns, training.copies, regret=training.regret, constraint=constraint
        )
        score = learning.validation(
            card, self.chooses, training.validation_episodes, self.seed, constraint
        )
        result = train(
            env,
            config,
            total_steps=training.total_steps,
            seed=self.seed,
            agent=learning.untrained(self.learns, config, self.seed),
            validate=lambda agent: score(PolicyActor("candidate", agent)),
            validate_every=training.validate_every,
        )
        paid = env.paid if isinstance(env, PricedVectorEnv) else []
        return result.best, np.array([error for error, _ in paid])

    def judged(self, agent: Agent, constraint: PIDLagrangian) -> tuple[float, float]:
        """Return the amount used, in units of the limit, and the value an episode."""
        played = play(PolicyActor("PPO", agent), self.judges, EPISODES, self.seed, "policy")
        used = constraint.limit * (1.0 + learning.violation(constraint, played.kpis))
        return used, float(played.kpis[self.card.value_kpi].mean())


if __name__ == "__main__":
    main()
