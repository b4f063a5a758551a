"""From questions to answers: the champion behind its guardrails, with books that outlive it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.export.onnx_policy import Answer, OnnxPolicy
from ppo_marketing.guardrails import FRESH, Context, Guarded, Guardrail, GuardState, reasons_of
from ppo_marketing.guardrails.chance import shipping_chance
from ppo_marketing.serve.batch import at_once, timeless
from ppo_marketing.serve.body import BadRequest
from ppo_marketing.serve.books import Books
from ppo_marketing.serve.champion import Champion
from ppo_marketing.serve.questions import Questions

DAY = 86_400

NO_LIMITS = ("non_finite_input",)
"""The one reason there is where a bundle has no limits."""


class Decided(NamedTuple):
    """One answer; `receipt` is -1 where nothing was reserved."""

    action: NDArray[Any]  # a choice, its parts, or amounts
    propensity: float | None
    reasons: tuple[str, ...]
    receipt: int


class _Heard:
    """A policy that remembers its last answer, so that its probabilities need no second run."""

    def __init__(self, policy: OnnxPolicy) -> None:
        self._policy = policy
        self.said: Answer | None = None

    def act(
        self, observation: Any, rng: Generator, mask: Any = None, *, deterministic: bool = False
    ) -> Any:
        if deterministic:
            return self._policy.act(observation, rng, mask, deterministic=True)
        self.said = self._policy.answer(observation, mask)
        return self._policy.act(observation, rng, mask)

    def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:
        return self._policy.log_prob(observation, action, mask)


def decide(
    champion: Champion, books: Books, asked: Questions, now: float, rng: Generator | None
) -> list[Decided]:
    """Answer every question, drawn with `rng`, or the most likely where that is None.

    Raises:
        BadRequest: the limits need what was not given.
        OSError: the books cannot be kept; nothing was decided.
    """
    if champion.guardrail is None:
        return _unguarded(champion, asked, rng)
    if rng is None and timeless(champion.bundle.limits):
        return _at_once(champion, asked)
    if rng is None:
        return _as_decided(_batch(champion.guardrail, books, asked, now, rng), 1.0)
    # One by one: what a choice's chance was depends on the books before it.
    return [
        one
        for i in range(len(asked.ids))
        for one in _drawn(champion, champion.guardrail, books, _only(asked, i), now, rng)
    ]


def _at_once(champion: Champion, asked: Questions) -> list[Decided]:
    """A tenth of the guards' own time, where none of them looks beyond the decision."""
    try:
        found = at_once(champion, _single(asked.observation), asked.mask)
    except UserError as error:
        raise BadRequest(str(error)) from error
    return [
        Decided(action, 1.0, tuple(reason.value for reason in reasons_of(int(flags))), -1)
        for action, flags in zip(found.action, found.reasons, strict=True)
    ]


def _batch(
    guardrail: Guardrail, books: Books, asked: Questions, now: float, rng: Generator | None
) -> Guarded:
    context = _context(guardrail, asked, now)

    def by(state: GuardState) -> Guarded:
        draw = np.random.default_rng(0) if rng is None else rng
        return guardrail.decide(context, draw, state, deterministic=rng is None)

    try:
        return books.advance(by, asked.units or (), now)
    except UserError as error:
        raise BadRequest(str(error)) from error


def _context(guardrail: Guardrail, asked: Questions, now: float) -> Context:
    needs = guardrail.limits.needs
    return Context(
        observation=_single(asked.observation),
        mask=asked.mask,
        unit=asked.units,
        hour=asked.hour,
        cost=asked.cost,
        day=now // DAY if "day" in needs else None,
    )


def _drawn(
    champion: Champion,
    guardrail: Guardrail,
    books: Books,
    asked: Questions,
    now: float,
    rng: Generator,
) -> list[Decided]:
    heard = _Heard(champion.bundle.policy)
    listening = Guardrail(guardrail.limits, heard, guardrail.fallback)
    before = books.state
    guarded = _batch(listening, books, asked, now, rng)
    assert heard.said is not None
    if guardrail.limits.choices is None:
        return _as_decided(guarded, _density(champion.bundle.policy, asked, guarded))
    assert heard.said.probability is not None
    chance = shipping_chance(
        guardrail.limits,
        np.asarray(heard.said.probability[0], np.float64),
        _context(guardrail, asked, now),
        before if guardrail.limits.keeps_books else FRESH,
        guarded,
    )
    return _as_decided(guarded, chance)


