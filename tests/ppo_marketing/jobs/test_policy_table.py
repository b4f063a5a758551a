"""Probabilities find the rows that they belong to, by id or by order, or are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from envs.core.log import LogError, LogTable, read_log
from envs.personalization.log import VISITS
from ppo_marketing.config import LogSection
from ppo_marketing.jobs.policy_table import matched, read_policy, uniform

KEY = "impression_id"


def visits(*, ids: bool) -> pd.DataFrame:
    """Six rows whose file is not in the order of time."""
    hours = np.array([5, 1, 4, 0, 3, 2])
    log = pd.DataFrame({
        "timestamp": pd.Timestamp("2024-05-01") + pd.to_timedelta(hours, "h"),
        "unit_id": [f"u{h}" for h in hours],
        "action_id": ["a", "b", "p_c", "a", "b", "p_c"],
        "reward": [0.0, 1.0, 0.0, 1.0, 0.0, 0.0],
    })  # fmt: skip
    return log.assign(**{KEY: [f"row {h}" for h in hours]}) if ids else log


def policy(hours: list[int], **columns: list[float]) -> pd.DataFrame:
    """Row of hour h gives h / 10 to a, the rest to b."""
    first = np.array(hours) / 10
    return pd.DataFrame({"a": first, "b": 1 - first, "p_c": 0.0, **columns})


def kept(folder: Path, log: pd.DataFrame) -> tuple[LogTable, LogSection]:
    path = folder / "log.csv"
    log.to_csv(path, index=False)
    return read_log(path, VISITS, cache=folder / "cache"), LogSection(path=path)


def written(folder: Path, table: pd.DataFrame) -> Path:
    path = folder / "policy.csv"
    table.to_csv(path, index=False)
    return path


LOGGED = ("a", "b", "p_c")


def test_by_order_probabilities_follow_their_rows_into_the_order_of_time(tmp_path: Path) -> None:
    log, section = kept(tmp_path, visits(ids=False))
    table = read_policy(written(tmp_path, policy([5, 1, 4, 0, 3, 2])), (KEY,), LOGGED)
    probabilities, names = matched(table, log, section, LOGGED)
    assert names == ("a", "b", "p_c")
    np.testing.assert_allclose(probabilities[:, 0], np.arange(6) / 10)


def test_by_id_the_order_of_neither_file_matters(tmp_path: Path) -> None:
    log, section = kept(tmp_path, visits(ids=True))
    hours = [2, 0, 5, 4, 1, 3]
    given = policy(hours).add_prefix("p_").assign(**{KEY: [f"row {h}" for h in hours]})
    probabilities, _ = matched(read_policy(written(tmp_path, given), (KEY,)), log, section, LOGGED)
    np.testing.assert_allclose(probabilities[:, 0], np.arange(6) / 10)


def test_an_action_keeps_a_prefix_that_the_log_knows_and_the_policy_may_know_more_actions(
    tmp_path: Path,
) -> None:
    log, section = kept(tmp_path, visits(ids=False))
    given = pd.DataFrame({
        "p_a": [0.5] * 6, "p_b": 0.25, "p_c": 0.25, "p_new": 0.0, "note": "anything",
    })  # fmt: skip
    _, names = matched(read_policy(written(tmp_path, given), ()), log, section, LOGGED)
    assert names == ("a", "b", "p_c", "new")


def refusal(folder: Path, log: pd.DataFrame, given: pd.DataFrame) -> str:
    table, section = kept(folder, log)
    with pytest.raises(LogError) as refused:
        matched(read_policy(written(folder, given), (KEY,), LOGGED), table, section, LOGGED)
    return str(refused.value)


def test_ids_must_be_the_logs_each_once(tmp_path: Path) -> None:
    log = visits(ids=True)
    hours = [5, 1, 4, 0, 3, 2]
    strange = policy(hours).assign(**{KEY: ["row 5", "row 1", "row 4", "row 0", "row 3", "x"]})
    said = refusal(tmp_path, log, strange)
    assert "no probabilities of 1 rows of the log, such as row 2" in said
    assert "ids that the log does not have, such as x, in 1 row (6)" in said
    assert "no such column" in refusal(tmp_path, log, policy(hours))
    twice = policy(hours).assign(**{KEY: ["row 5", "row 1", "row 4", "row 0", "row 3", "row 3"]})
    assert "repeat an earlier id in 1 row (6)" in refusal(tmp_path, log, twice)


def test_copies_in_the_log_are_no_independent_evidence(tmp_path: Path) -> None:
    log = visits(ids=True)
    copied = pd.concat([log, log.iloc[:2]])
    given = policy([5, 1, 4, 0, 3, 2]).assign(**{KEY: log[KEY].tolist()})
    assert "log.csv repeats 2 rows" in refusal(tmp_path, copied, given)


def test_one_action_in_two_columns_is_refused(tmp_path: Path) -> None:
    given = pd.DataFrame({"p_a": [0.5] * 6, "p_p_c": 0.25, "p_c": 0.0, "p_b": 0.25})
    assert "two columns of p_c" in refusal(tmp_path, visits(ids=False), given)


@pytest.mark.parametrize(
    ("cell", "said"),
    [(-0.1, "a negative number"), (1.1, "a number above 1"), ("much", "not a number"),
     ("", "no value"), ("inf", "not finite"), (0.3, "do not sum to 1, such as 1.25")],
)  # fmt: skip
def test_what_is_no_probability_is_refused_by_row(tmp_path: Path, cell: object, said: str) -> None:
    given = pd.DataFrame({"a": [0.5] * 6, "b": [0.45] * 6, "p_c": 0.05}).astype(object)
    given.loc[2, "p_c"] = cell
    given = given.rename(columns={"a": "p_a", "b": "p_b"})
    with pytest.raises(LogError, match=said) as refused:
        read_policy(written(tmp_path, given), ())
    assert "(3)" in str(refused.value)


def test_uniform_is_even_over_what_is_eligible() -> None:
    np.testing.assert_allclose(uniform(4, 3, None), np.full((3, 4), 0.25))
    eligible = np.array([[True, True, False], [False, True, False]])
    np.testing.assert_allclose(uniform(3, 2, eligible), [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
