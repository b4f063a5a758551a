"""The personalization rules that practitioners use today, speaking in items (MODELLING 4.2).

Each scores all items and shows the best one allowed; on a page of several slots that is the best
remaining one, on the next position. What a rule knows it learnt from the logged rows of the history
world alone; hyper-parameters are chosen on the last third of those rows. Bandit rules do not learn
while they are judged.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.random import Generator

from envs.core.rule import Heuristic
from envs.core.world import Array
from envs.personalization import learners
from envs.personalization.model import CELLS_AT_ONCE, Floats, LoggedRows, SoftmaxPolicy, chunks
from envs.personalization.session_world import SessionState, SessionWorld
from envs.personalization.world import PersonalizationWorld

if TYPE_CHECKING:
    from envs.core.decision import Choosing, Rule

AnyWorld = PersonalizationWorld | SessionWorld

LEAST_IMPRESSIONS = 30.0
"""An item's own rate is not looked at before it was shown this often."""

PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0)
"""1 / variance of an interaction: deviations of .58 down to .06 logits."""

RIDGE_PENALTY = 1.0
EXPLORATIONS = (0.0, 0.001, 0.003, 0.01, 0.03)
"""Multiples of the ridge's deviation: rewards are rare, so bonuses are on the scale of rates."""


@dataclass(frozen=True)
class ItemRule(Heuristic[Any, Any]):
    """A rule that scores items; the best allowed one is shown."""

    @abstractmethod
    def scores(self, world: Any, state: Any, rng: Generator) -> Floats:
        """How much each item is wanted, `[n, A]`."""

    def control(self, world: Any, state: Any, rng: Generator) -> Array:
        """The best allowed item of every copy, `[n]`."""
        parts = chunks(len(state.visit), world.model.items)
        return np.concatenate(
            [self._best(world, type(state)(*(c[part] for c in state)), rng) for part in parts]
        )

    def _best(self, world: Any, state: Any, rng: Generator) -> Array:
        score = self.scores(world, state, rng)
        mask = world.action_mask(state)
        allowed = score if mask is None else np.where(mask, score, -np.inf)
        return np.asarray(allowed.argmax(axis=1))


@dataclass(frozen=True)
class Uniform(ItemRule):
    """Any allowed item with equal probability: what is shown without personalization or choice."""

    name: str = "uniform"

    def scores(self, world: Any, state: Any, rng: Generator) -> Floats:
        """Noise."""
        return rng.random((len(state.visit), world.model.items))


@dataclass(frozen=True)
class Logging(ItemRule):
    """The policy that made the log, or the estimate of it: items drawn with its probabilities."""

    name: str = "logging policy"
    policy: SoftmaxPolicy | None = None

    def scores(self, world: Any, state: Any, rng: Generator) -> Floats:
        """log pi(a | x) + Gumbel noise: its maximum is a draw from pi among the allowed items."""
        eligible = world.contexts.eligible
        chance = _known(self.policy, self.name).probabilities(
            world.contexts.x[state.visit], None if eligible is None else eligible[state.visit]
        )
        noise = rng.gumbel(size=chance.shape)
        return np.asarray(np.log(np.maximum(chance, 1e-300)) + noise)


@dataclass(frozen=True)
class BestFixed(ItemRule):
    """The item with the largest self-normalised value in the log, for everyone.

    Untuned it knows no item from another and shows the first allowed one.
    """

    name: str = "best fixed item"
    value: Floats | None = field(default=None, repr=False)  # [A]

    @property
    def chosen(self) -> Mapping[str, float]:
        """The item's number and its value in the log."""
        if self.value is None:
            return {}
        return {"item": float(self.value.argmax()), "logged value": float(self.value.max())}

    def tuned(self, history: AnyWorld, rng: Generator) -> BestFixed:
        """Every item's value."""
        value = learners.item_values(history.history, history.model.items, LEAST_IMPRESSIONS)
        return replace(self, value=value)

    def scores(self, world: Any, state: Any, rng: Generator) -> Floats:
        """The items' values."""
        value = np.zeros(world.model.items) if self.value is None else self.value
        return np.tile(value, (len(state.visit), 1))


