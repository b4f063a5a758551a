"""The compiled step of a customer: response, transitions, constraints, observation and restart.

Nothing here allocates. Luck is a counter-based generator (SplitMix64, Steele et al. 2014): the
draw of an episode's week depends on the episode's seed, the week and what is drawn alone, so that
every actor meets the same customers with the same luck.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from envs.sequencing.tables import ResponseTables

KPI_NAMES = ("value", "margin", "contact_cost", "contacts", "purchases", "unsubscribes")
PURCHASE, FREQUENCY, UNSUBSCRIBE, DELAY, FATIGUE = range(5)  # draws of a week; fatigue: C of them

njit = numba.njit(cache=True, error_model="numpy", _nrt=False)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_ONE = np.uint64(1)
_LARGEST = 1.0 / 2.0**53


class Terms(NamedTuple):
    """The settings as the kernel reads them; `C` channels, `A` actions."""

    horizon: int
    discount: float
    truncated: bool  # the horizon is a cut: nothing is paid for what follows, but in `value`
    expected: bool  # pay chances, not draws
    unsubscribe_cost: float
    reference: float  # currency a unit of reward: an average customer's worth of a year uncontacted
    price: NDArray[np.float64]  # [A] contact cost and the price of its channel's budget
    cap_window: NDArray[np.uint64]  # [C] bits of the weeks that a contact is counted with
    cap_count: NDArray[np.int64]  # [C] contacts allowed among them and this week
    closed: NDArray[np.bool_]  # [C]
    quiet: NDArray[np.bool_]  # [52] by week of the year
    first_week: int
    bins: NDArray[np.int64]  # [C] fatigue bins that are ever reached
    terminal: NDArray[np.float64]  # [K, A or 1, R, F, product of bins] worth, currency
    pessimism: float  # deviations between members that a reward is reduced by


class Episodes(NamedTuple):
    """Customers drawn once: whose tables, which start, which luck; each `[E]`."""

    member: NDArray[np.int64]
    row: NDArray[np.int64]
    seed: NDArray[np.uint64]


class SequencingState(NamedTuple):
    """One customer a copy; `C` channels, `L` delays."""

    episode: NDArray[np.int64]  # [n]
    step: NDArray[np.int64]  # [n] weeks gone; the horizon: finished
    recency: NDArray[np.int64]  # [n]
    frequency: NDArray[np.int64]  # [n]
    fatigue: NDArray[np.int64]  # [n, C]
    consent: NDArray[np.bool_]  # [n, C] given and not withdrawn
    contacts: NDArray[np.uint64]  # [n, C] bit i: contacted i + 1 weeks ago
    pending: NDArray[np.int64]  # [n, L] purchases to be paid l weeks from now
    due: NDArray[np.float64]  # [n, L] currency to be paid l weeks from now


@njit
def uniform(seed: Any, step: int, draw: int) -> float:
    """The number in [0, 1) of an episode's week and purpose."""
    counter = np.uint64(step) * np.uint64(64) + np.uint64(draw) + _ONE
    z = seed + counter * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * _LARGEST


@njit
def bits(word: Any) -> int:
    """The number of ones."""
    count = 0
    while word:
        word &= word - _ONE
        count += 1
    return count


@njit
def open_channel(terms: Terms, state: SequencingState, i: int, c: int) -> bool:
    """Whether channel `c` may be used in this week: consent, caps, quiet weeks, capacity."""
    if not state.consent[i, c] or terms.closed[c]:
        return False
    if terms.quiet[(terms.first_week + state.step[i]) % 52]:
        return False
    recent = bits(state.contacts[i, c] & terms.cap_window[c])
    return bool(recent < terms.cap_count[c])


@njit
def purchase_probability(
    tables: ResponseTables, k: int, state: SequencingState, i: int, action: int
) -> float:
    """P(purchase) of copy `i` in this week under an action."""
    r, f = state.recency[i], state.frequency[i]
    logit = tables.base[k, r, f]
    for c in range(tables.drag.shape[1]):
        logit += tables.drag[k, c, state.fatigue[i, c]]
    used = tables.channel[action]
    if used >= 0:
        logit += tables.uplift[k, action, r, f] * tables.dampening[k, used, state.fatigue[i, used]]
    return 1.0 / (1.0 + math.exp(-logit))


@njit
def disagreement(tables: ResponseTables, state: SequencingState, i: int, action: int) -> float:
    """Standard deviation over the members of what copy `i` is expected to earn this week; currency.

    Source: the ensemble's spread as the penalty of MOPO (Yu et al. 2020), MODELLING 5.1.
    """
    r, f = state.recency[i], state.frequency[i]
    members = tables.base.shape[0]
    total, squares = 0.0, 0.0
    for k in range(members):
        chance = purchase_probability(tables, k, state, i, action)
        earned = chance * (tables.margin[k, r, f] - tables.offer_cost[action])
        total += earned
        squares += earned * earned
    return math.sqrt(max(0.0, squares / members - (total / members) ** 2))


