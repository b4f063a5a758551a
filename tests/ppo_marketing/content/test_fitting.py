from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from ppo_marketing.content.fitting import Fit, FitSettings
from ppo_marketing.content.language import measured
from ppo_marketing.content.objectives import direct_preference, next_token, preference
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.errors import TrainingDiverged
from tests.support.language import tiny_language

PROMPTS = ["shoes :", "bags :"] * 8
GOOD = ["meet our warm shoes .", "try these honest bags ."] * 8
BAD = ["the ultimate so ultimate", "now now now"] * 8
FAST = FitSettings(epochs=15, batch=8, learning_rate=2e-2)


def test_supervised_fitting_learns_the_corpus() -> None:
    language = tiny_language()
    rows = language.rows(PROMPTS, GOOD)
    fit = Fit(list(language.model.parameters()), len(rows), FAST, np.random.default_rng(0))
    losses = [fit.epoch(next_token(language.model, rows)) for _ in range(15)]
    assert losses[0] > 2.0 > 0.5 > losses[-1]
    assert fit.finished


def test_a_reward_model_learns_which_texts_are_preferred() -> None:
    language = tiny_language()
    model = ScoreModel.from_language_model(language.model, np.random.default_rng(0))
    chosen, rejected = language.rows(PROMPTS, GOOD), language.rows(PROMPTS, BAD)
    fit = Fit(list(model.parameters()), len(chosen), FAST, np.random.default_rng(0))
    while not fit.finished:
        fit.epoch(preference(model, chosen, rejected))
    assert bool((model.scored(chosen) > model.scored(rejected)).all())


def test_dpo_moves_probability_from_rejected_to_chosen_texts() -> None:
    language = tiny_language()
    reference = copy.deepcopy(language.model)
    chosen, rejected = language.rows(PROMPTS, GOOD), language.rows(PROMPTS, BAD)
    objective = direct_preference(language.model, reference, chosen, rejected, beta=0.1)
    fit = Fit(list(language.model.parameters()), len(chosen), FAST, np.random.default_rng(0))
    first = fit.epoch(objective)
    while not fit.finished:
        fit.epoch(objective)

    def gap(model: object) -> float:
        return float(measured(model, chosen)[0].sum() - measured(model, rejected)[0].sum())

    assert first < np.log(2) + 0.2
    assert gap(language.model) > gap(reference) + 50


def test_a_fit_goes_on_where_it_was_left_to_the_last_bit() -> None:
    def fresh() -> tuple[Fit, torch.nn.Parameter, object]:
        language = tiny_language()
        rows = language.rows(PROMPTS, GOOD)
        fit = Fit(list(language.model.parameters()), len(rows), FAST, np.random.default_rng(0))
        return fit, next(language.model.parameters()), next_token(language.model, rows)

    whole, expected, objective = fresh()
    for _ in range(4):
        whole.epoch(objective)  # type: ignore[arg-type]
    half, _, objective = fresh()
    for _ in range(2):
        half.epoch(objective)  # type: ignore[arg-type]
    rest, found, objective = fresh()
    rest.load(half.state())
    for _ in range(2):
        rest.epoch(objective)  # type: ignore[arg-type]
    assert torch.equal(found, expected)
    assert rest.losses == whole.losses


def test_a_loss_that_is_no_number_stops_the_fit() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    fit = Fit([parameter], 4, FAST, np.random.default_rng(0))
    with pytest.raises(TrainingDiverged, match="lower the learning rate"):
        fit.epoch(lambda index: parameter.sum() * float("nan"))
    assert parameter.tolist() == [1.0, 1.0]
