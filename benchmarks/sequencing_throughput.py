"""Customer-steps a second of the sequencing environment at 4,096 copies, masks included.

Actions are given: the cost of the environment alone, in one process on one thread. The bar is
500,000 on two cores. Two menus: the generator's (520 states) and a wide one with five channels,
nine contacts, caps and payments delayed over five weeks.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from benchmarks.report import write_result
from envs.core.vector import WorldVectorEnv
from envs.sequencing.env import make_world
from envs.sequencing.generator import true_tables
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.tables import Menu, ResponseTables, checked
from envs.sequencing.world import SequencingWorld

COPIES = (64, 1024, 4096)
STEPS = 1_000_000
REPEATS = 5
BAR = 500_000


def wide_world(customers: int) -> SequencingWorld:
    """Five tiring channels with and without an offer; the generator's response for each."""
    channels = ("email", "sms", "push", "letter", "call")
    offers = [(c, offer) for c in channels for offer in ("", "coupon")][:-1]
    menu = Menu(channels, tuple(offers))
    truth = true_tables()
    coupon = np.array([0, *(1 + (offer != "") for _, offer in offers)])
    rows = len(truth.start)
    tables = ResponseTables(
        base=truth.base,
        drag=np.repeat(truth.drag[:, :1], 5, axis=1),
        uplift=truth.uplift[:, coupon],
        dampening=np.repeat(truth.dampening[:, :1], 5, axis=1),
        unsubscribe=truth.unsubscribe[:, coupon],
        fatigue_up=np.repeat(truth.fatigue_up[:, :1], 5, axis=1) * (np.arange(5) < 3),
        fatigue_down=np.repeat(truth.fatigue_down[:, :1], 5, axis=1),
        frequency_up=truth.frequency_up,
        frequency_down=truth.frequency_down,
        margin=truth.margin,
        basket_cv=truth.basket_cv,
        maturity=np.tile([0.5, 0.2, 0.15, 0.1, 0.05], (1, len(menu.channel), 1)),
        contact_cost=truth.contact_cost[coupon],
        offer_cost=truth.offer_cost[coupon],
        channel=menu.channel,
        start=np.column_stack(
            [truth.start[:, :2], np.zeros((rows, 5), np.int64), np.ones((rows, 5), np.int64)]
        ),
        start_contacts=np.zeros((rows, 5), np.int64),
        start_weight=truth.start_weight,
    )
    settings = SequencingSettings(terminal_weeks=0)
    return SequencingWorld.drawn(
        menu, checked(tables), customers, settings, np.random.default_rng(0)
    )


def steps_per_second(env: WorldVectorEnv) -> float:
    """Median over repeats, the first (which compiles) left out."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    choices = env.world.action_space.n  # type: ignore[attr-defined] # a Discrete space
    actions = rng.integers(0, choices, (16, env.num_envs))
    calls = max(1, STEPS // env.num_envs)
    rates = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        for call in range(calls):
            env.step(actions[call % 16])
        rates.append(calls * env.num_envs / (time.perf_counter() - began))
    return statistics.median(rates[1:])


def main() -> None:
    worlds = {"generator": make_world(days=20_000, horizon_weeks=52), "wide": wide_world(20_000)}
    rows = {}
    for name, world in worlds.items():
        for copies in COPIES:
            rate = steps_per_second(WorldVectorEnv(world, copies, reuse=True))
            rows[f"{name}, {copies} copies"] = round(rate)
            print(f"{name:<12}{copies:>6} copies{rate:>16,.0f} customer-steps/s")
    reached = min(rows[f"{name}, 4096 copies"] for name in worlds)
    result = {"rates": rows, "bar": BAR, "reached": reached >= BAR}
    write_result("sequencing_throughput", {"steps": STEPS, "repeats": REPEATS}, result)
    if not result["reached"]:
        sys.exit(f"below {BAR:,} customer-steps/s")


if __name__ == "__main__":
    main()
