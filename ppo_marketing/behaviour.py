"""What a policy does in given states, as arrays: the form in which two policies are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.errors import UserError

Array = NDArray[Any]

_SUM_TOLERANCE = 1e-3  # single precision over ten thousand actions


@dataclass(frozen=True, kw_only=True, eq=False)
class Choices:
    """What a policy of discrete actions does in n states.

    `probability` `[n, A]`; `action` `[n]`, the one it ships; `money` `[n]`, what that action costs
    (or moves) in its state, where that is known.
    """

    probability: Array
    action: Array
    money: Array | None = None

    @classmethod
    def certain(cls, action: Any, actions: int, money: Array | None = None) -> Choices:
        """A rule's: it takes `action` `[n]` of `actions` with certainty."""
        chosen = np.asarray(action, np.int64)
        return cls(probability=np.eye(actions)[chosen], action=chosen, money=money)


@dataclass(frozen=True, kw_only=True, eq=False)
class Controls:
    """What a policy of continuous controls does in n states.

    `mean` `[n, D]` and `log_std` `[n, D]` or `[D]` of its Gaussian (-inf: certain, as a rule is);
    `control` `[n]`, the one it ships, in the market's unit; `money` as in `Choices`.
    """

    mean: Array
    log_std: Array
    control: Array
    money: Array | None = None


Behaviour = Choices | Controls


def require_comparable(
    champion: Behaviour,
    challenger: Behaviour,
    segment: Any = None,
    labels: Sequence[str] | None = None,
) -> None:
    """Refuse arrays that do not fit together or are no distributions.

    Raises:
        UserError: with every problem.
    """
    if type(champion) is not type(challenger):
        raise UserError(
            "one policy chooses and the other sets a control: only two of a kind can be compared"
        )
    problems = [
        f"{name}: {problem}"
        for name, policy in (("champion", champion), ("challenger", challenger))
        for problem in _unsound(policy)
    ]
    shapes = {np.shape(_spread(policy)) for policy in (champion, challenger)}
    if len(shapes) > 1:
        problems.append(f"the policies differ in states or actions: {sorted(shapes)}")
    n = len(_spread(champion))
    if n == 0:
        problems.append("no reference states: draw some by the champion's own play")
    if segment is not None and np.shape(segment) != (n,):
        problems.append(f"segment has the shape {np.shape(segment)}; it must be ({n},)")
    if (champion.money is None) != (challenger.money is None):
        problems.append("money is given for one policy only: give it for both or for none")
    if isinstance(champion, Choices) and labels is not None:
        count = np.shape(champion.probability)[-1]
        if len(labels) != count:
            problems.append(f"{len(labels)} labels for {count} actions")
    if problems:
        raise UserError("drift cannot be measured:\n  " + "\n  ".join(problems))


def _spread(policy: Behaviour) -> Array:
    return np.asarray(policy.probability if isinstance(policy, Choices) else policy.mean)


def _unsound(policy: Behaviour) -> list[str]:
    problems = []
    spread = _spread(policy)
    if spread.ndim != 2:
        return [f"expected [states, actions] or [states, controls], found shape {spread.shape}"]
    n = len(spread)
    if isinstance(policy, Choices):
        p = np.asarray(spread, np.float64)
        wrong = ~(np.isfinite(p).all(axis=1) & (p >= 0).all(axis=1))
        wrong |= ~(np.abs(p.sum(axis=1) - 1.0) <= _SUM_TOLERANCE)
        if wrong.any():
            problems.append(f"{int(wrong.sum())} of {n} rows are no probabilities that sum to 1")
        shipped, what = np.asarray(policy.action), "action"
        if shipped.shape == (n,) and not ((shipped >= 0) & (shipped < p.shape[1])).all():
            problems.append(f"actions must be numbers from 0 to {p.shape[1] - 1}")
    else:
        if not np.isfinite(spread).all():
            problems.append("means must be finite")
        log_std = np.asarray(policy.log_std, np.float64)
        if log_std.shape not in (spread.shape, spread.shape[1:]):
            problems.append(f"log_std has the shape {log_std.shape}; means have {spread.shape}")
        elif np.isnan(log_std).any() or np.isposinf(log_std).any():
            problems.append("log_std must be numbers, or -inf for certainty")
        shipped, what = np.asarray(policy.control), "control"
        if shipped.shape == (n,) and not np.isfinite(shipped).all():
            problems.append("controls must be finite")
    if shipped.shape != (n,):
        problems.append(f"{what} has the shape {shipped.shape}; it must be ({n},)")
    if policy.money is not None:
        money = np.asarray(policy.money, np.float64)
        if money.shape != (n,) or not np.isfinite(money).all():
            problems.append(f"money must be {n} finite numbers, one a state")
    return problems
