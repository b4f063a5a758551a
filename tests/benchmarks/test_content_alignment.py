"""The benchmark's own arithmetic: what best-of-n picks, and which bars a result meets."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from benchmarks.content_alignment import judged
from benchmarks.content_parts import Contestant, estimator_table
from benchmarks.content_rivals import Pool
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


def result(kl: float = 4.1, gold: float = 0.9, last: tuple[float, float] = (4.0, -2.0)) -> Any:
    contestants = [
        Contestant("PPO, one reward model", kl, gold, 0.02),
        Contestant("PPO, ensemble", 4.0, 0.95, 0.02),
    ]
    return {
        "at_equal_texts": [asdict(one) for one in contestants],
        "target": {"single": {"kl": kl}},
        "no_price": {"gao_form": {"r_squared": 0.97}, "proxy": [0, last[0]], "gold": [0, last[1]]},
        "seconds": {"sft_and_rewards": 50.0, "one_ppo": 100.0},
        "hard_rules": {"violations": 0},
    }


def test_a_bar_that_one_seed_misses_is_missed() -> None:
    met = judged({"seed 0": result(), "seed 1": result(), "kl_estimators": {}})
    assert met["collapse: proxy up, gold down"] is True
    assert met["KL within 5 % of its target"][1]
    assert met["final gold above .6 on every seed"][1]
    missed = judged({"seed 0": result(), "seed 1": result(4.3, 0.5, (4.0, 0.1))})
    assert missed["collapse: proxy up, gold down"] is False
    assert not missed["KL within 5 % of its target"][1]
    assert not missed["final gold above .6 on every seed"][1]
