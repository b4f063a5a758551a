"""From an auction log to a calibrated bidding market with its fidelity report.

The log's UTC days are split by time. A market is fitted to the earlier two thirds (it trains and
tunes) and another to the later third (it judges). The fidelity report says how well the first one
foretells the later days, which it has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.random import Generator

from envs.bidding.auctions import Auctions, gather, split_day
from envs.bidding.calibration_files import FORM, arrays_of, market_of
from envs.bidding.days import Days, take_days
from envs.bidding.fidelity import judge_simulator
from envs.bidding.market import FittedMarket, Money, fit_market
from envs.bidding.response import fitted_probability, recalibrate
from envs.bidding.world import BiddingSettings, BiddingWorld
from envs.core.calibration_folder import CalibrationError, read_calibration, write_calibration
from envs.core.fidelity import FidelityReport
from envs.core.log import LogTable

HISTORY_DAYS = 28
"""What a campaign plans with: the last four weeks, each weekday four times."""

LEAST_VALUED_EVENTS = 50
"""With fewer conversions the mean value of a click is known to worse than about 14 %."""

LEAST_WINS = 200
"""With fewer wins in a part even its mean price is known to worse than about 5 %."""

_OWN_BID_SHARE = 0.99
_DEFAULT_CLICK_VALUE = BiddingSettings().click_value


@dataclass(frozen=True, kw_only=True)
class BiddingCalibration:
    """Markets fitted to the earlier and the later part of a log, and the report that judges.

    `logging_multiplier` (currency bid per currency of value) and `logging_noise_sd` (of its log)
    describe the log's own policy as LIN; None where the log does not show its bids.
    """

    earlier: FittedMarket
    later: FittedMarket
    fidelity: FidelityReport
    data_sha256: str
    notes: tuple[str, ...]
    logging_multiplier: float | None
    logging_noise_sd: float | None

    @property
    def judged_from(self) -> date:
        """The first day of the later part."""
        first: date = self.later.auctions.dates[0].astype("datetime64[D]").item()
        return first

    def training_world(
        self, episodes: int, settings: BiddingSettings, rng: Generator
    ) -> BiddingWorld:
        """`episodes` days simulated by the members of the earlier market, in turn."""
        days = self.earlier.draw_days(episodes, _money(settings), rng)
        return BiddingWorld.planned(days, self._history(settings), settings)

    def judging_world(
        self, episodes: int, settings: BiddingSettings, rng: Generator
    ) -> BiddingWorld:
        """`episodes` days simulated by the later market; the plan is the earlier part's."""
        days = self.later.draw_days(episodes, _money(settings), rng)
        return BiddingWorld.planned(days, self._history(settings), settings)

    def history_world(self, settings: BiddingSettings) -> BiddingWorld:
        """The earlier part's own last days, lost prices imputed."""
        history = self._history(settings)
        return BiddingWorld.planned(history, history, settings)

    def heldout_world(self, settings: BiddingSettings) -> BiddingWorld:
        """The later part's own days, lost prices imputed; the plan is the earlier part's."""
        days = self.later.own_days(_money(settings))
        return BiddingWorld.planned(days, self._history(settings), settings)

    def heldout_decisions(self, settings: BiddingSettings) -> None:
        """None: the later part is replayed whole, every bid with its outcome."""

    def member_worlds(
        self, episodes: int, settings: BiddingSettings, rng: Generator
    ) -> tuple[BiddingWorld, ...]:
        """`episodes` days simulated by each member of the earlier market, one world a member."""
        history, money = self._history(settings), _money(settings)
        return tuple(
            BiddingWorld.planned(
                self.earlier.draw_member(k, episodes, money, rng), history, settings
            )
            for k in range(len(self.earlier.members))
        )

    def _history(self, settings: BiddingSettings) -> Days:
        days = self.earlier.own_days(_money(settings))
        return take_days(days, np.arange(max(0, days.count - HISTORY_DAYS), days.count))

    def save(self, folder: Path) -> None:
        """Write the markets and `calibration.json` to `folder`, replacing it as a whole.

        Raises:
            CalibrationError: the folder holds something else than a calibration.
        """
        record = {
            "data_sha256": self.data_sha256,
            "notes": list(self.notes),
            "logging_multiplier": self.logging_multiplier,
            "logging_noise_sd": self.logging_noise_sd,
            "fidelity": self.fidelity.as_dict(),
        }
        parts = {"earlier": arrays_of(self.earlier), "later": arrays_of(self.later)}
        write_calibration(folder, FORM, parts, record)

    @classmethod
    def load(cls, folder: Path) -> BiddingCalibration:
        """The calibration that `save` wrote.

        Raises:
            CalibrationError: the folder is not a calibration.
            DamagedFile: a file is missing or not what was written.
        """
        parts, record = read_calibration(folder, FORM)
        return cls(
            earlier=market_of(parts["earlier"]),
            later=market_of(parts["later"]),
            fidelity=FidelityReport.from_dict(record["fidelity"]),
            data_sha256=record["data_sha256"],
            notes=tuple(record["notes"]),
            logging_multiplier=record["logging_multiplier"],
            logging_noise_sd=record["logging_noise_sd"],
        )