@dataclass(frozen=True)
class ContextualGreedy(ItemRule):
    """The item with the largest predicted rate: one logistic regression an item.

    In sessions the predicted loss of interest is taken off, so that it is the myopic rule.
    """

    name: str = "contextual greedy"
    beta: Floats | None = field(default=None, repr=False)  # [A, D + 1]
    penalty: float | None = None
    boredom: float = 0.0

    @property
    def chosen(self) -> Mapping[str, float]:
        """The penalty on interactions."""
        return {} if self.penalty is None else {"penalty": self.penalty}

    def tuned(self, history: AnyWorld, rng: Generator) -> ContextualGreedy:
        """The penalty with the best likelihood of the last third; then fitted to all rows."""
        rows, items = history.history, history.model.items
        fitted, held_out = _split(rows, items)
        loss = [
            learners.log_loss(held_out, learners.logistic(fitted, items, penalty))
            for penalty in PENALTIES
        ]
        penalty = PENALTIES[int(np.argmin(loss))]
        return replace(
            self,
            beta=learners.logistic(rows, items, penalty),
            penalty=penalty,
            boredom=history.terms.boredom if isinstance(history, SessionWorld) else 0.0,
        )

    def scores(self, world: Any, state: Any, rng: Generator) -> Floats:
        """The predicted logits, less eta b in sessions."""
        logit = _linear(_known(self.beta, self.name), world, state)
        if isinstance(state, SessionState):
            logit = logit - self.boredom * state.boredom[:, world.items.category]
        return logit


@dataclass(frozen=True)
class LinUcb(ItemRule):
    """LinUCB: the largest upper bound theta_a . z + alpha sqrt(z' A^-1 z), disjoint by item."""

    name: str = "LinUCB"
    ridge: learners.Ridge | None = field(default=None, repr=False)
    alpha: float | None = None

    @property
    def chosen(self) -> Mapping[str, float]:
        """alpha."""
        return {} if self.alpha is None else {"alpha": self.alpha}

    def tuned(self, history: AnyWorld, rng: Generator) -> LinUcb:
        """The alpha with the largest self-normalised value on the last third of the rows."""
        rows, items = history.history, history.model.items
        fitted, held_out = _split(rows, items)
        known = learners.ridge(fitted, items, RIDGE_PENALTY)
        mean, deviation = _ridge_scores(known, held_out.x)
        value = [_value_of_scores(held_out, mean + alpha * deviation) for alpha in EXPLORATIONS]
        alpha = EXPLORATIONS[int(np.argmax(np.nan_to_num(value, nan=-np.inf)))]
        return replace(self, ridge=learners.ridge(rows, items, RIDGE_PENALTY), alpha=alpha)

    def scores(self, world: Any, state: Any, rng: Generator) -> Floats:
        """The upper bounds."""
        mean, deviation = _ridge_scores(
            _known(self.ridge, self.name), world.contexts.x[state.visit]
        )
        return mean + _known(self.alpha, self.name) * deviation


@dataclass(frozen=True)
class LinThompson(ItemRule):
    """Linear Thompson sampling: the largest draw of theta_a . z, deviation that of the rewards."""

    name: str = "linear Thompson sampling"
    ridge: learners.Ridge | None = field(default=None, repr=False)
    deviation: float | None = None

    @property
    def chosen(self) -> Mapping[str, float]:
        """The deviation of a reward."""
        return {} if self.deviation is None else {"reward sd": self.deviation}

    def tuned(self, history: AnyWorld, rng: Generator) -> LinThompson:
        """The regressions, and the deviation of rewards in the log."""
        rows = history.history
        mean = float(np.average(rows.reward, weights=rows.weight))
        return replace(
            self,
            ridge=learners.ridge(rows, history.model.items, RIDGE_PENALTY),
            deviation=float(np.sqrt(max(mean * (1 - mean), 1e-12))),
        )

    def scores(self, world: Any, state: Any, rng: Generator) -> Floats:
        """theta_a . z of theta drawn from its posterior: normal with the deviation of the mean."""
        mean, spread = _ridge_scores(_known(self.ridge, self.name), world.contexts.x[state.visit])
        scale = _known(self.deviation, self.name)
        return mean + scale * spread * rng.standard_normal(mean.shape)


