"""What a policy sees can be read and written in people's own units."""

from __future__ import annotations

import numpy as np
import pytest

from envs.core.words import ActionWords, StateVariable, Words


def number(column: int = 0, **more: object) -> StateVariable:
    return StateVariable(name="age", label="Age", help="in years", columns=(column,), **more)  # type: ignore[arg-type]


def test_a_number_is_shown_in_its_own_unit_and_put_back() -> None:
    age = number(1, shift=40.0, scale=10.0, unit="years")
    observation = np.array([[7.0, -1.5], [7.0, 0.2]], np.float32)
    np.testing.assert_allclose(age.shown(observation), [25.0, 42.0], rtol=1e-6)
    np.testing.assert_allclose(age.put(observation, np.array([40.0, 50.0])), [[7, 0], [7, 1]])
    assert observation[0, 1] == -1.5, "what is handed in stays as it is"


def test_a_logarithm_is_shown_as_the_ratio_that_it_stands_for() -> None:
    pace = number(logarithmic=True)
    assert pace.shown(np.array([[np.log(2.0)]]))[0] == pytest.approx(2.0)
    assert pace.observed(np.array([0.5]))[0, 0] == pytest.approx(-np.log(2.0))


def test_a_number_may_move_further_columns_with_it() -> None:
    square = StateVariable(
        name="n", label="n", help="and its square", columns=(0, 2), others=lambda n: n[:, None] ** 2
    )
    np.testing.assert_allclose(square.put(np.zeros((1, 3)), np.array([3.0])), [[3.0, 0.0, 9.0]])


def test_levels_are_indicators_and_the_spare_one_is_none_of_them() -> None:
    device = StateVariable(
        name="d", label="Device", help="", columns=(0, 1), levels=("phone", "desk", "other")
    )
    observation = np.array([[1, 0, 5], [0, 1, 5], [0, 0, 5]], np.float32)
    np.testing.assert_array_equal(device.shown(observation), [0, 1, 2])
    np.testing.assert_array_equal(device.put(observation, np.array([2, 0, 1])),
                                  [[0, 0, 5], [1, 0, 5], [0, 1, 5]])  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"columns": ()},
        {"columns": (0, 1)},
        {"columns": (0, 1), "levels": ("one",)},
        {"columns": (0,), "levels": ("a", "b", "c")},
    ],
)
def test_columns_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="give a level a column"):
        StateVariable(**{"name": "x", "label": "x", "help": "", **wrong})  # type: ignore[arg-type]


def test_an_unknown_variable_is_refused_with_those_there_are() -> None:
    words = Words(variables=(number(),), action=ActionWords(label="a", help=""))
    with pytest.raises(ValueError, match="'height': choose one of age"):
        words.variable("height")
