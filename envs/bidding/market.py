"""A market fitted to a part of a log: an ensemble of K members that imputes and draws days.

A member is one draw of the Bayesian bootstrap over days (Rubin 1981: day weights from a flat
Dirichlet law, so that no day is ever left out entirely, which matters when there are few). It has
its own price law, its own imputation of every lost price and its own law of price levels and
volumes (MODELLING 2.4, 5.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding.auctions import Auctions
from envs.bidding.days import SLOTS_PER_DAY, Days, build_days, join_days
from envs.bidding.landscape import Evidence, PriceLaw
from envs.bidding.level import (
    LevelModel,
    Levels,
    fit_level_model,
    read_levels,
    smoothed_levels,
)
from envs.bidding.prices import PriceScale, price_scale
from envs.bidding.response import Recalibration

MEMBERS = 5  # K of MODELLING 5.1
_ROUNDS = 4  # law and levels in turn; the fourth moves the levels by less than .01
_BLOCK = 8  # slots that are drawn from one history day together: traffic swings last hours

Floats = NDArray[np.float64]


class Member(NamedTuple):
    """One draw of the bootstrap over the `D` days of the part."""

    day_share: Floats  # [D] how much each day counts; sums to 1
    law: PriceLaw
    level_model: LevelModel
    # The two competitors of landscape.py for every row, imputed where the log does not show them.
    centred: NDArray[np.float32]  # [n] log price - level of the moving one, infinite if unknown
    sticky: NDArray[np.int8]  # [n] index of the sticky one, J where there is none


class Money(NamedTuple):
    """What turns the log's units into currency."""

    per_price_unit: float  # currency per CPM price unit
    per_click: float
    bid_cap_cpm: float


