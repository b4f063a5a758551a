"""The later part's decisions as the engine's evidence reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from envs.core.calibration_folder import CalibrationError
from envs.core.logged import LoggedDecisions
from envs.sequencing.kernel import SequencingState
from envs.sequencing.panel import FATIGUES, FREQUENCIES, RECENCIES, Panel
from envs.sequencing.paths import Customers, buy_probability, pattern_of, stock_of
from envs.sequencing.tables import ResponseTables
from envs.sequencing.world import SequencingWorld, blank

Ints = NDArray[np.int64]

RECENCY_BANDS = (4, 7, 10)
"""Where weeks since the last purchase are cut: few bands, so that each holds enough rows."""


class HeldOut(NamedTuple):
    """Customer-weeks of the later part, sorted by customer and week; see `Panel` for the units."""

    customer: Ints  # [n]
    week: Ints  # [n]
    recency: Ints  # [n]
    frequency: Ints  # [n]
    fatigue: Ints  # [n, C]
    consent: NDArray[np.bool_]  # [n, C]
    recent: Ints  # [n, C]
    action: Ints  # [n]
    propensity: NDArray[np.float64]  # [n] logged, or estimated
    purchase: NDArray[np.bool_]  # [n]
    value: NDArray[np.float64]  # [n]
    offer_paid: NDArray[np.float64]  # [n]


def held_out(panel: Panel, propensity: NDArray[np.float64]) -> HeldOut:
    """The rows of `panel`; contacts that are not on the menu keep their action of -1."""
    columns = panel._asdict() | {"propensity": propensity}
    return HeldOut(**{name: columns[name] for name in HeldOut._fields})


def held_out_from(arrays: Mapping[str, NDArray[Any]]) -> HeldOut:
    """The rows that `arrays_of_rows` made small.

    Raises:
        CalibrationError: an array is missing.
    """
    missing = [name for name in HeldOut._fields if name not in arrays]
    if missing:
        raise CalibrationError(f"the held-out decisions lack {', '.join(missing)}: calibrate again")
    wide: dict[str, Any] = {
        name: rows.astype(np.int64) if rows.dtype.kind == "i" else rows
        for name, rows in arrays.items()
    }
    return HeldOut(**{name: wide[name] for name in HeldOut._fields})


def arrays_of_rows(rows: HeldOut) -> dict[str, NDArray[Any]]:
    """Everything by name, whole numbers in as few bytes as hold them."""
    return {name: _small(column) for name, column in rows._asdict().items()}


def _small(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind != "i" or not column.size:
        return column
    return column.astype(np.result_type(np.min_scalar_type(column.min()),
                                        np.min_scalar_type(-1 - column.max())))  # fmt: skip


def state_counts(panel: Panel, actions: int) -> NDArray[np.int64]:
    """How often each action was taken in each state, `[R, F, G, S, A]`; what is unknown is not."""
    shape = (RECENCIES, FREQUENCIES, FATIGUES, 1 << panel.consent.shape[1], actions)
    known = panel.action >= 0
    place = (panel.recency, panel.frequency, panel.stock, panel.pattern, panel.action)
    index = np.ravel_multi_index(tuple(column[known] for column in place), shape)
    return np.bincount(index, minlength=int(np.prod(shape))).reshape(shape)


def logged_decisions(
    rows: HeldOut,
    seen: NDArray[np.int64],
    tables: ResponseTables,
    world: SequencingWorld,
    propensities: str,
) -> LoggedDecisions:
    """The rows whose action is on the menu, as `world`'s policies would have seen them.

    `tables` are those of the training simulator, `seen [R, F, G, S, A]` the rows behind them. A
    week's reward is the margin of its purchases less the contact and the offers redeemed. Purchases
    still to be paid are not known of a logged week and count as none.
    """
    kept = rows.action >= 0
    rows = HeldOut(*cast(Any, (column[kept] for column in rows)))
    at = Customers(rows.recency, rows.frequency, rows.fatigue, rows.consent)
    state = _state_of(rows, world)
    band = np.searchsorted(RECENCY_BANDS, rows.recency, side="right")
    bands = len(RECENCY_BANDS) + 1
    cells = seen.reshape(-1, seen.shape[-1])
    return LoggedDecisions(
        observation=world.observe(state),
        mask=world.action_mask(state),
        action=rows.action,
        propensity=rows.propensity,
        propensities=cast(Literal["logged", "estimated"], propensities),
        reward=rows.value - rows.offer_paid - tables.contact_cost[rows.action],
        event=rows.purchase.astype(np.float64),
        weight=np.ones(len(rows.action)),
        unit=rows.customer,
        sequence=rows.customer,
        step=_places(rows.customer),
        terminal=False,
        cell=_cell(rows.recency, rows.frequency, rows.fatigue, rows.consent),
        cell_of=cell_reader(world),
        seen=cells.astype(np.float64),
        group=rows.action * bands + band,
        groups=tuple(f"{label}, {name}" for label in world.menu.labels for name in _band_names()),
        foretold=np.stack(
            [buy_probability(tables, k, at, rows.action) for k in range(tables.members)]
        ),
        expected=None,
        actions=world.menu.labels,
        discount=world.settings.discount,
    )


def cell_reader(world: SequencingWorld) -> Callable[[NDArray[np.float32]], Ints]:
    """What reads recency x frequency x fatigue x consent from observations of `world`."""
    recencies, frequencies = world.tables.shape[:2]
    bins = world.terms.bins

    def cell_of(observation: NDArray[np.float32]) -> Ints:
        recency = observation[:, :recencies].argmax(axis=1)
        at = recencies + frequencies
        frequency = observation[:, recencies:at].argmax(axis=1)
        fatigue, consent = [], []
        for size in bins:
            fatigue.append(observation[:, at : at + size].argmax(axis=1))
            consent.append(observation[:, at + size] > 0.5)
            at += size + 3
        return _cell(recency, frequency, np.stack(fatigue, 1), np.stack(consent, 1))

    return cell_of


def _cell(recency: Ints, frequency: Ints, fatigue: Ints, consent: NDArray[np.bool_]) -> Ints:
    shape = (RECENCIES, FREQUENCIES, FATIGUES, 1 << consent.shape[1])
    place = (recency, frequency, stock_of(fatigue, FATIGUES), pattern_of(consent))
    return np.asarray(np.ravel_multi_index(place, shape), np.int64)


def _state_of(rows: HeldOut, world: SequencingWorld) -> SequencingState:
    """A copy of `world` for every row, in the week of the programme that the log was in."""
    state = blank(len(rows.action), world.tables)
    state.step[:] = rows.week % world.horizon
    state.recency[:] = rows.recency
    state.frequency[:] = rows.frequency
    state.fatigue[:] = np.minimum(rows.fatigue, world.terms.bins - 1)
    state.consent[:] = rows.consent
    state.contacts[:] = rows.recent
    return state


def _places(customer: Ints) -> Ints:
    """0, 1, 2 .. within every customer's rows."""
    first = np.flatnonzero(np.diff(customer, prepend=-1))
    return np.arange(len(customer)) - np.repeat(first, np.diff([*first, len(customer)]))


def _band_names() -> list[str]:
    edges = (0, *RECENCY_BANDS)
    closed = [f"{low} to {high - 1} weeks" for low, high in pairwise(edges)]
    return [*closed, f"{edges[-1]} weeks or more"]
