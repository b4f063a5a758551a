"""The benchmark's own arithmetic: what best-of-n picks, and which bars a result meets."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.content_bars import PPO_ENSEMBLE, PPO_SINGLE, judged
from benchmarks.content_distance import at_equal_kl, kl_of_texts, stop_between, weights_of
from benchmarks.content_parts import Contestant, estimator_table
from benchmarks.content_rivals import Pool
from ppo_marketing.content import brand_world
from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.models import LanguageModel, tiny_gpt2
from ppo_marketing.content.tokens import Sequences


def test_the_estimators_are_as_good_as_published() -> None:
    table = estimator_table()
    found = [table[f"KL 0.005, {k}"]["deviation_over_truth"] for k in ("k1", "k2", "k3")]
    np.testing.assert_allclose(found, [20.0, 1.42, 1.42], atol=0.01)


def test_groups_of_a_pool_do_not_overlap_and_stay_with_their_prompt() -> None:
    score = np.array([[1.0, 5.0, 2.0, 0.0, 9.0], [7.0, 3.0, 4.0, 8.0, 0.0]])
    pool = Pool(Sequences(torch.zeros(10, 2, dtype=torch.int64), 1), [""] * 10, [""] * 10, score)
    assert pool.groups(2).tolist() == [1, 2, 5, 8]
    assert pool.groups(5).tolist() == [4, 8]
    assert pool.groups(1).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def result(
    kl: float = 4.1,
    gold: float = 0.9,
    last: tuple[float, float] = (4.0, -2.0),
    rival: float = 4.1,
    ensemble: float = 0.95,
) -> Any:
    single = Contestant(PPO_SINGLE, kl, gold, 0.02)
    several = Contestant(PPO_ENSEMBLE, 4.5, ensemble, 0.02)
    return {
        "at_equal_texts": [
            asdict(one) for one in (single, several, Contestant("DPO", rival, 0.5, 0.02))
        ],
        "single_and_ensemble_at_equal_kl": [
            asdict(single),
            asdict(replace(several, kl=kl)),
        ],
        "target": {"single": {"kl": kl}},
        "no_price": {"gao_form": {"r_squared": 0.97}, "proxy": [0, last[0]], "gold": [0, last[1]]},
        "seconds": {
            "sft_and_rewards": {"wall": 50.0, "cpu": 40.0},
            "one_ppo": {"wall": 100.0, "cpu": 90.0},
        },
        "hard_rules": {"violations": 0, "texts": 100},
    }


COLLAPSE = "collapse: proxy up, gold down"
TARGET = "KL within 5 % of its target"
ENSEMBLE = "ensemble at least as good on 2 of 3 seeds, at matched KL"
RIVALS = "rivals at equal texts, KL within .2 nats"


def test_a_bar_that_one_seed_misses_is_missed() -> None:
    met = judged({"seed 0": result(), "seed 1": result(), "kl_estimators": {}})
    assert met[COLLAPSE][1]
    assert met[TARGET][1]
    assert met["final gold above .6 on every seed"][1]
    assert met[RIVALS]["met"]
    missed = judged({"seed 0": result(), "seed 1": result(4.3, 0.5, (4.0, 0.1), rival=4.6)})
    assert not missed[COLLAPSE][1]
    assert not missed[TARGET][1]
    assert not missed["final gold above .6 on every seed"][1]
    assert not missed[RIVALS]["met"]
    assert missed[RIVALS]["nats_beyond_ppo"]["DPO"][1] == pytest.approx(0.3)


def test_the_ensemble_needs_two_seeds_of_three() -> None:
    better, worse = result(), result(ensemble=0.8)
    assert judged({"seed 0": better, "seed 1": better, "seed 2": worse})[ENSEMBLE]["met"]
    assert not judged({"seed 0": better, "seed 1": worse, "seed 2": worse})[ENSEMBLE]["met"]


def test_a_table_of_gold_has_the_texts_spread_as_its_interval() -> None:
    row = judged({"seed 0": result(), "seed 1": result()})[RIVALS]["gold"]["DPO"]
    error = 0.02 * 2**0.5 / 2
    assert row == pytest.approx(
        {"mean": 0.5, "low": 0.5 - 1.96 * error, "high": 0.5 + 1.96 * error}
    )


CONFIG = AlignmentConfig(most_tokens=8)


def distance(own: LanguageModel, reference: LanguageModel) -> float:
    return kl_of_texts(own, reference, CONFIG, 256, np.random.default_rng([0, 10]))


def changed(language: LanguageModel, size: float) -> LanguageModel:
    """The model with one word made likelier everywhere."""
    own = LanguageModel(copy.deepcopy(language.model), language.tokenizer)
    with torch.no_grad():
        own.model.transformer.wte.weight[5] += size * own.model.transformer.ln_f.weight
        own.model.transformer.ln_f.bias += 0.1 * size
    return own


@pytest.fixture(scope="module")
def reference() -> LanguageModel:
    return tiny_gpt2(brand_world.VOCABULARY, width=16, layers=1, room=32, seed=0)


def test_a_model_is_stopped_at_the_kl_between_two_looks(reference: LanguageModel) -> None:
    far = changed(reference, 2.0)
    assert distance(far, reference) > 1.0
    start, end = weights_of(reference.model), weights_of(far.model)
    reached = stop_between(far, reference, start, end, 0.5, CONFIG, 256, 0)
    assert reached == distance(far, reference) == pytest.approx(0.5, abs=0.02)


def test_of_two_models_the_farther_one_is_moved_back(reference: LanguageModel) -> None:
    near, far = changed(reference, 1.0), changed(reference, 2.0)
    before = distance(near, reference)
    at_equal_kl(far, near, reference, CONFIG, 256, 0)
    assert distance(near, reference) == before
    assert distance(far, reference) == pytest.approx(before, abs=0.02)
