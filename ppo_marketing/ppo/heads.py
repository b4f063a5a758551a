"""Which head an action space asks for, and the head that was saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.categorical import CategoricalHead, ItemHead
from ppo_marketing.ppo.gaussian import GaussianHead, SquashedGaussianHead
from ppo_marketing.ppo.head import Array, Head


def head_for(space: spaces.Space[Any], *, squash: bool, log_std: float) -> Head:
    """Return the head of an action space: Box, Discrete or MultiDiscrete.

    A Discrete that carries `item_features` [n, F] is chosen from by scoring those features.

    Raises:
        UserError: the space is of another kind, cannot be squashed, or its features do not fit.
    """
    if isinstance(space, spaces.Discrete):
        features = getattr(space, "item_features", None)
        if features is not None:
            return _item_head(space, np.asarray(features))
        return CategoricalHead((int(space.n),), (int(space.start),), scalar=True)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        counts, starts = tuple(space.nvec.tolist()), tuple(space.start.tolist())
        return CategoricalHead(counts, starts, scalar=False)
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        if not squash:
            return GaussianHead(space.low, space.high, log_std)
        if space.is_bounded():
            return SquashedGaussianHead(space.low, space.high, log_std)
        raise UserError(
            f"squashed actions need finite bounds, and the action space is {space}; "
            "give it bounds or set squash_actions to false"
        )
    raise UserError(
        f"the action space {space} is not supported: use a Box of shape (d,), a Discrete or a "
        "MultiDiscrete with one row of counts"
    )


def _item_head(space: spaces.Discrete[Any], features: Array) -> ItemHead:
    if features.ndim != 2 or len(features) != space.n or space.start != 0:
        raise UserError(
            f"item_features of shape {features.shape} do not fit {space}: give one row of features "
            "an item, and count items from 0"
        )
    if not np.isfinite(features).all():
        bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
        raise UserError(
            f"item_features are not finite for {len(bad)} of {len(features)} items (first: "
            f"{', '.join(map(str, bad[:5]))}); every item needs numbers to be scored by"
        )
    return ItemHead(features)


def head_from(description: Mapping[str, Any]) -> Head:
    """Return the head that `Head.describe` described; its σ is then set from the saved tensors.

    Raises:
        UserError: the kind is unknown.
    """
    kind = description["kind"]
    if kind == "categorical":
        counts, starts = tuple(description["counts"]), tuple(description["starts"])
        return CategoricalHead(counts, starts, scalar=description["scalar"])
    if kind == "items":
        return ItemHead(np.zeros((description["items"], description["features"]), np.float32))
    gaussians = {"gaussian": GaussianHead, "squashed gaussian": SquashedGaussianHead}
    if kind in gaussians:
        low = np.array([-np.inf if bound is None else bound for bound in description["low"]])
        high = np.array([np.inf if bound is None else bound for bound in description["high"]])
        return gaussians[kind](low, high, 0.0)
    raise UserError(
        f"unknown action head {kind!r}; known: categorical, {', '.join(gaussians)}, items"
    )
