"""Does the gate refuse what the log cannot support? Planted errors whose truth is known.

Per seed a log of the sequencing generator (20,000 customers x 26 weeks, a coupon cadence with 20 %
randomisation) is calibrated, an error is planted in the simulators, and the policy is the exact
optimum of the training one: the strongest exploiter there is. Cases (MODELLING 5.3):

* honest: nothing planted; passed in at least 9 of 10 seeds;
* letters worth 1 logit more after 10 weeks, in the training simulator, and in both: refused in all
  with reason `residual`;
* letters never logged after 8 weeks and worth 1 logit more there, in both: refused in all with
  reason `support`;
* letters worth 1 logit less after 4 weeks, in the training simulator: the policy only loses
  value and is not refused;
* 2 % randomisation: refused as too little data.

    python -m benchmarks.honesty_gate
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.report import write_result
from envs.core.log import read_log
from envs.sequencing import DECISION
from envs.sequencing.generated_log import log_of, logging_policy
from envs.sequencing.generator import true_tables
from envs.sequencing.oracle import value_iteration
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.tables import ResponseTables
from envs.sequencing.world import SequencingWorld
from ppo_marketing.audit import audited
from ppo_marketing.evaluation import play
from ppo_marketing.gate import GateRules, Reason, Verdict, judge
from ppo_marketing.pipeline import calibrating
from ppo_marketing.policy import PolicyActor

CUSTOMERS, WEEKS, SEEDS = 20_000, 26, 10
EPISODES = 4000
RANDOMISED, THIN = 0.2, 0.02
LETTER = ("letter", "")
CASES = (
    "honest", "planted", "planted in both", "planted where nothing was logged", "pessimism",
    "2 % randomisation",
)  # fmt: skip
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Optimum:
    """The optimal policy of a world's mean customers, told from observations."""

    world: SequencingWorld
    action: NDArray[np.int64]  # [R, F, g .., s ..]

    @classmethod
    def of(cls, world: SequencingWorld) -> Optimum:
        """By value iteration."""
        mean = replace(world, tables=world.tables.mean())
        return cls(world, value_iteration(mean.program(0), 1e-6)[1])

    def act(
        self, observation: Any, rng: Any, mask: Any = None, *, deterministic: bool = False
    ) -> Any:
        """The optimal action in every row's state; none where that is not allowed."""
        recencies, frequencies = self.world.tables.shape[:2]
        at = recencies + frequencies
        place = [observation[:, :recencies].argmax(1), observation[:, recencies:at].argmax(1)]
        consent = []
        for size in self.world.terms.bins:
            place.append(observation[:, at : at + size].argmax(1))
            consent.append(observation[:, at + size] > 0.5)
            at += size + 3
        levels = self.world.program(0).levels
        place += [
            np.minimum(np.searchsorted(level, given), len(level) - 1)
            for level, given in zip(levels, consent, strict=True)
        ]
        chosen = self.action[tuple(place)]
        return chosen if mask is None else np.where(mask[np.arange(len(chosen)), chosen], chosen, 0)

    def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:
        """Zero where it acts so, else minus infinity."""
        agrees = self.act(observation, None, mask) == action
        return np.where(agrees, 0.0, -np.inf)


def planted(tables: ResponseTables, action: int, weeks: int, logits: float) -> ResponseTables:
    """The tables with `logits` more for an action from `weeks` since the last purchase on."""
    uplift = tables.uplift.copy()
    uplift[:, action, weeks:] += logits
    return tables._replace(uplift=uplift)


def calibrated(seed: int, randomised: float, unlogged_from: int | None = None) -> Any:
    """The calibration of one generated log."""
    rng = np.random.default_rng([seed, 12])
    tables = true_tables("default")
    policy = logging_policy(tables, randomised)
    if unlogged_from is not None:
        letter = 3
        policy[unlogged_from:, ..., 0] += policy[unlogged_from:, ..., letter]
        policy[unlogged_from:, ..., letter] = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        pq.write_table(log_of(tables, policy, WEEKS, rng, customers=CUSTOMERS), path)
        log = read_log(path, DECISION.schema, cache=Path(folder) / "cache")
        return calibrating.calibrate(DECISION, log, settings(), seed)


