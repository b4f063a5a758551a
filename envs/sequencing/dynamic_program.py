"""Bellman backups over all customer states of one member, as tensors (MODELLING 3.2, 6.2).

A value is a tensor `[R, F, g_1 .. g_C, s_1 .. s_C, ...]`; trailing axes are values backed up
together. Channels that never tire or never lose consent have one bin, so that the generator has
its 520 states. Fatigue moves are contracted axis by axis: the number of joint moves never shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.kernel import SequencingState
from envs.sequencing.tables import ResponseTables

Floats = NDArray[np.float64]


def fatigue_bins(tables: ResponseTables) -> NDArray[np.int64]:
    """Bins of fatigue that any member ever reaches on each channel, `[C]`."""
    _, _, fatigue, channels, _ = tables.shape
    bins = tables.start[:, 2 : 2 + channels].max(axis=0) + 1
    for c in range(channels):
        if np.any(tables.channel == c):
            while bins[c] < fatigue and np.any(tables.fatigue_up[:, c, bins[c] - 1] > 0):
                bins[c] += 1
    return np.asarray(bins, np.int64)


def consent_levels(tables: ResponseTables) -> tuple[tuple[int, ...], ...]:
    """The values of consent that occur on each channel, ascending."""
    channels = tables.shape[3]
    levels = []
    for c in range(channels):
        given = set(tables.start[:, 2 + channels + c].tolist())
        if 1 in given and np.any(tables.unsubscribe[:, tables.channel == c] > 0):
            given.add(0)
        levels.append(tuple(sorted(given)))
    return tuple(levels)


@dataclass(frozen=True)
class Program:
    """One member's customers as a Markov decision problem; rewards in currency."""

    shape: tuple[int, ...]  # R, F, g_1 .. g_C, s_1 .. s_C
    levels: tuple[tuple[int, ...], ...]
    channel: NDArray[np.int64]  # [A]
    purchase: Floats  # [A, R, F, g .., 1 ..] chance
    reward: Floats  # the same shape, expected currency of the step
    unsubscribe: tuple[Floats, ...]  # [A] of [g of the action's channel]
    moves: tuple[tuple[Floats, Floats], ...]  # [C] of (left alone, contacted), [g, g'] each
    up: Floats  # [F]
    down: Floats  # [F]
    discount: float

    @property
    def states(self) -> int:
        """The number of states."""
        return int(np.prod(self.shape))

    @property
    def channels(self) -> int:
        """C."""
        return len(self.levels)

    def q(self, value: Floats, *, allowed: NDArray[np.bool_] | None = None) -> Floats:
        """Q[a] = reward[a] + discount E[value | a], `[A, *shape, ...]`; -inf without consent.

        `allowed [A]` rules actions out everywhere.
        """
        q = np.full((len(self.channel), *value.shape), -np.inf)
        for a, worth in self._each(value, allowed):
            q[a] = worth
        return q

    def best(self, value: Floats, allowed: NDArray[np.bool_]) -> Floats:
        """max_a Q[a] among the actions `allowed [A]`, without holding all of them: `[*shape]`."""
        best = np.full(value.shape, -np.inf)
        for _, worth in self._each(value, allowed):
            np.maximum(best, worth, out=best)
        return best

    def alone(self, value: Floats) -> Floats:
        """Q of no contact; consent plays no part, so its axes may be 1: `[R, F, g .., ...]`."""
        return self._paid(0, self._rest(value, contacted=None))

    def _each(
        self, value: Floats, allowed: NDArray[np.bool_] | None
    ) -> Iterator[tuple[int, Floats]]:
        """Every allowed action and its Q."""
        contacted: dict[int, Floats] = {}
        for a, used in enumerate(self.channel):
            c = int(used)
            if allowed is not None and not allowed[a]:
                continue
            if c < 0:
                yield a, self.alone(value)
                continue
            if c not in contacted:
                contacted[c] = self._rest(value, contacted=c)
            worth = self._paid(a, self._left(contacted[c], a, c))
            if 0 in self.levels[c]:
                barred: list[Any] = [slice(None)] * worth.ndim
                barred[2 + self.channels + c] = self.levels[c].index(0)
                worth[tuple(barred)] = -np.inf
            yield a, worth

    def _paid(self, a: int, after: Floats) -> Floats:
        """reward[a] + discount E over r' and f' of `after`, which has today's g and consent."""
        bought, not_bought = self._frequency(after)
        extra = after.ndim - len(self.shape)
        chance, reward = (
            table[a].reshape(*table.shape[1:], *[1] * extra)
            for table in (self.purchase, self.reward)
        )
        return np.asarray(reward + self.discount * (not_bought + chance * (bought - not_bought)))

    def index(self, state: SequencingState) -> tuple[NDArray[np.int64], ...]:
        """Where the copies stand in a value tensor: one index array `[n]` an axis."""
        consent = [
            np.searchsorted(level, state.consent[:, c].astype(np.int64))
            for c, level in enumerate(self.levels)
        ]
        return (state.recency, state.frequency, *state.fatigue.T, *consent)

    def _rest(self, value: Floats, contacted: int | None) -> Floats:
        """Expectation over the moves of every channel's fatigue; axes become today's bins."""
        for c, (alone, used) in enumerate(self.moves):
            if len(alone) > 1:
                matrix = used if c == contacted else alone
                value = np.moveaxis(np.tensordot(matrix, value, axes=(1, 2 + c)), 0, 2 + c)
        return value

    def _left(self, value: Floats, a: int, c: int) -> Floats:
        """Mix in the chance that the contact makes the customer leave its channel."""
        if 0 not in self.levels[c] or 1 not in self.levels[c]:
            return value
        axis = 2 + self.channels + c
        gone = np.take(value, [self.levels[c].index(0)], axis=axis)
        shape = [1] * value.ndim
        shape[2 + c] = len(self.unsubscribe[a])
        risk = self.unsubscribe[a].reshape(shape)
        return (1 - risk) * value + risk * gone

    def _frequency(self, value: Floats) -> tuple[Floats, Floats]:
        """Expectation over r' and f' after a purchase and without one; broadcasts over r."""
        recencies, frequencies = self.shape[:2]
        f = np.arange(frequencies)
        column = (1, -1, *[1] * (value.ndim - 2))
        up, down = self.up.reshape(column), self.down.reshape(column)
        recent = value[:1]
        bought = up * recent[:, np.minimum(f + 1, frequencies - 1)] + (1 - up) * recent
        older = value[np.minimum(np.arange(recencies) + 1, recencies - 1)]
        not_bought = down * older[:, np.maximum(f - 1, 0)] + (1 - down) * older
        return bought, not_bought