def _density(policy: OnnxPolicy, asked: Questions, guarded: Guarded) -> float | None:
    """The density of an amount that was shipped as drawn; None on an edge, where masses lie."""
    low = [-np.inf if one is None else one for one in policy.action_schema["low"]]
    high = [np.inf if one is None else one for one in policy.action_schema["high"]]
    action = guarded.action[0]
    inside = bool(((action > low) & (action < high)).all())
    if guarded.reasons[0] or not inside or policy.action_schema["kind"] != "gaussian":
        return None
    seen = _single(asked.observation)
    return float(np.exp(policy.log_prob(seen, guarded.action)[0]))


def _as_decided(guarded: Guarded, propensity: float | None) -> list[Decided]:
    return [
        Decided(
            np.atleast_1d(action),
            propensity,
            tuple(reason.value for reason in reasons_of(int(flags))),
            int(receipt),
        )
        for action, flags, receipt in zip(
            guarded.action, guarded.reasons, guarded.receipt, strict=True
        )
    ]


def _unguarded(champion: Champion, asked: Questions, rng: Generator | None) -> list[Decided]:
    """Where a bundle has no limits: the first allowed choice, or 0, where a value is unknown."""
    policy = champion.bundle.policy
    observation = _single(asked.observation)
    unknown: NDArray[np.bool_] = np.logical_not(np.isfinite(observation).all(axis=1))
    shown = np.where(unknown[:, None], np.float32(0), observation)
    try:
        draw = np.random.default_rng(0) if rng is None else rng
        action = policy.act(shown, draw, asked.mask, deterministic=rng is None)
        chance = np.ones(len(shown))
        if rng is not None and policy.chooses:
            chance = np.exp(policy.log_prob(shown, action, asked.mask))
    except UserError as error:
        raise BadRequest(str(error)) from error
    safe = _first_allowed(policy, asked.mask, len(shown))
    found = []
    for i in range(len(shown)):
        if unknown[i]:
            found.append(Decided(np.atleast_1d(safe[i]), 1.0, NO_LIMITS, -1))
        else:
            known = None if rng is not None and not policy.chooses else float(chance[i])
            found.append(Decided(np.atleast_1d(action[i]), known, (), -1))
    return found


def _first_allowed(policy: OnnxPolicy, mask: Any, rows: int) -> NDArray[Any]:
    schema: Mapping[str, Any] = policy.action_schema
    if not policy.chooses:
        low = np.array([-np.inf if one is None else one for one in schema["low"]])
        high = np.array([np.inf if one is None else one for one in schema["high"]])
        return np.tile(np.clip(0.0, low, high), (rows, 1))
    allowed = np.ones((rows, int(schema["choices"])), bool) if mask is None else mask
    parts = np.split(allowed, np.cumsum(schema["counts"])[:-1], axis=1)
    first = np.stack([part.argmax(axis=1) for part in parts], axis=1)
    return np.asarray(first + np.array(schema["starts"]))


def _single(observation: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # beyond single precision is infinite, and that is guarded
        return observation.astype(np.float32)


def _only(asked: Questions, i: int) -> Questions:
    def one(values: Any) -> Any:
        return None if values is None else values[i : i + 1]

    return Questions(*(one(values) for values in asked))


def in_words(champion: Champion, action: NDArray[Any]) -> dict[str, Any]:
    """An action as the decision's card names it."""
    words = champion.words
    if not champion.choices:
        return dict(zip(words.amounts, (float(one) for one in action), strict=True))
    schema = champion.bundle.policy.action_schema
    number: int | Sequence[int] = [int(one) for one in action]
    if not schema["scalar"]:
        return {"parts": number}
    return {"number": int(action[0]), **words.choices[int(action[0]) - int(schema["starts"][0])]}
