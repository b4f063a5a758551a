"""Is a language model aligned without being fooled by its own reward? Against the known truth.

On the made-up brand (`ppo_marketing/content/brand_world.py`), per seed: a GPT-2 from random weights
is fitted to the corpus, five reward models to pairs whose raters err in a quarter. Then PPO without
a price on the KL (collapse, and Gao et al.'s form); PPO at a KL target with one reward model and
with the uncertainty-weighted ensemble; best-of-n, DPO and SFT on the best texts, given as many
generated texts as PPO drew, at the KL that PPO reached. Gold is in deviations of the reference's
own texts, which lie at 0. With --data also the real preference set.

    python -m benchmarks.content_alignment [--data ../shared/data] [--quick]
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.content_parts import (
    Contestant,
    estimator_table,
    fitted,
    gold_of,
    hard_rule_violations,
    real_preferences,
    reference_of,
)
from benchmarks.content_rivals import best_of_pool, direct, drawn_pool, on_best
from benchmarks.report import write_result
from ppo_marketing.content import brand_world
from ppo_marketing.content.alignment import Alignment, start_alignment, step
from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.ensembles import combined
from ppo_marketing.content.kl import AdaptiveKL
from ppo_marketing.content.models import LanguageModel
from ppo_marketing.content.overoptimisation import gao_fit
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.ppo.threads import single_threaded

TARGET_NATS = 4.0
UNCERTAINTY = 0.5  # λ: a variance of 1, as large as that of the scores, costs half a deviation


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    corpus: int = 3000
    pairs: int = 6000
    members: int = 5
    updates: int = 60
    texts: int = 1024
    judged: int = 2048
    width: int = 48
    hard_rule_texts: int = 10_000


QUICK = Sizes(
    corpus=300, pairs=200, members=2, updates=4, texts=64, judged=64, width=16, hard_rule_texts=200
)


def settings(sizes: Sizes, kl: AdaptiveKL) -> AlignmentConfig:
    """One pass over fresh texts: here they cost less than passes."""
    return AlignmentConfig(
        updates=sizes.updates,
        texts=sizes.texts,
        minibatch=min(128, sizes.texts // 2),
        epochs=1,
        learning_rate=7e-4,
        end_penalty=2.0,
        kl=kl,
    )


@dataclass(frozen=True)
class Run:
    """One PPO training and the gold score of every update's texts."""

    training: Alignment
    gold: list[float]

    @property
    def kl_at_the_end(self) -> float:
        """The mean of the last quarter's updates, nats a text."""
        history = self.training.history
        return float(np.mean([row.kl for row in history[-max(1, len(history) // 4) :]]))


def trained(
    language: LanguageModel,
    members: Sequence[ScoreModel],
    scale: tuple[float, float],
    config: AlignmentConfig,
    seed: int,
) -> Run:
    """Align a copy of the model to one reward model, or to several by their lower bound."""
    own = LanguageModel(copy.deepcopy(language.model), language.tokenizer)
    gold: list[float] = []

    def reward(rows: Any, texts: Sequence[str], prompts: Sequence[str]) -> Any:
        gold.append((float(brand_world.golds(texts, prompts).mean()) - scale[0]) / scale[1])
        scores = np.stack([member.scored(rows).double().numpy() for member in members])
        how = "uncertainty" if len(members) > 1 else "mean"
        return combined(scores, how, UNCERTAINTY)  # type: ignore[arg-type]

    rng = np.random.default_rng([seed, 5])
    run = start_alignment(own, members[0], brand_world.PROMPTS, config, rng)
    for _ in range(config.updates):
        step(run, brand_world.PROMPTS, reward)
    return Run(run, gold)


def one_seed(sizes: Sizes, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    language, members, held_out = fitted(sizes, seed)
    prepared = time.perf_counter() - began
    free = AdaptiveKL(coefficient=0.0)
    # Where trials of single seeds came to rest: .14, .15 and .21. With a horizon of 10,000 texts
    # the price moves by 2 % an update at most, so a start far off would still be on its way.
    held = AdaptiveKL(coefficient=0.18, target_kl=TARGET_NATS)
    config = settings(sizes, held)
    scale = reference_of(language, config, sizes.judged, seed)

    began = time.perf_counter()
    single = trained(language, members[:1], scale, config, seed)
    took = time.perf_counter() - began
    several = trained(language, members, scale, config, seed)
    collapse = trained(language, members[:1], scale, replace(config, kl=free), seed)

    # By k1, which is the steadier one far from the reference.
    distances = [max(0.0, row.kl) for row in collapse.training.history]
    fit = gao_fit(np.array(distances), np.array(collapse.gold))
    reached = single.kl_at_the_end
    pool = drawn_pool(language, members[0], config, sizes.updates * sizes.texts, seed)
    contestants = [
        gold_of("PPO, one reward model", single.training.language, language, scale, config, seed),
        gold_of("PPO, ensemble", several.training.language, language, scale, config, seed),
        best_of_pool(pool, scale, reached),
        direct(language, pool, scale, config, reached, sizes.judged, seed),
        on_best(language, pool, scale, config, reached, sizes.judged, seed),
    ]
    return {
        "reference_gold": {"mean": scale[0], "deviation": scale[1]},
        "reward_models_held_out": held_out,
        "seconds": {"sft_and_rewards": round(prepared, 1), "one_ppo": round(took, 1)},
        "no_price": {
            "kl": distances,
            "proxy": [row.score for row in collapse.training.history],
            "gold": collapse.gold,
            "gao_form": asdict(fit),
        },
        "target": {
            "single": {"kl": reached, "kl_of_updates": [r.kl for r in single.training.history]},
            "ensemble": {"kl": several.kl_at_the_end},
        },
        "at_equal_texts": [asdict(one) for one in contestants],
        "hard_rules": hard_rule_violations(
            single.training.language, config, sizes.hard_rule_texts, seed
        ),
    }


def judged(results: dict[str, Any]) -> dict[str, Any]:
    """Hold every seed to the bars."""
    seeds = [result for name, result in results.items() if name.startswith("seed ")]
    rows = [
        {one["name"]: Contestant(**one) for one in result["at_equal_texts"]} for result in seeds
    ]
    single = [row["PPO, one reward model"].gold for row in rows]
    ensemble = [row["PPO, ensemble"].gold for row in rows]
    reached = [result["target"]["single"]["kl"] for result in seeds]
    fits = [result["no_price"]["gao_form"]["r_squared"] for result in seeds]
    ends = [(r["no_price"]["proxy"][-1], r["no_price"]["gold"][-1]) for r in seeds]
    seconds = [sum(result["seconds"].values()) for result in seeds]
    ahead = sum(many >= one for many, one in zip(ensemble, single, strict=True))
    return {
        "collapse: proxy up, gold down": all(proxy > 0 > gold for proxy, gold in ends),
        "gao form, R² at least .95": (min(fits), min(fits) >= 0.95),
        "KL within 5 % of its target": (
            reached,
            all(abs(kl / TARGET_NATS - 1) <= 0.05 for kl in reached),
        ),
        "final gold above .6 on every seed": (single, min(single) > 0.6),
        "ensemble at least as good on 2 of 3 seeds": (ahead, ahead >= 2 * len(seeds) / 3),
        "KLs of the contestants within .2 nats": {
            name: [round(row[name].kl - kl, 2) for row, kl in zip(rows, reached, strict=True)]
            for name in rows[0]
        },
        "seconds, below 240": (max(seconds), max(seconds) < 240),
        "no hard rule broken": all(r["hard_rules"]["violations"] == 0 for r in seeds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, nothing is written")
    parser.add_argument("--data", type=Path, help="the folder of real logs")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else Sizes()
    results: dict[str, Any] = {"kl_estimators": estimator_table()}
    with single_threaded():
        for seed in range(arguments.seeds):
            results[f"seed {seed}"] = one_seed(sizes, seed)
            for one in results[f"seed {seed}"]["at_equal_texts"]:
                print(seed, {k: v if isinstance(v, str) else round(v, 3) for k, v in one.items()})
        if arguments.data is not None:
            file = arguments.data / "hh_rlhf_harmless_test" / "test.jsonl.gz"
            results["real_preferences"] = real_preferences(file, quick=arguments.quick)
            print(results["real_preferences"])
    results["bars"] = judged(results)
    for bar, found in results["bars"].items():
        print(f"{bar}: {found}")
    if not arguments.quick:
        config = {"sizes": asdict(sizes), "seeds": arguments.seeds, "target_nats": TARGET_NATS}
        write_result("content_alignment", config, results)


if __name__ == "__main__":
    main()
