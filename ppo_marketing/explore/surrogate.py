"""A small decision tree that imitates the policy, and how far it can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.words import StateVariable, Words
from envs.core.world import Array
from ppo_marketing.errors import UserError
from ppo_marketing.explore.answers import Answers, spoken

Floats = NDArray[np.float64]

DEPTH = 3
"""Eight leaves: as many rules as a person keeps in mind."""
LEAST_STATES = 40
LEAST_LEAF = 0.01
"""Of the states: a rarer leaf is an anecdote."""


@dataclass(frozen=True)
class Leaf:
    """One rule of the tree: the conditions that lead to it, and what is done there.

    `share` is of all states; `agreement` the share of its states in which the policy does so (of
    amounts: their standard deviation in it).
    """

    conditions: tuple[str, ...]
    action: str
    share: float
    agreement: float


@dataclass(frozen=True)
class Surrogate:
    """The rules, most frequent first, and their fidelity on states that they were not made from.

    Choices: `fidelity` is the share of held-out states in which tree and policy agree, `baseline`
    that of always taking the commonest action. Amounts: `fidelity` is R², 1 - SSE / SST, and
    `baseline` 0.
    """

    leaves: tuple[Leaf, ...]
    fidelity: float
    baseline: float
    held_out: int


@dataclass(frozen=True)
class _Feature:
    """One column of the tree: a variable as a number, or whether one of its levels holds."""

    variable: StateVariable
    level: int | None

    def of(self, observation: Array) -> Floats:
        shown = self.variable.shown(observation)
        return shown if self.level is None else (shown == self.level).astype(np.float64)

    def said(self, threshold: float, below: bool) -> str:
        variable = self.variable
        if self.level is not None and len(variable.levels) == 2:
            return f"{variable.label} is {variable.levels[1 - self.level if below else self.level]}"
        if self.level is not None:
            return f"{variable.label} is {'not ' if below else ''}{variable.levels[self.level]}"
        if variable.levels:
            level = int(np.floor(threshold))
            word = variable.levels[level if below else min(level + 1, len(variable.levels) - 1)]
            return f"{variable.label} at {'most' if below else 'least'} {word}"
        unit = f" {variable.unit}" if variable.unit else ""
        return f"{variable.label} {'≤' if below else '>'} {threshold:.3g}{unit}"


def surrogate_tree(
    answers: Answers,
    words: Words,
    observation: Array,
    episode: NDArray[np.int64],
    *,
    depth: int = DEPTH,
) -> Surrogate:
    """Fit a tree to half of the episodes' states and score it on the other half.

    Source: Craven and Shavlik 1996 for trees that imitate; scikit-learn's CART.

    Raises:
        UserError: there are too few states or episodes to hold some out.
    """
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    held_out = _half_of(episode)
    if len(observation) < LEAST_STATES or not 0 < held_out.sum() < len(observation):
        raise UserError(
            f"{len(observation)} states of {len(np.unique(episode))} episodes are too few for a "
            f"tree: at least {LEAST_STATES} states of two episodes are needed"
        )
    features = _features(words)
    table = np.column_stack([feature.of(observation) for feature in features])
    kind = DecisionTreeClassifier if answers.chooses else DecisionTreeRegressor
    least = max(1, int(LEAST_LEAF * len(observation)))
    tree = kind(max_depth=depth, min_samples_leaf=least, random_state=0)
    tree.fit(table[~held_out], answers.value[~held_out])
    wanted, foretold = answers.value[held_out], tree.predict(table[held_out])
    if answers.chooses:
        numbers, count = np.unique(answers.value[~held_out], return_counts=True)
        commonest = numbers[count.argmax()]
        fidelity = float((foretold == wanted).mean())
        baseline = float((wanted == commonest).mean())
    else:
        total = float(((wanted - wanted.mean()) ** 2).sum())
        error = float(((wanted - foretold) ** 2).sum())
        fidelity, baseline = (1.0 - error / total if total > 0 else float(error == 0)), 0.0
    leaves = _leaves(tree, features, table, answers, words)
    return Surrogate(leaves, fidelity, baseline, int(held_out.sum()))


def _half_of(episode: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Every other episode, so that no episode is on both sides."""
    return np.asarray(np.unique(episode, return_inverse=True)[1] % 2 == 1)


def _features(words: Words) -> list[_Feature]:
    features: list[_Feature] = []
    for variable in words.variables:
        if variable.levels and not variable.ordered:
            # Of two levels one says all.
            count = 1 if len(variable.levels) == 2 else len(variable.levels)
            features += [_Feature(variable, level) for level in range(count)]
        else:
            features.append(_Feature(variable, None))
    return features


def _leaves(
    fitted: Any, features: list[_Feature], table: Floats, answers: Answers, words: Words
) -> tuple[Leaf, ...]:
    tree, reached = fitted.tree_, fitted.apply(table)
    found = []

    def walk(node: int, conditions: tuple[str, ...]) -> None:
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left == right:
            found.append(_leaf(node, conditions))
            return
        feature, threshold = features[tree.feature[node]], float(tree.threshold[node])
        walk(left, (*conditions, feature.said(threshold, below=True)))
        walk(right, (*conditions, feature.said(threshold, below=False)))

    def _leaf(node: int, conditions: tuple[str, ...]) -> Leaf:
        mine = answers.value[reached == node]
        if answers.chooses:
            chosen = float(fitted.classes_[tree.value[node][0].argmax()])
            agreement = float((mine == chosen).mean()) if len(mine) else 1.0
        else:
            chosen = float(tree.value[node].ravel()[0])
            agreement = float(mine.std()) if len(mine) else 0.0
        return Leaf(conditions, spoken(chosen, words), len(mine) / len(table), agreement)

    walk(0, ())
    return tuple(sorted(found, key=lambda leaf: -leaf.share))
