"""Reading the folder of an impression-level campaign: totals, past episodes, test auctions.

    ID.info.json             totals of the training and test period, histogram of training prices
    ID.validation.txt[.gz]   `dimension T`, then per episode its number (and cost) and T rows
    ID.test.theta.txt[.gz]   rows only, in the order of arrival
    lin_base_bids.json       {ID: {"1/32": base bid, ...}}, optional

A row is `click price pctr`, separated by blanks or tabs; prices are CPM, 0 to the highest price of
the histogram. Either the validation or the test file may be absent.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from envs.bidding.impression_value import FloatArray, IntArray


class ImpressionLogError(ValueError):
    """The folder cannot be used; the message lists every problem of every file."""

    def __init__(self, folder: Path, problems: list[str]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{folder.name}: {len(problems)} problem(s), nothing was read\n{listed}")


@dataclass(frozen=True)
class Totals:
    """What the whole training period came to.

    Attributes:
        impressions: auctions won.
        clicks: clicks on them.
        cost_cpm: sum of the prices paid, CPM units.
        price_count: impressions at each price 0..cap, [cap + 1].
    """

    impressions: int
    clicks: int
    cost_cpm: int
    price_count: IntArray

    @property
    def mean_ctr(self) -> float:
        """Clicks per impression."""
        return self.clicks / self.impressions

    @property
    def mean_price_cpm(self) -> float:
        """Mean price of an impression, CPM."""
        return self.cost_cpm / self.impressions

    @property
    def cost_per_click_cpm(self) -> float:
        """What a click cost, in summed CPM units."""
        return self.cost_cpm / self.clicks

    def episode_budget_cpm(self, tightness: Fraction, auctions: int) -> int:
        """The budget of an episode: floor(c0 * mean training price * N), in summed CPM units.

        Args:
            tightness: c0, the budget over what winning everything costs at training prices.
            auctions: N, auctions of an episode.
        """
        return int(self.mean_price_cpm * float(tightness) * auctions)


@dataclass(frozen=True)
class Rows:
    """Auctions in order: click [M] (0 or 1), price_cpm [M], pctr [M]."""

    click: IntArray
    price_cpm: IntArray
    pctr: FloatArray


@dataclass(frozen=True)
class CampaignLog:
    """One campaign's folder, read and checked; `base_bid_cpm` is by tightness c0."""

    campaign: str
    totals: Totals
    validation: Rows | None
    test: Rows | None
    base_bid_cpm: Mapping[Fraction, int]


def read_campaign(folder: Path, campaign: str) -> CampaignLog:
    """Read one campaign of a folder in the format above.

    Raises:
        ImpressionLogError: listing every problem of every file at once.
    """
    problems: list[str] = []
    totals = _read_totals(folder / f"{campaign}.info.json", problems)
    cap = totals.price_count.size - 1 if totals else None
    validation_file = _either(folder / f"{campaign}.validation.txt")
    test_file = _either(folder / f"{campaign}.test.theta.txt")
    if validation_file is None and test_file is None:
        present = sorted(path.name.split(".")[0] for path in folder.glob("*.info.json"))
        problems.append(
            f"neither {campaign}.validation.txt[.gz] nor {campaign}.test.theta.txt[.gz] is there; "
            f"campaigns with an info.json: {', '.join(present) or 'none'}"
        )
    validation = _read_rows(validation_file, cap, problems, episodes=True)
    test = _read_rows(test_file, cap, problems, episodes=False)
    base_bids = _read_base_bids(folder / "lin_base_bids.json", campaign, problems)
    if problems or totals is None:
        raise ImpressionLogError(folder, problems)
    return CampaignLog(campaign, totals, validation, test, base_bids)


def _either(path: Path) -> Path | None:
    packed = path.with_name(path.name + ".gz")
    return next((candidate for candidate in (path, packed) if candidate.is_file()), None)


def _read_text(path: Path, problems: list[str]) -> str | None:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        problems.append(f"{path.name}: cannot be read: {reason}")
        return None


