"""From the context columns of a log, as text, to standardised vectors; fitted on the earlier part.

Numbers are z-scored (empty cells become the mean), categories one-hot over their frequent levels.
More than `MOST_DIMENSIONS` columns are projected onto their leading principal components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.personalization.model import CONTEXT_BOUND, Floats

Texts = NDArray[Any]  # object array of str, "" where empty

MOST_DIMENSIONS = 32
"""A policy and 20 items have hundreds of parameters with that many; logs rarely support more."""

LEAST_SHARE = 0.01  # a rarer level is nobody's own column
MOST_LEVELS = 20


@dataclass(frozen=True)
class ColumnCode:
    """How one column is encoded: a number by `mean` and `sd`, a category by its `levels`."""

    name: str
    levels: tuple[str, ...]
    mean: float = 0.0
    sd: float = 1.0

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return len(self.levels) or 1

    def encoded(self, cells: Texts) -> Floats:
        """`[n, width]`; a level or a text that was not known is all zeros."""
        if self.levels:
            return np.column_stack([cells == level for level in self.levels]).astype(np.float64)
        return ((_numbers(cells, otherwise=self.mean) - self.mean) / self.sd)[:, None]


@dataclass(frozen=True)
class Encoder:
    """Encodes rows of contexts: columns, then the projection `[D', D]` where there is one."""

    columns: tuple[ColumnCode, ...]
    centre: Floats | None = None
    projection: Floats | None = None

    @property
    def size(self) -> int:
        """D."""
        if self.projection is not None:
            return int(self.projection.shape[1])
        return max(1, sum(column.width for column in self.columns))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return tuple(column.name for column in self.columns)

    def encoded(self, cells: Mapping[str, Texts], rows: int) -> NDArray[np.float32]:
        """x `[rows, D]`, within +-CONTEXT_BOUND; one zero column where there is no context."""
        parts = [column.encoded(cells[column.name]) for column in self.columns]
        x = np.concatenate(parts, axis=1) if parts else np.zeros((rows, 1))
        if self.centre is not None and self.projection is not None:
            x = (x - self.centre) @ self.projection
        return np.clip(x, -CONTEXT_BOUND, CONTEXT_BOUND).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the projection left out."""
        return {"columns": [asdict(column) for column in self.columns]}


def encoder_from(
    saved: Mapping[str, Any], centre: Floats | None, projection: Floats | None
) -> Encoder:
    """The encoder that `as_dict` and its arrays describe."""
    columns = [{**column, "levels": tuple(column["levels"])} for column in saved["columns"]]
    return Encoder(tuple(ColumnCode(**column) for column in columns), centre, projection)


def fit_encoder(cells: Mapping[str, Texts], names: Sequence[str]) -> Encoder:
    """The encoding of the columns `names`; columns that do not vary are left out."""
    codes = tuple(code for name in names if (code := _column_code(name, cells[name])) is not None)
    plain = Encoder(codes)
    if plain.size <= MOST_DIMENSIONS:
        return plain
    x = plain.encoded(cells, len(next(iter(cells.values())))).astype(np.float64)
    centre = x.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    leading = vectors[:, ::-1][:, :MOST_DIMENSIONS]
    # Signs are arbitrary: the largest loading is taken positive, so that equal logs code equally.
    signs = np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(MOST_DIMENSIONS)])
    return Encoder(codes, centre, leading * signs)


def _column_code(name: str, cells: Texts) -> ColumnCode | None:
    levels, counts = np.unique(cells.astype(str), return_counts=True)
    if len(levels) < 2:
        return None
    try:
        numbers = _numbers(cells, otherwise=np.nan)
    except ValueError:
        order = np.argsort(-counts, kind="stable")[:MOST_LEVELS]
        frequent = [str(levels[i]) for i in order if counts[i] >= LEAST_SHARE * len(cells)]
        return ColumnCode(name, tuple(sorted(frequent))) if frequent else None
    sd = float(np.nanstd(numbers))
    return ColumnCode(name, (), float(np.nanmean(numbers)), sd) if sd > 0 else None


def _numbers(cells: Texts, otherwise: float) -> Floats:
    """The cells as numbers, empty ones as `otherwise`; raises ValueError where one is none."""
    empty = cells == ""
    numbers = np.where(empty, "nan", cells).astype(np.float64)
    numbers[empty] = otherwise
    if not np.isfinite(numbers[~empty]).all():
        raise ValueError("not finite")
    return numbers
