"""Millions of decisions at once: the policy in tiles, its guardrails as array operations."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.errors import Refused
from ppo_marketing.guardrails import Context, GuardrailLimits, Reason, apply, reasons_of
from ppo_marketing.guardrails.batch import outside
from ppo_marketing.guardrails.context import static_mask
from ppo_marketing.serve.champion import Champion

TILE = 8192
"""Rows at a time: the activations of a 64x64 network stay in the cache."""


class Scored(NamedTuple):
    """What is decided for `n` rows; `reasons [n]` is a bit mask of why a guard stepped in."""

    action: NDArray[Any]  # [n, parts]
    probability: NDArray[np.float32] | None  # [n] of the choice, by the policy alone
    reasons: NDArray[np.uint32]


def require_timeless(limits: GuardrailLimits | None) -> None:
    """Refuse limits that only hold decisions made one after the other.

    Raises Refused that names them.
    """
    needs = () if limits is None else limits.needs
    if needs:
        raise Refused(
            f"the guardrails of this bundle need {', '.join(needs)} of every decision and keep "
            "books: a table scored at once cannot be held by them. Decide through `serve`, or "
            "export the policy without them"
        )


def scored(
    champion: Champion,
    observation: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    pool: ThreadPoolExecutor,
) -> Scored:
    """Decide every row of `observation [n, obs]`, tile by tile, in the threads of `pool`."""
    parts = list(
        pool.map(
            lambda rows: at_once(champion, observation[rows], None if mask is None else mask[rows]),
            _tiles(len(observation)),
        )
    )
    chances = [part.probability for part in parts if part.probability is not None]
    return Scored(
        np.concatenate([part.action for part in parts]),
        np.concatenate(chances) if chances else None,
        np.concatenate([part.reasons for part in parts]),
    )


def _tiles(rows: int) -> Iterator[slice]:
    return (slice(first, first + TILE) for first in range(0, max(rows, 1), TILE))


def timeless(limits: GuardrailLimits | None) -> bool:
    """Whether limits hold every decision by itself, as array operations."""
    return limits is not None and not limits.needs and not _changes_limited(limits)


def at_once(
    champion: Champion, observation: NDArray[np.float32], mask: NDArray[np.bool_] | None
) -> Scored:
    """Decide a few rows as the guards would one by one.

    Raises UserError where a mask leaves a row nothing.
    """
    limits, rows = champion.bundle.limits, len(observation)
    low, high = champion.words.low, champion.words.high
    reasons = np.zeros(rows, np.uint32)
    forced = np.zeros(rows, np.bool_)
    found: dict[Reason, NDArray[Any]] = {
        Reason.NON_FINITE_INPUT: np.logical_not(np.isfinite(observation).all(axis=1)),
        Reason.OUT_OF_SUPPORT: np.any((observation < low) | (observation > high), axis=1),
    }
    if limits is not None:
        for reason, where in outside(limits, observation.astype(np.float64)).items():
            found[reason] = np.logical_or(found[reason], where)
    for reason, where in found.items():
        forced |= where
        reasons[where] |= np.uint32(reason.bit)
    shown = np.where(forced[:, None], np.float32(0), observation)
    if limits is not None and limits.choices is not None:
        mask = static_mask(limits, mask, rows)
    said = champion.bundle.policy.answer(shown, mask)
    chance = None
    if said.probability is not None and champion.bundle.policy.action_schema["scalar"]:
        start = int(champion.bundle.policy.action_schema["starts"][0])
        chance = said.probability[np.arange(rows), said.action - start]
    action = said.action.reshape(rows, -1)
    if limits is None:
        return Scored(np.where(forced[:, None], 0, action), chance, reasons)
    assert champion.guardrail is not None
    safe = champion.guardrail.fallback.act(shown, np.random.default_rng(0), mask)
    if limits.amounts is not None and _changes_limited(limits):
        return _held_one_by_one(limits, said.action, safe, shown, mask, forced, reasons)
    held = _held_choices if limits.choices is not None else _held_amounts
    shipped, more = held(limits, action, safe.reshape(rows, -1), mask, forced)
    return Scored(shipped, chance, reasons | more)


def _changes_limited(limits: GuardrailLimits) -> bool:
    held = limits.amounts
    return held is not None and (held.change is not None or held.relative_change is not None)


def _held_amounts(
    limits: GuardrailLimits,
    action: NDArray[Any],
    safe: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    forced: NDArray[np.bool_],
) -> tuple[NDArray[Any], NDArray[np.uint32]]:
    held = limits.amounts
    assert held is not None
    unreadable = np.logical_not(np.isfinite(action).all(axis=1))
    flags = np.where(unreadable, Reason.NON_FINITE_OUTPUT.bit, 0)
    forced = np.logical_or(forced, unreadable)
    wanted = np.where(forced[:, None], safe, action).astype(np.float64)
    rest = np.zeros_like(wanted, np.bool_) if held.nothing is None else wanted == held.nothing
    below, above = (wanted < held.floor) & ~rest, (wanted > held.cap) & ~rest
    shipped = np.where(rest, wanted, np.clip(wanted, held.floor, held.cap))
    of_policy = ~forced
    flags = flags | np.where(below.any(axis=1) & of_policy, Reason.FLOOR.bit, 0)
    flags = flags | np.where(above.any(axis=1) & of_policy, Reason.CAP.bit, 0)
    return shipped, flags.astype(np.uint32)


def _held_choices(
    limits: GuardrailLimits,
    action: NDArray[Any],
    safe: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    forced: NDArray[np.bool_],
) -> tuple[NDArray[Any], NDArray[np.uint32]]:
    """The policy is offered allowed choices only; what it and the fallback say is held to them."""
    menu = limits.choices
    assert menu is not None
    assert mask is not None
    rows = np.arange(len(action))
    rest = mask.argmax(axis=1) if menu.nothing is None else np.full(len(action), menu.nothing)
    allowed = mask[rows, safe[:, 0]]
    safe_choice = np.where(allowed, safe[:, 0], rest)
    foreign = np.logical_not(mask[rows, np.clip(action[:, 0], 0, menu.choices - 1)])
    forced = np.logical_or(forced, foreign)
    flags = np.where(foreign, Reason.NOT_ELIGIBLE.bit, 0)
    flags = flags | np.where(forced & ~allowed, Reason.FALLBACK_UNUSABLE.bit, 0)
    flags = flags.astype(np.uint32)
    return np.where(forced, safe_choice, action[:, 0])[:, None], flags


def _held_one_by_one(
    limits: GuardrailLimits,
    action: NDArray[Any],
    safe: NDArray[Any],
    shown: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    forced: NDArray[np.bool_],
    reasons: NDArray[np.uint32],
) -> Scored:
    """Limits on changes, by the guards themselves: slower, and the same as elsewhere."""
    proposed = np.where(forced.reshape(-1, *[1] * (action.ndim - 1)), safe, action)
    guarded = apply(limits, proposed, safe, Context(observation=shown, mask=mask))
    return Scored(guarded.action.reshape(len(shown), -1), None, reasons | guarded.reasons)


def in_text(reasons: NDArray[np.uint32]) -> list[str]:
    """Bit masks as text, reasons joined by a blank; empty where no guard stepped in."""
    distinct = {int(one): " ".join(reasons_of(int(one))) for one in np.unique(reasons)}
    return [distinct[one] for one in reasons.tolist()]
