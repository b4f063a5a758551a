"""The customer world: pure batched dynamics over customers drawn once (MODELLING 3.2).

An episode is one customer's programme: whose tables (a member of the ensemble), which start, which
luck. Consent, caps, quiet weeks and capacity are masks; what is not allowed becomes no contact,
whoever asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import gymnasium
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.moments import Moments
from envs.core.world import Array, Outcome, StepBuffers
from envs.sequencing import kernel
from envs.sequencing.capacity import one_step_gain, within_capacity
from envs.sequencing.dynamic_program import Program, fatigue_bins, program
from envs.sequencing.kernel import KPI_NAMES, Episodes, SequencingState, Terms
from envs.sequencing.oracle import backward_induction, uncontacted
from envs.sequencing.scenario import SequencingScenario, changed_settings, changed_tables
from envs.sequencing.settings import WEEKS_OF_A_YEAR, SequencingSettings
from envs.sequencing.tables import Menu, ResponseTables
from envs.sequencing.terminal import DAYS_A_WEEK, terminal_grid, terminal_worth

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY_WEEK = 63  # a cap longer than the memory of contacts counts all that is remembered


def plan_terms(menu: Menu, tables: ResponseTables, settings: SequencingSettings) -> Terms:
    """The settings as the kernel reads them, with the worth of every state at the end.

    Raises ValueError where a setting names a channel that is not on the menu.
    """
    settings.require_channels(menu.channels)
    channels = len(menu.channels)
    window, count = np.zeros(channels, np.uint64), np.ones(channels, np.int64)
    for c, name in enumerate(menu.channels):
        if name in settings.caps:
            contacts, days = settings.caps[name]
            # Two contacts n weeks apart share a window of `days` where 7 n < days.
            shared = min(-(-days // DAYS_A_WEEK) - 1, EVERY_WEEK)
            window[c], count[c] = np.uint64((1 << shared) - 1), contacts
    quiet = np.zeros(WEEKS_OF_A_YEAR, np.bool_)
    quiet[list(settings.quiet_weeks)] = True
    bins = fatigue_bins(tables)
    price = full_price(menu, tables, settings)
    return Terms(
        horizon=settings.horizon_weeks,
        discount=settings.discount,
        truncated=settings.end == "truncated",
        expected=settings.pay == "expected",
        unsubscribe_cost=settings.unsubscribe_cost,
        reference=year_uncontacted(tables, settings.discount),
        price=price,
        cap_window=window,
        cap_count=count,
        closed=np.array([name in settings.closed_channels for name in menu.channels], np.bool_),
        quiet=quiet,
        first_week=settings.first_week,
        bins=bins,
        terminal=terminal_worth(menu, tables, settings, price),
        pessimism=settings.pessimism,
    )


def year_uncontacted(tables: ResponseTables, discount: float) -> float:
    """What an average customer is worth in 52 weeks without contacts, mean over members; currency.

    Raises ValueError where that is nothing: then no value has a scale.
    """
    start = tuple(tables.start[:, : 2 + tables.shape[3]].T)
    worth = [
        weight @ uncontacted(program(tables, k, discount, tables.contact_cost), 52)[start]
        for k, weight in enumerate(tables.start_weight)
    ]
    if not np.mean(worth) > 0:
        raise ValueError(
            f"an average customer left alone earns {np.mean(worth):g} in a year: check that the "
            "value of purchases is their margin and that customers buy without being contacted"
        )
    return float(np.mean(worth))


def full_price(
    menu: Menu, tables: ResponseTables, settings: SequencingSettings
) -> NDArray[np.float64]:
    """What each action costs, the price of its channel's shared budget included: `[A]` currency."""
    shared = [0.0, *(settings.channel_prices.get(channel, 0.0) for channel, _ in menu.contacts)]
    return np.asarray(tables.contact_cost + np.array(shared))


def draw_episodes(tables: ResponseTables, n: int, rng: Generator) -> Episodes:
    """`n` customers: members in turn, starts by their weight, luck of their own."""
    member = rng.permutation(np.arange(n) % tables.members)
    row = np.empty(n, np.int64)
    for k in range(tables.members):
        mine = member == k
        # Evenly spaced quantiles: the starts are as the weights say, up to rounding.
        places = (np.arange(mine.sum()) + rng.random()) / max(mine.sum(), 1)
        ordered = np.searchsorted(np.cumsum(tables.start_weight[k]), places, side="right")
        row[mine] = rng.permutation(np.minimum(ordered, len(tables.start) - 1))
    seed = rng.integers(0, 2**64, n, np.uint64, endpoint=False)
    return Episodes(member.astype(np.int64), row, seed)


