from __future__ import annotations

import numpy as np
import pytest

from ppo_marketing.ppo.fused.rows import column_moments, normalise_rows
from ppo_marketing.ppo.normalise import RunningMoments, centre_and_scale, normalise

ROWS = np.random.default_rng(5).normal([0.0, 40.0, -3.0], [1.0, 5.0, 0.01], (300, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_moments_are_those_of_numpy(dtype: type[np.floating]) -> None:
    rows = ROWS.astype(dtype)
    start = RunningMoments.empty(3).updated(rows[:100])
    expected = start.updated(rows[100:])
    merged = start.merged(*column_moments(rows[100:]))
    assert merged.count == expected.count == 300
    np.testing.assert_allclose(merged.mean, expected.mean, rtol=1e-10)
    np.testing.assert_allclose(merged.squares, expected.squares, rtol=1e-10)


def test_compiled_rows_are_normalised_as_numpy_does_and_what_is_no_number_stays_so() -> None:
    moments = RunningMoments.empty(3).updated(ROWS)
    rows = np.vstack([ROWS, [[1e9, -1e9, np.nan]]])
    out = np.empty(rows.shape, np.float32)
    normalise_rows(rows, *centre_and_scale(moments, 3), out)
    np.testing.assert_allclose(out, normalise(rows, moments), rtol=1e-6)
    assert out[-1, 0] == 10.0
    assert out[-1, 1] == -10.0
    assert np.isnan(out[-1, 2])