@dataclass(frozen=True)
class FittedMarket:
    """The auctions of some days and K members that say what their lost prices may have been."""

    auctions: Auctions
    scale: PriceScale
    recalibration: Recalibration  # what bids are made on: known before the part began
    valuation: Recalibration  # what impressions were worth in the part
    level: Floats  # [D, 48] smoothed log price levels
    members: tuple[Member, ...]

    @property
    def unknown_share(self) -> float:
        """The share of auctions whose price lies above what any bid of the log could show."""
        shares = [
            np.isinf(self.scale.written(member.centred, member.sticky)).mean()
            for member in self.members
        ]
        return float(np.mean(shares))

    @cached_property
    def law(self) -> PriceLaw:
        """The members' mean price law."""
        laws = [member.law for member in self.members]
        return replace(
            laws[0],
            moving=np.mean([law.moving for law in laws], axis=0),
            sticky=np.mean([law.sticky for law in laws], axis=0),
        )

    def stratum(self, auctions: Auctions) -> NDArray[np.int64]:
        """Which price law applies to each row, `[n]`."""
        return self.law.stratum(auctions)

    def above(self, stratum: NDArray[np.int64], log_price: Floats, level: Floats) -> Floats:
        """P(price > exp(log_price)) in slots of that level, by the members' mean."""
        return self.law.above(stratum, log_price, level)

    def telling(self, price_cpm: NDArray[np.floating]) -> Floats:
        """How much a win at each price tells of the level, `[n]`."""
        return self.law.telling(price_cpm)

    def probability(self, auctions: Auctions) -> NDArray[np.float32]:
        """Recalibrated click probabilities, `[n]`."""
        return self.recalibration(auctions.probability)

    def draw_in_log_units(self, count: int, rng: Generator) -> Days:
        """Simulated days with prices in CPM and click probabilities as values."""
        return self.draw_days(count, Money(1000.0, 1.0, np.inf), rng)

    def own_days(self, money: Money) -> Days:
        """The part's own days, lost prices imputed; day d by member d modulo K."""
        auctions = self.auctions
        level = self.level.ravel()[auctions.cell]
        price = np.empty(auctions.rows, np.float32)
        for number, member in enumerate(self.members):
            rows = auctions.day % len(self.members) == number
            price[rows] = self.scale.written(
                member.centred[rows] + level[rows], member.sticky[rows]
            )
        price[auctions.won] = auctions.price_cpm[auctions.won]
        return _laid_out(
            auctions.day,
            auctions.slot,
            self.recalibration(auctions.probability),
            self.valuation(auctions.probability),
            price,
            auctions.click.astype(np.uint8),
            weekday=auctions.weekday,
            member=np.arange(auctions.days) % len(self.members),
            weight=auctions.weight,
            money=money,
        )

    def draw_days(self, count: int, money: Money, rng: Generator) -> Days:
        """`count` simulated days, members taking turns."""
        turns = np.bincount(np.arange(count) % len(self.members), minlength=len(self.members))
        parts = [
            self.draw_member(number, int(turn), money, rng)
            for number, turn in enumerate(turns)
            if turn
        ]
        return join_days(parts)

    def draw_member(self, number: int, count: int, money: Money, rng: Generator) -> Days:
        """`count` simulated days of one member."""
        member, auctions = self.members[number], self.auctions
        volume = auctions.volume
        lead = rng.choice(auctions.days, count, p=member.day_share)
        source = self._sources(member, lead, rng)  # [count, 48] the history day of every slot
        slot = np.arange(SLOTS_PER_DAY)
        share = (volume / volume.sum(axis=1, keepdims=True))[source, slot]
        share /= share.sum(axis=1, keepdims=True)
        total = np.log(volume.sum(axis=1))
        mean = member.day_share @ total
        # Divided as the weighted counterpart of D - 1.
        variance = (
            member.day_share @ (total - mean) ** 2 / (1 - member.day_share @ member.day_share)
        )
        day_volume = np.exp(rng.normal(mean, np.sqrt(variance), count))
        rows = rng.poisson(day_volume[:, None] * share)  # [count, 48]

        cell_of_slot = np.repeat((source * SLOTS_PER_DAY + slot).ravel(), rows.ravel())
        boundary = np.searchsorted(auctions.cell, np.arange(auctions.cells + 1))
        length = np.diff(boundary)
        position = (rng.random(len(cell_of_slot)) * length[cell_of_slot]).astype(np.int64)
        chosen = boundary[cell_of_slot] + position

        level = member.level_model.draw(count, rng)
        simulated = np.repeat(np.arange(count * SLOTS_PER_DAY), rows.ravel())
        log_price = member.centred[chosen] + level.ravel()[simulated].astype(np.float32)
        probability = auctions.probability[chosen]
        worth = self.valuation(probability)
        return _laid_out(
            simulated // SLOTS_PER_DAY,
            simulated % SLOTS_PER_DAY,
            self.recalibration(probability),
            worth,
            self.scale.written(log_price, member.sticky[chosen]),
            (rng.random(len(chosen)) < worth).astype(np.uint8),
            weekday=auctions.weekday[lead],
            member=np.full(count, number),
            weight=auctions.weight,
            money=money,
        )

    def _sources(
        self, member: Member, lead: NDArray[np.int64], rng: Generator
    ) -> NDArray[np.int64]:
        """The history day behind every slot: whole blocks from days of the lead's kind."""
        weekend = self.auctions.weekday >= 5
        blocks = -(-SLOTS_PER_DAY // _BLOCK)
        source = np.empty((len(lead), blocks), np.int64)
        for kind in (False, True):
            simulated = weekend[lead] == kind
            if simulated.any():
                share = np.where(weekend == kind, member.day_share, 0.0)
                size = (int(simulated.sum()), blocks)
                source[simulated] = rng.choice(len(share), size, p=share / share.sum())
        return source.repeat(_BLOCK, axis=1)[:, :SLOTS_PER_DAY]


def _laid_out(
    day: NDArray[np.integer],
    slot: NDArray[np.integer],
    probability: NDArray[np.float32],
    worth: NDArray[np.float32],
    price_cpm: NDArray[np.float32],
    click: NDArray[np.uint8],
    *,
    weekday: NDArray[np.integer],
    member: NDArray[np.integer],
    weight: float,
    money: Money,
) -> Days:
    per_click = np.float32(money.per_click)
    return build_days(
        day=day,
        slot=slot,
        signal=probability * per_click,
        value=worth * per_click,
        price=price_cpm * np.float32(money.per_price_unit / 1000),
        click=click,
        bid_cap=money.bid_cap_cpm * money.per_price_unit / 1000,
        weekday=weekday,
        member=member,
        weight=weight,
    )


def fit_market(
    auctions: Auctions, recalibration: Recalibration, valuation: Recalibration, rng: Generator
) -> FittedMarket:
    """Fit price law and slot levels in turn, then the members by a bootstrap over days."""
    scale = price_scale(auctions)
    evidence = Evidence.of(auctions, scale, rng)
    every_day = np.ones(auctions.days)
    level = np.zeros((auctions.days, SLOTS_PER_DAY))
    for _ in range(_ROUNDS):
        law = evidence.price_law(level, every_day)
        levels = read_levels(law, evidence.stratum, auctions, scale)
        centre = np.average(levels.mean, weights=1 / levels.variance)
        levels = levels._replace(mean=levels.mean - centre)
        level = smoothed_levels(levels, fit_level_model(levels, every_day))
    members = tuple(_member(evidence, levels, level, rng) for _ in range(MEMBERS))
    return FittedMarket(auctions, scale, recalibration, valuation, level, members)


def _member(evidence: Evidence, levels: Levels, level: Floats, rng: Generator) -> Member:
    auctions = evidence.auctions
    day_share = rng.dirichlet(np.ones(auctions.days))
    day_weight = day_share * auctions.days
    law = evidence.price_law(level, day_weight)
    centred = evidence.log_price - level.ravel()[auctions.cell]
    hidden = ~evidence.moved
    centred[hidden] = law.impute_moving(evidence.stratum[hidden], centred[hidden], rng)
    sticky = evidence.sticky.copy()
    open_ = sticky < 0
    sticky[open_] = law.impute_sticky(evidence.stratum[open_], evidence.log_price[open_], rng)
    return Member(
        day_share=day_share,
        law=law,
        level_model=fit_level_model(levels, day_weight),
        centred=centred.astype(np.float32),
        sticky=sticky,
    )