def _read_json(path: Path, problems: list[str]) -> dict[str, Any] | None:
    text = _read_text(path, problems)
    if text is None:
        return None
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        problems.append(f"{path.name}: not JSON: {error}")
        return None
    if not isinstance(content, dict):
        problems.append(f"{path.name}: one JSON object is expected, found {type(content).__name__}")
        return None
    return content


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _read_totals(path: Path, problems: list[str]) -> Totals | None:
    info = _read_json(path, problems)
    if info is None:
        return None
    before = len(problems)
    problems.extend(
        f"{path.name}: {key} is {info.get(key)!r}; a count of 1 or more"
        for key in ("imp_train", "clk_train", "cost_train")
        if not _is_count(info.get(key), least=1)
    )
    counts = info.get("price_counter_train")
    if not isinstance(counts, list) or len(counts) < 2:
        problems.append(
            f"{path.name}: price_counter_train is missing; a list with the impressions at price "
            "0, 1, 2, ... up to the highest"
        )
    elif wrong := [price for price, n in enumerate(counts) if not _is_count(n, least=0)]:
        problems.append(
            f"{path.name}: price_counter_train has {len(wrong)} entries that are no counts, first "
            f"at price {wrong[0]}: {counts[wrong[0]]!r}"
        )
    if len(problems) > before:
        return None
    return Totals(
        impressions=info["imp_train"],
        clicks=info["clk_train"],
        cost_cpm=info["cost_train"],
        price_count=np.array(counts, dtype=np.int64),
    )


def _read_base_bids(path: Path, campaign: str, problems: list[str]) -> Mapping[Fraction, int]:
    if not path.is_file():
        return {}
    by_campaign = _read_json(path, problems)
    bids = (by_campaign or {}).get(campaign, {})
    try:
        read = {Fraction(tightness): bid for tightness, bid in bids.items()}
    except (AttributeError, ValueError, ZeroDivisionError):
        problems.append(f'{path.name}: {campaign}: expected {{"1/32": base bid, ...}}')
        return {}
    problems.extend(
        f"{path.name}: {campaign}: base bid at {tightness} is {bid!r}; a whole CPM of 1 or more"
        for tightness, bid in read.items()
        if not _is_count(bid, least=1)
    )
    return read


def _read_rows(
    path: Path | None, cap: int | None, problems: list[str], *, episodes: bool
) -> Rows | None:
    text = _read_text(path, problems) if path else None
    if path is None or text is None:
        return None
    fields = [line.split() for line in text.splitlines()]
    line_of = [line for line, found in enumerate(fields, start=1) if len(found) == 3]
    shape = (
        _episode_problems(fields)
        if episodes
        else _width_problems([line for line, found in enumerate(fields, 1) if len(found) != 3])
    )
    problems.extend(f"{path.name}: {problem}" for problem in shape)
    if not line_of:
        problems.append(f"{path.name}: no row `click price pctr` in {len(fields)} lines")
        return None
    tokens = [fields[line - 1] for line in line_of]
    click, price, pctr = (_numbers([row[column] for row in tokens]) for column in range(3))
    highest = np.inf if cap is None else cap
    for name, bad, allowed in (
        ("click", (click != 0) & (click != 1), "0 or 1"),
        (
            "price",
            ~((price >= 0) & (price <= highest) & (price == np.floor(price))),
            "a whole CPM from 0 to the highest price of the histogram"
            + ("" if cap is None else f", {cap}"),
        ),
        ("pctr", ~((pctr >= 0) & (pctr <= 1)), "a probability in [0, 1]"),
    ):
        if bad.any():
            first = int(bad.argmax())
            problems.append(
                f"{path.name}: {name}: {int(bad.sum())} of {bad.size} rows are out of range, first "
                f"in line {line_of[first]} ({' '.join(tokens[first])}); {allowed}"
            )
    if problems:
        return None
    return Rows(click.astype(np.int64), price.astype(np.int64), pctr)


def _numbers(tokens: list[str]) -> FloatArray:
    try:
        return np.array(tokens, dtype=np.float64)
    except ValueError:
        return np.array([_number(token) for token in tokens])


def _number(token: str) -> float:
    try:
        return float(token)
    except ValueError:
        return float("nan")


def _width_problems(lines: list[int]) -> list[str]:
    if not lines:
        return []
    return [
        f"{len(lines)} lines have not the three fields `click price pctr`, first line {lines[0]}"
    ]


def _episode_problems(fields: list[list[str]]) -> list[str]:
    """A first line `dimension T`, then blocks of one mark (1 or 2 fields) and T rows."""
    if not fields or len(fields[0]) != 2 or not all(token.isdigit() for token in fields[0]):
        return ["line 1 must be `dimension T`, two whole numbers"]
    auctions = int(fields[0][1])
    if auctions < 1:
        return [f"line 1 says T = {auctions}; at least 1"]
    misplaced = [
        line
        for line, found in enumerate(fields[1:], start=2)
        if not (1 <= len(found) <= 2 if (line - 2) % (auctions + 1) == 0 else len(found) == 3)
    ]
    problems = []
    if misplaced:
        problems.append(
            f"{len(misplaced)} lines break the pattern of one episode number and {auctions} rows "
            f"`click price pctr`, first line {misplaced[0]}"
        )
    if (len(fields) - 1) % (auctions + 1):
        problems.append(f"the last episode has fewer than {auctions} rows: the file is cut short")
    return problems