@njit
def terminal_value(
    tables: ResponseTables, terms: Terms, k: int, state: SequencingState, i: int
) -> float:
    """What the customer is worth from here (terminal.py), and what is still to be paid."""
    cell = 0
    for c in range(len(terms.bins)):
        cell = cell * terms.bins[c] + state.fatigue[i, c]
    r, f = state.recency[i], state.frequency[i]
    chosen, best = 0, 0.0
    for action in range(terms.terminal.shape[1]):
        if action == 0 or state.consent[i, tables.channel[action]]:
            total = 0.0
            for member in range(terms.terminal.shape[0]):
                total += terms.terminal[member, action, r, f, cell]
            if action == 0 or total > best:
                chosen, best = action, total
    worth = float(terms.terminal[k, chosen, r, f, cell])
    discount = 1.0
    for delay in range(state.due.shape[1]):
        worth += discount * state.due[i, delay]
        discount *= terms.discount
    return worth


@njit
def _transition(
    tables: ResponseTables, k: int, state: SequencingState, i: int, action: int, bought: bool,
    seed: Any,
) -> bool:  # fmt: skip
    """Move r, f, g, consent and the contact history by one week; return whether they left."""
    t = state.step[i]
    f = state.frequency[i]
    luck = uniform(seed, t, FREQUENCY)
    if bought:
        state.recency[i] = 0
        if luck < tables.frequency_up[k, f]:
            state.frequency[i] = min(f + 1, tables.base.shape[2] - 1)
    else:
        state.recency[i] = min(state.recency[i] + 1, tables.base.shape[1] - 1)
        if luck < tables.frequency_down[k, f]:
            state.frequency[i] = max(f - 1, 0)
    used = tables.channel[action]
    left = False
    if used >= 0:
        risk = tables.unsubscribe[k, action, state.fatigue[i, used]]
        left = uniform(seed, t, UNSUBSCRIBE) < risk
        if left:
            state.consent[i, used] = False
    for c in range(state.fatigue.shape[1]):
        g = state.fatigue[i, c]
        luck = uniform(seed, t, FATIGUE + c)
        if c == used:
            if luck < tables.fatigue_up[k, c, g]:
                state.fatigue[i, c] = min(g + 1, tables.drag.shape[2] - 1)
        elif luck < tables.fatigue_down[k, c, g]:
            state.fatigue[i, c] = max(g - 1, 0)
        state.contacts[i, c] = state.contacts[i, c] << _ONE
        if c == used:
            state.contacts[i, c] |= _ONE
    state.step[i] = t + 1
    return left


@njit
def _paid(
    tables: ResponseTables, k: int, state: SequencingState, i: int, action: int, amount: float,
    bought: bool, seed: Any,
) -> float:  # fmt: skip
    """Book `amount` over the delays and return what is paid in this week; shift the queue."""
    delays = state.due.shape[1]
    luck = uniform(seed, state.step[i], DELAY)
    for delay in range(delays):
        chance = tables.maturity[k, action, delay]
        state.due[i, delay] += amount * chance
        if bought and 0.0 <= luck < chance:
            state.pending[i, delay] += 1
        luck -= chance
    paid = state.due[i, 0]
    for delay in range(delays - 1):
        state.due[i, delay] = state.due[i, delay + 1]
        state.pending[i, delay] = state.pending[i, delay + 1]
    state.due[i, delays - 1] = 0.0
    state.pending[i, delays - 1] = 0
    return float(paid)


@njit
def advance(
    tables: ResponseTables, terms: Terms, episodes: Episodes, state: SequencingState, i: int,
    action: int, kpi: Any,
) -> float:  # fmt: skip
    """One week of copy `i`, in place; fill `kpi [n, 6]`; return the reward.

    What is not allowed becomes no contact. Pessimism reduces the reward, never the KPIs.
    """
    for column in range(kpi.shape[1]):
        kpi[i, column] = 0.0
    t = state.step[i]
    if t >= terms.horizon:
        return 0.0
    used = tables.channel[action]
    if used >= 0 and not open_channel(terms, state, i, used):
        action = 0
    k = episodes.member[state.episode[i]]
    seed = episodes.seed[state.episode[i]]
    chance = purchase_probability(tables, k, state, i, action)
    bought = uniform(seed, t, PURCHASE) < chance
    earned = tables.margin[k, state.recency[i], state.frequency[i]] - tables.offer_cost[action]
    amount = chance * earned if terms.expected else (earned if bought else 0.0)
    doubt = 0.0
    if terms.pessimism > 0.0:
        doubt = terms.pessimism * disagreement(tables, state, i, action)
    paid = _paid(tables, k, state, i, action, amount, bought, seed)
    left = _transition(tables, k, state, i, action, bought, seed)

    reward = paid - terms.price[action]
    if left:
        reward -= terms.unsubscribe_cost
    value = reward
    if t + 1 >= terms.horizon:
        worth = terms.discount * terminal_value(tables, terms, k, state, i)
        value += worth
        if not terms.truncated:
            reward += worth
    kpi[i, 0] = terms.discount**t * value
    kpi[i, 1] = paid
    kpi[i, 2] = tables.contact_cost[action]
    kpi[i, 3] = 1.0 if action > 0 else 0.0
    kpi[i, 4] = 1.0 if bought else 0.0
    kpi[i, 5] = 1.0 if left else 0.0
    return float((reward - doubt) / terms.reference)