@dataclass(frozen=True)
class SequencingWorld:
    """Customers to be contacted and the terms of the programme; a frozen value."""

    menu: Menu
    tables: ResponseTables = field(repr=False)
    customers: Episodes = field(repr=False)
    settings: SequencingSettings
    terms: Terms = field(repr=False)

    kpi_names = KPI_NAMES

    @classmethod
    def drawn(
        cls,
        menu: Menu,
        tables: ResponseTables,
        episodes: int,
        settings: SequencingSettings,
        rng: Generator,
    ) -> SequencingWorld:
        """A world of `episodes` customers drawn from the tables."""
        customers = draw_episodes(tables, episodes, rng)
        return cls(menu, tables, customers, settings, plan_terms(menu, tables, settings))

    @property
    def horizon(self) -> int:
        """The weeks of a programme."""
        return self.settings.horizon_weeks

    @property
    def episodes(self) -> int:
        """The number of customers."""
        return len(self.customers.member)

    @property
    def observation_space(self) -> gymnasium.spaces.Box:
        """Indicators and shares in [0, 1]; the environment's page names them."""
        recencies, frequencies = self.tables.shape[:2]
        size = recencies + frequencies + int(self.terms.bins.sum()) + 3 * len(self.terms.bins) + 2
        return gymnasium.spaces.Box(0.0, 1.0, (size,), np.float32)

    @property
    def action_space(self) -> gymnasium.spaces.Discrete:
        """No contact, or one of the menu's."""
        return gymnasium.spaces.Discrete(len(self.menu.contacts) + 1)

    def initial(self, n: int, rng: Generator) -> SequencingState:
        """Start `n` customers, without repetition as far as they last."""
        rounds = -(-n // self.episodes)
        episode = np.concatenate([rng.permutation(self.episodes) for _ in range(rounds)])[:n]
        return self.starting(episode)

    def starting(self, episode: Sequence[int] | Array) -> SequencingState:
        """The given customers, one a copy, at their start."""
        state = blank(len(episode), self.tables)
        kernel.start_all(self.tables, self.customers, state, np.asarray(episode, np.int64))
        return state

    def observe(self, state: SequencingState) -> Array:
        """The observations of every copy, `[n, obs]` float32."""
        shape = self.observation_space.shape
        assert shape is not None
        observation = np.empty((len(state.step), *shape), np.float32)
        kernel.look_all(self.tables, self.terms, state, observation)
        return observation

    def moments(self, state: SequencingState) -> Moments:
        """The week of the year; on which of its days a contact goes out is not simulated."""
        return Moments(week=(self.terms.first_week + state.step) % WEEKS_OF_A_YEAR)

    def action_mask(self, state: SequencingState) -> Array:
        """Which actions consent, caps, quiet weeks and capacity allow: `[n, A]` bool."""
        mask = np.empty((len(state.step), len(self.tables.channel)), np.bool_)
        kernel.mask_all(self.tables, self.terms, state, mask)
        return mask

    def control(self, state: SequencingState, action: Array) -> Array:
        """The action itself, `[n]`: contacts have no other unit."""
        return np.asarray(action, np.int64).reshape(len(state.step))

    def step(
        self, state: SequencingState, control: Array, rng: Generator
    ) -> Outcome[SequencingState]:
        """One week under `control [n]`; nothing is drawn from `rng`, luck is the customer's.

        The copies are one list of customers in the same week: of a channel with a shared budget
        they get no more contacts than it has, those with the largest gain of the week first. One
        customer alone is no list, and is never cut.
        """
        after = SequencingState._make(column.copy() for column in state)
        n = len(after.step)
        reward, kpi = np.empty(n), np.empty((n, len(KPI_NAMES)))
        kernel.advance_all(
            self.tables, self.terms, self.customers, after,
            self._within_budgets(state, np.asarray(control, np.int64)), reward, kpi,
        )  # fmt: skip
        over = after.step >= self.horizon
        return Outcome(
            state=after,
            reward=reward,
            terminated=over & (not self.terms.truncated),
            truncated=over & self.terms.truncated,
            kpis={name: kpi[:, column] for column, name in enumerate(KPI_NAMES)},
        )

    def _within_budgets(
        self, state: SequencingState, control: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """`control [n]` without the contacts for which a channel's budget has no room."""
        # A budget is a share of many customers: rounded down to one, it would shut its channel.
        if not self.settings.channel_budgets or len(control) == 1:
            return control
        n, rows = len(control), np.arange(len(control))
        capacity = np.full(len(self.menu.channels), n)
        for channel, budget in self.settings.channel_budgets.items():
            capacity[self.menu.channels.index(channel)] = int(budget * n + 1e-9)
        wanted = np.where(self.action_mask(state)[rows, control], control, 0)
        gain = one_step_gain(self.tables, state)
        advantage = np.full(gain.shape, -np.inf)
        # Above none whatever the week's gain: what is wanted is the policy's to say.
        advantage[rows, wanted] = (gain - gain.min() + 1.0)[rows, wanted]
        return within_capacity(advantage, self.tables.channel, capacity)

    def step_into(
        self, state: SequencingState, action: Array, rng: Generator, out: StepBuffers
    ) -> None:
        """Compiled agent step in place; copies whose programme ended begin another customer's.

        No budget is cut: the copies are in different weeks, so that they are no list.
        """
        n = len(state.step)
        ended = out.truncated if self.terms.truncated else out.terminated
        other = out.terminated if self.terms.truncated else out.truncated
        other[:] = False
        # Drawn in every step: the stream then does not depend on who ended.
        following = rng.integers(0, self.episodes, n)
        kernel.agent_step_all(
            self.tables, self.terms, self.customers, state, np.asarray(action, np.int64),
            following, out.observation, out.reward, ended, out.final_observation, out.kpi,
        )  # fmt: skip

    def program(self, k: int) -> Program:
        """The decision problem of member `k`, caps relaxed."""
        return program(
            self.tables, k, self.settings.discount, self.terms.price, self.settings.unsubscribe_cost
        )

    def ceiling(self, state: SequencingState) -> NDArray[np.float64]:
        """The optimal policy's expected `value` from each copy's start, `[n]` currency.

        Exact by backward induction to the terminal value; with caps an upper bound, since it
        relaxes them. The optimum may know its member, which a policy must not.
        """
        weeks = (self.terms.first_week + np.arange(self.horizon)) % WEEKS_OF_A_YEAR
        allowed = np.ones((self.horizon, len(self.tables.channel)), np.bool_)
        shut = (self.tables.channel >= 0) & (
            self.terms.quiet[weeks][:, None] | self.terms.closed[self.tables.channel]
        )
        allowed[shut] = False
        member = self.customers.member[state.episode]
        ceiling = np.empty(len(member))
        for k in np.unique(member):
            model = self.program(int(k))
            value = backward_induction(
                model, terminal_grid(self.terms.terminal, model, int(k)), allowed
            )
            mine = member == k
            ceiling[mine] = value[model.index(state)][mine]
        return ceiling

    def under(self, scenario: SequencingScenario) -> SequencingWorld:
        """The same customers and luck with the scenario's prices and responses."""
        tables = changed_tables(self.tables, scenario)
        settings = changed_settings(self.settings, scenario, self.menu.channels)
        terms = plan_terms(self.menu, tables, settings)
        terms = terms._replace(reference=self.terms.reference)  # a reward stays what it was worth
        return replace(self, tables=tables, settings=settings, terms=terms)


def blank(n: int, tables: ResponseTables) -> SequencingState:
    """`n` copies with nothing in them."""
    channels, delays = tables.shape[3], tables.maturity.shape[-1]
    return SequencingState(
        episode=np.zeros(n, np.int64),
        step=np.zeros(n, np.int64),
        recency=np.zeros(n, np.int64),
        frequency=np.zeros(n, np.int64),
        fatigue=np.zeros((n, channels), np.int64),
        consent=np.zeros((n, channels), np.bool_),
        contacts=np.zeros((n, channels), np.uint64),
        pending=np.zeros((n, delays), np.int64),
        due=np.zeros((n, delays)),
    )