def settings() -> SequencingSettings:
    """A year without caps, endless: how the generator's optimum is defined."""
    return SequencingSettings(**{**vars(DECISION.sample_settings()), "horizon_weeks": 52})


def judged(calibration: Any, seed: int) -> Verdict:
    """The gate on the optimum of the training simulator."""
    rng = np.random.default_rng([seed, 13])
    policy = Optimum.of(calibration.training_world(1, settings(), np.random.default_rng(0)))
    actor = PolicyActor("optimum", policy)
    values = [
        float(play(actor, world, EPISODES, seed, "policy").kpis[DECISION.value_kpi].mean())
        for world in (
            calibration.training_world(EPISODES, settings(), rng),
            calibration.judging_world(EPISODES, settings(), rng),
        )
    ]
    audit = audited(
        DECISION, calibration, settings(), policy,
        calibrating.tuned_rules(DECISION, calibration, settings(), seed),
        training_value=values[0], judging_value=values[1], episodes=EPISODES, seed=seed,
    )  # fmt: skip
    return judge(audit, GateRules())


def verdicts(seed: int, cases: tuple[str, ...]) -> dict[str, Verdict]:
    """Every case on the logs of one seed."""
    found: dict[str, Verdict] = {}

    def with_letters(one: Any, weeks: int, *parts: str, logits: float = 1.0) -> Any:
        letter = one.menu.contacts.index(LETTER) + 1
        return replace(one, **{p: planted(getattr(one, p), letter, weeks, logits) for p in parts})

    base = calibrated(seed, RANDOMISED)
    if "honest" in cases:
        found["honest"] = judged(base, seed)
    if "planted" in cases:
        found["planted"] = judged(with_letters(base, 10, "earlier"), seed)
    if "planted in both" in cases:
        found["planted in both"] = judged(with_letters(base, 10, "earlier", "later"), seed)
    if "pessimism" in cases:
        found["pessimism"] = judged(with_letters(base, 4, "earlier", logits=-1.0), seed)
    if "planted where nothing was logged" in cases:
        blind = calibrated(seed, RANDOMISED, unlogged_from=8)
        found["planted where nothing was logged"] = judged(
            with_letters(blind, 8, "earlier", "later"), seed
        )
    if "2 % randomisation" in cases:
        found["2 % randomisation"] = judged(calibrated(seed, THIN), seed)
    return found


def kept(name: str, verdict: Verdict) -> bool:
    """Whether a case came out as it must."""
    if name in ("honest", "pessimism"):
        return verdict.passed
    if name.startswith("planted where"):
        return Reason.SUPPORT in verdict.reasons
    if name.startswith("planted"):
        return Reason.RESIDUAL in verdict.reasons
    return not verdict.passed and verdict.too_little_data


def told(name: str, verdict: Verdict) -> dict[str, Any]:
    """One verdict as the results keep it."""
    return {
        "as it must": kept(name, verdict),
        "reasons": sorted(verdict.reasons),
        "found": {finding.test: finding.found for finding in verdict.findings},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    arguments = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in arguments.only}
    for seed in range(arguments.seeds):
        began = time.perf_counter()
        for name, verdict in verdicts(seed, tuple(arguments.only)).items():
            rows[name].append(told(name, verdict))
            print(seed, name, kept(name, verdict), sorted(verdict.reasons), flush=True)
            for finding in verdict.findings:
                print("   ", finding.outcome, finding.test, "|", finding.found)
        print(f"seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)
    least = {name: 0.9 if name in ("honest", "pessimism") else 1.0 for name in rows}
    shares = {name: float(np.mean([row["as it must"] for row in of])) for name, of in rows.items()}
    config = {"seeds": arguments.seeds, "customers": CUSTOMERS, "weeks": WEEKS}
    write_result("honesty_gate", config, {"share as it must": shares, "seeds": rows})
    failed = [f"{name}: {shares[name]:.2f}" for name in rows if shares[name] < least[name]]
    if failed:
        sys.exit("not as it must: " + "; ".join(failed))


if __name__ == "__main__":
    main()