def program(
    tables: ResponseTables, k: int, discount: float, price: Floats, unsubscribe_cost: float = 0.0
) -> Program:
    """The decision problem of member `k`; `price [A]` is what a contact costs in all, currency."""
    recencies, frequencies, _, channels, actions = tables.shape
    bins, levels = fatigue_bins(tables), consent_levels(tables)
    grid = (recencies, frequencies, *bins.tolist())
    logit = np.broadcast_to(_at_rf(tables.base[k], channels), grid).copy()
    for c in range(channels):
        logit += _at_g(tables.drag[k, c, : bins[c]], c, channels)
    delayed = tables.maturity[k] @ discount ** np.arange(tables.maturity.shape[-1])
    purchase = np.empty((actions, *grid))
    reward = np.empty((actions, *grid))
    risks = []
    for a, c in enumerate(tables.channel):
        odds, risk = logit, np.zeros(1)
        if c >= 0:
            fading = _at_g(tables.dampening[k, c, : bins[c]], int(c), channels)
            odds = logit + _at_rf(tables.uplift[k, a], channels) * fading
            risk = tables.unsubscribe[k, a, : bins[c]]
        purchase[a] = 1 / (1 + np.exp(-odds))
        earned = (tables.margin[k] - tables.offer_cost[a]) * delayed[a]
        reward[a] = purchase[a] * _at_rf(earned, channels) - price[a]
        if c >= 0 and 1 in levels[c]:
            reward[a] -= _at_g(unsubscribe_cost * risk, int(c), channels)
        risks.append(risk)
    wide = (actions, *grid, *[1] * channels)
    return Program(
        shape=(*grid, *(len(level) for level in levels)),
        levels=levels,
        channel=tables.channel,
        purchase=purchase.reshape(wide),
        reward=reward.reshape(wide),
        unsubscribe=tuple(risks),
        moves=tuple(_moves(tables, k, c, int(bins[c])) for c in range(channels)),
        up=tables.frequency_up[k],
        down=tables.frequency_down[k],
        discount=discount,
    )


def _at_rf(table: Floats, channels: int) -> Floats:
    return table.reshape(*table.shape, *[1] * channels)


def _at_g(table: Floats, c: int, channels: int) -> Floats:
    shape = [1] * (2 + channels)
    shape[2 + c] = len(table)
    return table.reshape(shape)


def _moves(tables: ResponseTables, k: int, c: int, bins: int) -> tuple[Floats, Floats]:
    g = np.arange(bins)
    alone, used = np.zeros((bins, bins)), np.zeros((bins, bins))
    down, up = tables.fatigue_down[k, c, :bins], tables.fatigue_up[k, c, :bins]
    np.add.at(alone, (g, np.maximum(g - 1, 0)), down)
    np.add.at(alone, (g, g), 1 - down)
    np.add.at(used, (g, np.minimum(g + 1, bins - 1)), up)
    np.add.at(used, (g, g), 1 - up)
    return alone, used
