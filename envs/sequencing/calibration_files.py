"""Response tables as plain arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.calibration_folder import CalibrationError
from envs.sequencing.tables import ResponseTables, checked

FORM = 3  # raise it when older files can no longer be read as they are


def arrays_of(tables: ResponseTables) -> dict[str, NDArray[Any]]:
    """Everything of the tables by name."""
    return {name: np.asarray(table) for name, table in tables._asdict().items()}


def tables_from(arrays: Mapping[str, NDArray[Any]]) -> ResponseTables:
    """The tables that `arrays_of` took apart.

    Raises:
        CalibrationError: an array is missing or the tables contradict themselves.
    """
    missing = [name for name in ResponseTables._fields if name not in arrays]
    if missing:
        raise CalibrationError(f"the tables lack {', '.join(missing)}: calibrate again")
    try:
        return checked(ResponseTables(*(arrays[name] for name in ResponseTables._fields)))
    except ValueError as error:
        raise CalibrationError(f"{error}: calibrate again") from error
