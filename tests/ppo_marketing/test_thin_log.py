"""Where a log is thin: rare actions in visited situations, and sparse places of curves."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from envs.core.fidelity import Curve
from ppo_marketing.thin_log import support_of, thin_points


def test_support_counts_visited_situations_only_and_names_the_rarest_first() -> None:
    logged = SimpleNamespace(
        seen=np.array([[100.0, 29.0, 0.0], [50.0, 30.0, 5.0], [0.0, 0.0, 0.0]]),
        actions=("wait", "mail", "call"),
    )
    found = support_of(logged)  # type: ignore[arg-type] # only these two are looked at
    assert [(one.action, one.rows, one.thin_cells) for one in found] == [
        ("call", 5.0, 1.0),
        ("mail", 59.0, 0.5),
        ("wait", 150.0, 0.0),
    ]


@pytest.mark.parametrize(
    ("n", "places"), [((100.0, 100.0, 9.0), [3.0]), ((5.0,) * 3, []), ((), [])]
)
def test_a_place_is_thin_beside_its_own_curve(n: tuple[float, ...], places: list[float]) -> None:
    line = (1.0, 2.0, 3.0)
    curve = Curve(name="c", x_label="x", y_label="y", x=line, observed=line, simulated=line, n=n)
    assert [point.x for point in thin_points([curve])] == places
