"""A fitted market as plain arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.bidding.auctions import Auctions
from envs.bidding.landscape import PriceLaw
from envs.bidding.level import LevelModel
from envs.bidding.market import FittedMarket, Member
from envs.bidding.prices import PriceScale
from envs.bidding.response import Recalibration

FORM = 2  # raise it when older files can no longer be read as they are


def arrays_of(market: FittedMarket) -> dict[str, NDArray[Any]]:
    """Everything of a market by name."""
    auctions, members = market.auctions, market.members
    law = members[0].law
    return {
        **{f"auctions_{name}": np.asarray(value) for name, value in auctions._asdict().items()},
        **{f"scale_{name}": np.asarray(value) for name, value in market.scale._asdict().items()},
        "recalibration": np.stack(market.recalibration),
        "valuation": np.stack(market.valuation),
        "level": market.level,
        "bands": law.bands,
        "contexts": np.asarray(law.contexts),
        "day_share": np.stack([member.day_share for member in members]),
        "moving": np.stack([member.law.moving for member in members]),
        "sticky": np.stack([member.law.sticky for member in members]),
        "season": np.stack([member.level_model.season for member in members]),
        "level_parameters": np.array([member.level_model[1:] for member in members]),
        "centred": np.stack([member.centred for member in members]),
        "imputed_sticky": np.stack([member.sticky for member in members]),
    }


def market_of(arrays: Mapping[str, NDArray[Any]]) -> FittedMarket:
    """The market that `arrays_of` took apart."""
    columns = {name: arrays[f"auctions_{name}"] for name in Auctions._fields[:-2]}
    scale = PriceScale(
        tick=float(arrays["scale_tick"]),
        least=float(arrays["scale_least"]),
        ceiling=float(arrays["scale_ceiling"]),
        low=float(arrays["scale_low"]),
        bins=int(arrays["scale_bins"]),
        sticky=arrays["scale_sticky"],
        sticky_share=arrays["scale_sticky_share"],
    )
    members = tuple(
        Member(
            day_share=arrays["day_share"][k],
            law=PriceLaw(
                scale=scale,
                bands=arrays["bands"],
                contexts=int(arrays["contexts"]),
                moving=arrays["moving"][k],
                sticky=arrays["sticky"][k],
            ),
            level_model=LevelModel(
                arrays["season"][k], *(float(value) for value in arrays["level_parameters"][k])
            ),
            centred=arrays["centred"][k],
            sticky=arrays["imputed_sticky"][k],
        )
        for k in range(len(arrays["day_share"]))
    )
    return FittedMarket(
        auctions=Auctions(
            **columns, dates=arrays["auctions_dates"], weight=float(arrays["auctions_weight"])
        ),
        scale=scale,
        recalibration=Recalibration(*arrays["recalibration"]),
        valuation=Recalibration(*arrays["valuation"]),
        level=arrays["level"],
        members=members,
    )