def fit(
    log: LogTable, settings: BiddingSettings, rng: Generator, *, held_out_days: int | None = None
) -> BiddingCalibration:
    """Calibrate a bidding market to a log and check it on days that it has not seen.

    `held_out_days` is the length of the later part, by default a third of the log's UTC days.

    Raises:
        CalibrationError: the log cannot be calibrated; the message says what it needs.
    """
    gathered = gather(log, rng)
    auctions = gathered.auctions
    split = split_day(log.days(), held_out_days)
    notes = [*log.notes]
    if "pctr" not in log.names:
        probability = fitted_probability(auctions, gathered.columns, split, rng)
        auctions = auctions._replace(probability=probability)
        notes.append("no pctr in the log: the click probability is fitted to its earlier part")
    earlier, later = auctions.between(0, split), auctions.between(split, auctions.days)
    _refuse_unfit(earlier, later)

    recalibration = recalibrate(*_responses(earlier, first_day=split - max(1, round(split / 3))))
    valuation = recalibrate(*_responses(later, first_day=0))
    market = fit_market(earlier, recalibration, recalibration, rng)
    judge = fit_market(later, recalibration, valuation, rng)
    multiplier, noise_sd = _logging_policy(earlier, market, settings)
    return BiddingCalibration(
        earlier=market,
        later=judge,
        fidelity=judge_simulator(market, later, rng),
        data_sha256=log.sha256,
        notes=(*notes, *_remarks(auctions, market, multiplier), *_money_remarks(settings)),
        logging_multiplier=multiplier,
        logging_noise_sd=noise_sd,
    )


def settle(log: LogTable, settings: BiddingSettings) -> BiddingSettings:
    """Settings with the value of a click as the log tells it: sum(value) / sum(click).

    Left alone where the settings already say one, and where the log has no values or fewer than
    `LEAST_VALUED_EVENTS` of them.
    """
    if settings.click_value != _DEFAULT_CLICK_VALUE or "value" not in log.names:
        return settings
    value, valued, clicks = 0.0, 0, 0
    for batch in log.batches(["value", "click"]):
        amount = np.nan_to_num(batch["value"])
        value += float(amount.sum())
        valued += int((amount > 0).sum())
        clicks += int(batch["click"].sum())
    if valued < LEAST_VALUED_EVENTS or clicks == 0:
        return settings
    return replace(settings, click_value=value / clicks)


def _money(settings: BiddingSettings) -> Money:
    return Money(settings.currency_per_price_unit, settings.click_value, settings.bid_cap_cpm)


def _responses(
    auctions: Auctions, *, first_day: int
) -> tuple[np.typing.NDArray[np.float32], np.typing.NDArray[np.bool_]]:
    """Click probability and click of the rows won from `first_day` on."""
    rows = auctions.won & (auctions.day >= first_day)
    return auctions.probability[rows], auctions.click[rows]


def _refuse_unfit(earlier: Auctions, later: Auctions) -> None:
    problems = [
        f"the {name} part has {int(part.won.sum())} won auctions in {part.days} days: at least "
        f"{LEAST_WINS} are needed to see prices. Use a longer log or bid higher"
        for name, part in (("earlier", earlier), ("later", later))
        if part.won.sum() < LEAST_WINS
    ]
    won = earlier.won
    own_bid = earlier.price_cpm[won] == earlier.bid_cpm[won]
    if won.any() and own_bid.mean() >= _OWN_BID_SHARE:
        problems.append(
            f"price_cpm equals bid_cpm in {100 * own_bid.mean():.0f} % of wins, as a first-price "
            "auction charges it: such prices say nothing of what others bid. Log the lowest "
            "winning price (minimum bid to win) as price_cpm"
        )
    if problems:
        raise CalibrationError("; ".join(problems))


def _logging_policy(
    auctions: Auctions, market: FittedMarket, settings: BiddingSettings
) -> tuple[float | None, float | None]:
    """LIN's multiplier and the sd of its log noise by median and quartiles, which caps leave be."""
    if auctions.won.all():
        return None, None
    value = market.probability(auctions) * settings.click_value
    bid = auctions.bid_cpm * settings.currency_per_price_unit / 1000
    offered = (bid > 0) & (value > 0)
    ratio = np.log(bid[offered] / value[offered])
    low, middle, high = np.quantile(ratio.astype(np.float64), [0.25, 0.5, 0.75])
    return float(np.exp(middle)), float((high - low) / 1.349)


def _remarks(auctions: Auctions, market: FittedMarket, multiplier: float | None) -> list[str]:
    remarks = []
    if auctions.weight > 1:
        remarks.append(
            f"one auction in {auctions.weight:.0f} was kept, drawn evenly over time; a simulated "
            f"impression stands for {auctions.weight:.0f}"
        )
    if multiplier is None:
        remarks.append(
            "won auctions only: prices are known below the logged bids alone, and what the log's "
            "own policy would earn cannot be computed"
        )
    if market.unknown_share > 0.001:
        remarks.append(
            f"{100 * market.unknown_share:.1f} % of auctions cost more than the log's bids could "
            "show: simulated bids never win them"
        )
    return remarks


def _money_remarks(settings: BiddingSettings) -> list[str]:
    remarks = []
    if settings.click_value == _DEFAULT_CLICK_VALUE:
        remarks.append(
            f"a click is taken to be worth 1 {settings.currency}: set click_value to what it is "
            f"worth to you, or log a value in at least {LEAST_VALUED_EVENTS} rows"
        )
    if settings.auction == "first_price":
        remarks.append(
            "first price: price_cpm is read as the lowest bid that would have won; the ceiling "
            "pays exactly that, which no bidder can foresee, so compare with the rules, not with it"
        )
    return remarks
