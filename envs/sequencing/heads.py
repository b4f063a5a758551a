"""The smaller heads: unsubscribing, deliver -> open -> click, moves of fatigue and frequency."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from envs.sequencing.panel import FATIGUES, FREQUENCIES, Panel

Floats = NDArray[np.float64]
RESPONSES = ("deliver", "open", "click")

TRANSITION_ROWS = 200.0
"""How many rows of the pooled estimate the transition of each class starts with."""


def unsubscribe_table(panel: Panel, channel: NDArray[np.int64], weight: Floats) -> Floats:
    """P(unsubscribe | action, fatigue of its channel) = q_c exp(growth g), `[A, G]`.

    Poisson likelihood over the contacts of each channel, half an event added to each; growth >= 0
    (fatigue never keeps anybody), shared, with a prior of .3 +- .5.
    """
    channels = panel.consent.shape[1]
    contacts, events = np.zeros((channels, FATIGUES)), np.zeros((channels, FATIGUES))
    for c in range(channels):
        rows = (panel.action > 0) & (channel[panel.action] == c) & panel.settled
        g = panel.fatigue[rows, c]
        contacts[c] = np.bincount(g, weight[rows], FATIGUES)
        events[c] = np.bincount(g, weight[rows] * panel.unsubscribe[rows], FATIGUES)
    g = np.arange(FATIGUES)

    def rates(growth: float) -> Floats:
        exposure = (contacts * np.exp(growth * g)).sum(axis=1)
        # Without a single unsubscribe in a channel nothing says that it has any.
        found = events.sum(axis=1)
        return np.where(found > 0, (found + 0.5) / np.maximum(exposure, 1.0), 0.0)

    def loss(theta: Floats) -> float:
        rate = rates(theta[0])[:, None] * np.exp(theta[0] * g)
        fit = (contacts * rate - events * np.log(np.maximum(rate, 1e-300))).sum()
        return float(fit + (theta[0] - 0.3) ** 2 / (2 * 0.5**2))

    growth = float(minimize(loss, [0.3], bounds=[(0.0, 2.0)], method="L-BFGS-B").x[0])
    by_channel = np.minimum(rates(growth)[:, None] * np.exp(growth * g), 1.0)
    return np.where((channel >= 0)[:, None], by_channel[np.maximum(channel, 0)], 0.0)


class Moves(NamedTuple):
    """How the state moves between weeks; see tables.py."""

    fatigue_up: Floats  # [C, G]
    fatigue_down: Floats  # [C, G]
    frequency_up: Floats  # [F]
    frequency_down: Floats  # [F]


def moves(panel: Panel, channel: NDArray[np.int64], weight: Floats) -> Moves:
    """Shares of upward and downward moves between consecutive weeks of the same customer.

    Each class is shrunk to all classes together with `TRANSITION_ROWS` rows.
    """
    follows = np.flatnonzero(
        (np.diff(panel.customer) == 0) & (np.diff(panel.week) == 1) & (panel.action[:-1] >= 0)
    )
    before, w = panel.where(follows), weight[follows]
    step = panel.frequency[follows + 1] - before.frequency
    top = FREQUENCIES - 1
    up = _shares(before.frequency, step > 0, w, before.purchase & (before.frequency < top))
    down = _shares(before.frequency, step < 0, w, ~before.purchase & (before.frequency > 0))
    tired, rested = [], []
    for c in range(panel.fatigue.shape[1]):
        g = before.fatigue[:, c]
        move = panel.fatigue[follows + 1, c] - g
        used = channel[before.action] == c
        tired.append(_shares(g, move > 0, w, used & (g < FATIGUES - 1), FATIGUES))
        rested.append(_shares(g, move < 0, w, ~used & (g > 0), FATIGUES))
    return Moves(np.stack(tired), np.stack(rested), up, down)


def _shares(
    group: NDArray[np.int64],
    moved: NDArray[np.bool_],
    weight: Floats,
    rows: NDArray[np.bool_],
    classes: int = FREQUENCIES,
) -> Floats:
    total = np.bincount(group[rows], weight[rows], classes)
    events = np.bincount(group[rows], (weight * moved)[rows], classes)
    pooled = events.sum() / total.sum() if total.sum() > 0 else 0.0
    return np.asarray((events + TRANSITION_ROWS * pooled) / (total + TRANSITION_ROWS))


def response_heads(panel: Panel, channel: NDArray[np.int64]) -> Floats:
    """deliver | sent, open | delivered and click | opened by channel: `[C, 3, 3]`.

    logit = constant + frequency f + fatigue g, by penalised likelihood on contacts whose responses
    had their 30 days; fatigue never helps. NaN where the log shows no such response by the channel.
    """
    found = np.full((panel.consent.shape[1], len(RESPONSES), 3), np.nan)
    for c in range(len(found)):
        for h, (rows, event) in enumerate(response_rows(panel, channel, c)):
            if event[rows].any():
                found[c, h] = _tiring(_design(panel, c, rows), event[rows])
    return found


def response_rows(
    panel: Panel, channel: NDArray[np.int64], c: int
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """For deliver, open and click: the rows that could have it, and whether they had."""
    sent = (panel.action > 0) & (channel[panel.action] == c) & panel.mature
    # A log that keeps no deliveries or opens says nothing of that stage: all went through it.
    delivered = sent & panel.delivered if (sent & panel.delivered).any() else sent
    opened = delivered & panel.opened if (delivered & panel.opened).any() else delivered
    return [(sent, panel.delivered), (delivered, panel.opened), (opened, panel.clicked)]


def response_probability(
    heads: Floats, panel: Panel, c: int, h: int, rows: NDArray[np.bool_]
) -> Floats:
    """P(response `h`) of the contacts by channel `c` in `rows`."""
    return np.asarray(1 / (1 + np.exp(-_design(panel, c, rows) @ heads[c, h])))


def _design(panel: Panel, c: int, rows: NDArray[np.bool_]) -> Floats:
    f, g = panel.frequency[rows], panel.fatigue[rows, c]
    return np.column_stack([np.ones(len(f)), f, g]).astype(np.float64)


def _tiring(design: Floats, event: NDArray[np.bool_]) -> Floats:
    """The fit whose last weight is 0 or less."""
    weights = _logistic(design, event)
    if weights[2] <= 0:
        return weights
    return np.append(_logistic(design[:, :2], event), 0.0)


def _logistic(design: Floats, event: NDArray[np.bool_]) -> Floats:
    """Newton's method with a prior of standard deviation 1 on slopes, 10 on the constant."""
    levels, index = np.unique(design, axis=0, return_inverse=True)
    index = index.ravel()
    n = np.bincount(index).astype(np.float64)
    y = np.bincount(index, event.astype(np.float64))
    precision = np.array([0.01, 1.0, 1.0])[: design.shape[1]]
    rate = np.clip(y.sum() / n.sum(), 1e-6, 1 - 1e-6)
    weights = np.zeros(design.shape[1])
    weights[0] = np.log(rate / (1 - rate))
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(levels @ weights, -30, 30)))
        information = (levels * (n * p * (1 - p))[:, None]).T @ levels + np.diag(precision)
        change = np.linalg.solve(information, levels.T @ (y - n * p) - precision * weights)
        weights = weights + np.clip(change, -2, 2)
        if np.abs(change).max() < 1e-9:
            break
    return weights