@dataclass(frozen=True)
class IpwLearner(ItemRule):
    """The policy that imitates what was rewarded, weighted by 1 / propensity; its mode is shown."""

    name: str = "IPW learner"
    policy: Floats | None = field(default=None, repr=False)  # [A, D + 1]
    penalty: float | None = None

    @property
    def chosen(self) -> Mapping[str, float]:
        """The penalty on the scores."""
        return {} if self.penalty is None else {"penalty": self.penalty}

    def tuned(self, history: AnyWorld, rng: Generator) -> IpwLearner:
        """The penalty with the largest self-normalised value on the last third of the rows."""
        rows, items = history.history, history.model.items
        fitted, held_out = _split(rows, items)
        value = []
        for penalty in PENALTIES:
            scores = learners.with_intercept(held_out.x) @ (
                learners.ipw_policy(fitted, items, penalty).T
            )
            chance = _softmax(scores, held_out.eligible)
            value.append(learners.snips(held_out, chance[np.arange(held_out.size), held_out.item]))
        penalty = PENALTIES[int(np.argmax(np.nan_to_num(value, nan=-np.inf)))]
        return replace(self, policy=learners.ipw_policy(rows, items, penalty), penalty=penalty)

    def scores(self, world: Any, state: Any, rng: Generator) -> Floats:
        """The policy's logits."""
        return _linear(_known(self.policy, self.name), world, state)


def rules() -> tuple[Rule[Any], ...]:
    """Every rule, untuned."""
    return (ContextualGreedy(), LinUcb(), LinThompson(), IpwLearner(), BestFixed())


def logging_rule(calibration: Any) -> Rule[Any] | None:
    """The log's own policy, as logged or estimated."""
    return Logging(policy=calibration.logging)


def logging_choices(calibration: Any, world: AnyWorld) -> Choosing | None:
    """The same policy from observations, which begin with the context, within its bounds.

    On later slots of a page it chooses among the items left as it does among all on the first.
    """
    policy: SoftmaxPolicy = calibration.logging
    features = policy.vector.shape[1]

    def choosing(observation: Array, mask: Array | None) -> Array:
        return policy.probabilities(observation[:, :features], mask)

    return choosing


def _split(rows: LoggedRows, items: int) -> tuple[LoggedRows, LoggedRows]:
    """The first two thirds of the rows, which lie in time order, and the last third.

    Of a large catalogue the last third is thinned, so that rows x items fits into memory.
    """
    edge = max(1, rows.size * 2 // 3)
    last = np.arange(edge if edge < rows.size else 0, rows.size)
    step = -(-len(last) * items // CELLS_AT_ONCE)
    return rows.rows(np.arange(edge)), rows.rows(last[:: max(1, step)])


def _linear(coefficient: Floats, world: AnyWorld, state: Any) -> Floats:
    return learners.with_intercept(world.contexts.x[state.visit]) @ coefficient.T


def _ridge_scores(ridge: learners.Ridge, x: Array) -> tuple[Floats, Floats]:
    """Mean and deviation of every item's score, each `[n, A]`."""
    z = learners.with_intercept(x)
    variance = np.empty((len(z), len(ridge.theta)))
    for item, inverse in enumerate(ridge.inverse):
        variance[:, item] = ((z @ inverse) * z).sum(axis=1)
    return z @ ridge.theta.T, np.sqrt(np.maximum(variance, 0.0))


def _value_of_scores(rows: LoggedRows, score: Floats) -> float:
    allowed = score if rows.eligible is None else np.where(rows.eligible, score, -np.inf)
    return learners.snips(rows, (allowed.argmax(axis=1) == rows.item).astype(np.float64))


def _softmax(score: Floats, eligible: Array | None) -> Floats:
    if eligible is not None:
        score = np.where(eligible, score, -np.inf)
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


V = TypeVar("V")


def _known(value: V | None, rule: str) -> V:
    if value is None:
        raise ValueError(f"the rule {rule!r} has not been tuned: call tuned(history, rng) first")
    return value
