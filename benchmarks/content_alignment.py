"""Is a language model aligned without being fooled by its own reward? Against the known truth.

On the made-up brand (`ppo_marketing/content/brand_world.py`), per seed: a GPT-2 from random weights
is fitted to the corpus, five reward models to pairs whose raters err in a quarter. Then PPO without
a price on the KL (collapse, and Gao et al.'s form); PPO at a KL target with one reward model and
with the uncertainty-weighted ensemble; best-of-n, DPO and SFT on the best texts, given as many
generated texts as PPO drew, at the KL that PPO reached. Gold is in deviations of the reference's
own texts, which lie at 0. With --data also the real preference set.

Every seed is kept as soon as it is done, so that the same command goes on where it was stopped; two
processes may share the work (`--seeds 0 1`, `--seeds 2`), and one more call without `--seeds` sums
up.

    python -m benchmarks.content_alignment [--data ../shared/data] [--seeds 0 1 2] [--quick]
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cells import cells_of
from benchmarks.content_bars import PPO_ENSEMBLE, PPO_SINGLE, TARGET_NATS, judged
from benchmarks.content_distance import at_equal_kl
from benchmarks.content_parts import (
    estimator_table,
    fitted,
    gold_of,
    hard_rule_violations,
    real_preferences,
    reference_of,
)
from benchmarks.content_rivals import DPO, DPO_BETA, SFT, best_of_pool, direct, drawn_pool, on_best
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

NAME = "content_alignment"
SEEDS = (0, 1, 2)
UNCERTAINTY = 0.5  # λ: a variance of 1, as large as that of the scores, costs half a deviation


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    corpus: int = 3000
    pairs: int = 6000
    members: int = 5
    updates: int = 60
    texts: int = 1024
    judged: int = 8192  # a KL of 4 nats is known to .03, a tenth of what is compared
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

    def at_the_target(self) -> dict[str, Any]:
        """The realised KL: the mean of the last quarter's updates, nats a text, and each one's."""
        every = [row.kl for row in self.training.history]
        last = every[-max(1, len(every) // 4) :]
        return {"kl": float(np.mean(last)), "kl_of_updates": every}


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


@dataclass
class Watch:
    """Wall and CPU seconds of parts of the work, by name."""

    seconds: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Take the time of a block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] = {
            "wall": round(time.perf_counter() - wall, 1),
            "cpu": round(time.process_time() - cpu, 1),
        }


def one_seed(sizes: Sizes, seed: int) -> dict[str, Any]:
    """Everything that is measured with one seed."""
    watch = Watch()
    with watch.timed("sft_and_rewards"):
        language, members, held_out = fitted(sizes, seed)
    free = AdaptiveKL(coefficient=0.0)
    # Where trials of single seeds came to rest: .14, .15 and .21. With a horizon of 10,000 texts
    # the price moves by 2 % an update at most, so a start far off would still be on its way.
    held = AdaptiveKL(coefficient=0.18, target_kl=TARGET_NATS)
    config = settings(sizes, held)
    scale = reference_of(language, config, sizes.judged, seed)

    with watch.timed("one_ppo"):
        single = trained(language, members[:1], scale, config, seed)
    several = trained(language, members, scale, config, seed)
    collapse = trained(language, members[:1], scale, replace(config, kl=free), seed)

    # By k1, which is the steadier one far from the reference.
    distances = [max(0.0, row.kl) for row in collapse.training.history]
    fit = gao_fit(np.array(distances), np.array(collapse.gold))
    one, many = single.training.language, several.training.language
    measures = (language, scale, config, seed, sizes.judged)
    ppo = gold_of(PPO_SINGLE, one, *measures)
    pool = drawn_pool(language, members[0], config, sizes.updates * sizes.texts, seed)
    contestants = [
        ppo,
        gold_of(PPO_ENSEMBLE, many, *measures),
        best_of_pool(pool, scale, ppo.kl),
        direct(language, pool, scale, config, ppo.kl, sizes.judged, seed),
        on_best(language, pool, scale, config, ppo.kl, sizes.judged, seed),
    ]
    hard_rules = hard_rule_violations(one, config, sizes.hard_rule_texts, seed)
    # Last, since one of the two is moved.
    at_equal_kl(one, many, language, config, sizes.judged, seed)
    return {
        "reference_gold": {"mean": scale[0], "deviation": scale[1]},
        "reward_models_held_out": held_out,
        "seconds": watch.seconds,
        "no_price": {
            "kl": distances,
            "proxy": [row.score for row in collapse.training.history],
            "gold": collapse.gold,
            "gao_form": asdict(fit),
        },
        "target": {
            "single": single.at_the_target(),
            "ensemble": several.at_the_target(),
        },
        "at_equal_texts": [asdict(each) for each in contestants],
        "single_and_ensemble_at_equal_kl": [
            asdict(gold_of(PPO_SINGLE, one, *measures)),
            asdict(gold_of(PPO_ENSEMBLE, many, *measures)),
        ],
        "hard_rules": hard_rules,
    }


SOURCES = (
    "ppo_marketing/content",
    "ppo_marketing/ppo",
    *(f"benchmarks/content_{part}.py" for part in ("alignment", "distance", "parts", "rivals")),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), choices=SEEDS)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, nothing is written")
    parser.add_argument("--data", type=Path, help="the folder of real logs")
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    options = parser.parse_args()
    sizes = QUICK if options.quick else Sizes()
    cells = cells_of(NAME, SOURCES, again=options.again)
    config = {
        "sizes": asdict(sizes),
        "target_nats": TARGET_NATS,
        "dpo": {**asdict(DPO), "beta": DPO_BETA},
        "sft": asdict(SFT),
    }

    def keeping(name: str, settings: dict[str, Any], work: Callable[[], Any]) -> Any:
        return work() if options.quick else cells.measured(name, settings, work)

    def summed_up() -> dict[str, Any]:
        found = {f"seed {n}": cells.kept(f"seed {n}", config) for n in SEEDS}
        return {name: value for name, value in found.items() if value is not None}

    results: dict[str, Any] = {"kl_estimators": estimator_table()}
    with single_threaded():
        real = None if options.quick else cells.kept("real preferences", {})
        if options.data is not None:
            file = options.data / "hh_rlhf_harmless_test" / "test.jsonl.gz"
            work = partial(real_preferences, file, quick=options.quick)
            real = keeping("real preferences", {}, work)
        if real is not None:
            results["real_preferences"] = real
            print(real)
        for seed in options.seeds:
            found = keeping(f"seed {seed}", config, partial(one_seed, sizes, seed))
            told(seed, found)
            results |= {f"seed {seed}": found} if options.quick else summed_up()
            results["bars"] = judged(results)
            if not options.quick:
                write_result(NAME, config, results)
    for bar, value in results["bars"].items():
        print(f"{bar}: {value}")


def told(seed: int, found: dict[str, Any]) -> None:
    """Print a seed's contestants."""
    for one in (*found["at_equal_texts"], *found["single_and_ensemble_at_equal_kl"]):
        print(seed, {k: round(v, 3) if isinstance(v, float) else v for k, v in one.items()})
    print(seed, found["seconds"])
    sys.stdout.flush()


if __name__ == "__main__":
    main()