@njit
def restart(
    tables: ResponseTables, episodes: Episodes, state: SequencingState, i: int, episode: int
) -> None:
    """Put copy `i` at the start of an episode."""
    row = episodes.row[episode]
    channels = state.fatigue.shape[1]
    state.episode[i] = episode
    state.step[i] = 0
    state.recency[i] = tables.start[row, 0]
    state.frequency[i] = tables.start[row, 1]
    for c in range(channels):
        state.fatigue[i, c] = tables.start[row, 2 + c]
        state.consent[i, c] = tables.start[row, 2 + channels + c] != 0
        state.contacts[i, c] = np.uint64(tables.start_contacts[row, c])
    for delay in range(state.due.shape[1]):
        state.pending[i, delay] = 0
        state.due[i, delay] = 0.0


@njit
def look(tables: ResponseTables, terms: Terms, state: SequencingState, i: int, seen: Any) -> None:
    """Write row `i` of `seen [n, obs]`, all in [0, 1]; see the environment's page."""
    recencies, frequencies = tables.base.shape[1], tables.base.shape[2]
    for column in range(seen.shape[1]):
        seen[i, column] = 0.0
    seen[i, state.recency[i]] = 1.0
    at = recencies
    seen[i, at + state.frequency[i]] = 1.0
    at += frequencies
    for c in range(len(terms.bins)):
        seen[i, at + state.fatigue[i, c]] = 1.0
        at += terms.bins[c]
        seen[i, at] = 1.0 if state.consent[i, c] else 0.0
        seen[i, at + 1] = 1.0 if open_channel(terms, state, i, c) else 0.0
        # How long ago the last contact was matters to nothing but a cap that reaches back.
        if terms.cap_window[c]:
            since = 0
            while since < 8 and not (state.contacts[i, c] >> np.uint64(since)) & _ONE:
                since += 1
            seen[i, at + 2] = since / 8.0
        at += 3
    left = 1.0 - state.step[i] / terms.horizon
    seen[i, at] = 0.0 if terms.truncated else left
    waiting = 0
    for delay in range(state.pending.shape[1]):
        waiting += state.pending[i, delay]
    seen[i, at + 1] = min(1.0, waiting / 4.0)


@njit
def mask_all(tables: ResponseTables, terms: Terms, state: SequencingState, mask: Any) -> None:
    """Write `mask [n, A]`: which actions are allowed."""
    for i in range(len(state.step)):
        mask[i, 0] = True
        for action in range(1, len(tables.channel)):
            mask[i, action] = open_channel(terms, state, i, tables.channel[action])


@njit
def start_all(
    tables: ResponseTables, episodes: Episodes, state: SequencingState, episode: Any
) -> None:
    """Start every copy on its episode."""
    for i in range(len(episode)):
        restart(tables, episodes, state, i, episode[i])


@njit
def look_all(tables: ResponseTables, terms: Terms, state: SequencingState, seen: Any) -> None:
    """Write the observations of every copy, `[n, obs]`."""
    for i in range(len(state.step)):
        look(tables, terms, state, i, seen)


@njit
def advance_all(
    tables: ResponseTables, terms: Terms, episodes: Episodes, state: SequencingState, action: Any,
    reward: Any, kpi: Any,
) -> None:  # fmt: skip
    """One week of every copy under its `action [n]`."""
    for i in range(len(action)):
        reward[i] = advance(tables, terms, episodes, state, i, action[i], kpi)


@njit
def agent_step_all(
    tables: ResponseTables, terms: Terms, episodes: Episodes, state: SequencingState, action: Any,
    next_episode: Any, observation: Any, reward: Any, ended: Any, final_observation: Any, kpi: Any,
) -> None:  # fmt: skip
    """One week of every copy; those that ended begin their `next_episode [n]`."""
    for i in range(len(action)):
        reward[i] = advance(tables, terms, episodes, state, i, action[i], kpi)
        ended[i] = state.step[i] >= terms.horizon
        if ended[i]:
            look(tables, terms, state, i, final_observation)
            restart(tables, episodes, state, i, next_episode[i])
        look(tables, terms, state, i, observation)
