"""The ground-truth generator behind the built-in sample: 520 states (MODELLING 6.2).

    logit p_buy = -3.6 - .10 r + .40 f - .04 g
                  + u_a (1 - .05 f) (.4 + .6 exp(-((r - 4) / 3)^2)) exp(-.40 g)[e-mails only]

Weekly steps; r in 0..12, f in 0..3, g in 0..4 (e-mail), subscribed or not: 520 states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.sequencing.tables import Menu, ResponseTables, checked

CURRENCY = "EUR"
RECENCIES, FREQUENCIES, FATIGUES = 13, 4, 5
MENU = Menu(
    channels=("email", "letter"),
    contacts=(("email", ""), ("email", "coupon"), ("letter", "")),
)
FREQUENCY_SHARES = np.array([0.55, 0.25, 0.13, 0.07])


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The generator's numbers; tests plant errors by changing them."""

    base: float = -3.6
    recency: float = -0.10
    frequency: float = 0.40
    fatigue: float = -0.04
    # of email, email+coupon, letter
    uplift: tuple[float, float, float] = (0.55, 1.1, 1.0)
    uplift_frequency: float = -0.05
    dampening: float = 0.40  # kappa
    unsubscribe: float = 0.0015  # per e-mail, times exp(unsubscribe_fatigue g)
    unsubscribe_fatigue: float = 0.40
    rest: float = 0.8  # chance that fatigue falls by one without an e-mail
    frequency_up: float = 0.5
    frequency_down: float = 0.06
    margin: float = 25.0
    coupon: float = 5.0
    contact_cost: tuple[float, float, float] = (0.01, 0.01, 0.68)


PRESETS = {"default": Parameters()}


def true_tables(preset: str = "default") -> ResponseTables:
    """The preset's customers as tables, K = 1.

    Raises ValueError, naming the ones that exist, where there is no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}: choose one of {sorted(PRESETS)}")
    return tables_of(PRESETS[preset])


def uplift_shape(recency: np.ndarray) -> np.ndarray:
    """.4 + .6 exp(-((r - 4) / 3)^2): a reminder works best some weeks after a purchase."""
    return np.asarray(0.4 + 0.6 * np.exp(-(((recency - 4) / 3) ** 2)))


def tables_of(p: Parameters) -> ResponseTables:
    """The tables of one set of parameters."""
    r = np.arange(RECENCIES)[:, None]
    f = np.arange(FREQUENCIES)[None, :]
    g = np.arange(FATIGUES)
    channel = MENU.channel
    email = channel == 0
    strength = np.array([0.0, *p.uplift])
    shape = (1 + p.uplift_frequency * f) * uplift_shape(r)
    risk = np.minimum(p.unsubscribe * np.exp(p.unsubscribe_fatigue * g), 1.0)
    # Only e-mail tires; a letter's stock stays at 0.
    tires = np.array([[1.0], [0.0]])
    start_r, start_f = (grid.ravel() for grid in np.meshgrid(r, f, indexing="ij"))
    weight = FREQUENCY_SHARES[start_f] * np.exp(-0.05 * start_r)
    rested, consenting = np.zeros((len(start_r), 2)), np.ones((len(start_r), 2))
    return checked(ResponseTables(
        base=(p.base + p.recency * r + p.frequency * f)[None],
        drag=(tires * p.fatigue * g)[None],
        uplift=(strength[:, None, None] * shape)[None],
        dampening=np.exp(-tires * p.dampening * g)[None],
        unsubscribe=np.where(email[:, None], risk, 0.0)[None],
        fatigue_up=(tires * np.ones(FATIGUES))[None],
        fatigue_down=np.full((1, 2, FATIGUES), p.rest),
        frequency_up=np.full((1, FREQUENCIES), p.frequency_up),
        frequency_down=np.full((1, FREQUENCIES), p.frequency_down),
        margin=np.full((1, RECENCIES, FREQUENCIES), p.margin),
        basket_cv=np.zeros(1),
        maturity=np.ones((1, len(channel), 1)),
        contact_cost=np.array([0.0, *p.contact_cost]),
        offer_cost=np.array([0.0, 0.0, p.coupon, 0.0]),
        channel=channel,
        start=np.column_stack([start_r, start_f, rested, consenting]),
        start_contacts=np.zeros((len(start_r), 2), np.int64),
        start_weight=(weight / weight.sum())[None],
    ))  # fmt: skip
