"""A table scored at once is decided as each of its rows alone would be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from ppo_marketing.errors import Refused, UserError
from ppo_marketing.export.loading import load_bundle
from ppo_marketing.guardrails import (
    AmountLimits,
    Budget,
    ChoiceLimits,
    Context,
    GuardrailLimits,
    Support,
)
from ppo_marketing.progress import SilentReporter
from ppo_marketing.serve import batch, scoring
from ppo_marketing.serve.champion import champion_of
from ppo_marketing.serve.scoring import score_table
from tests.support.serving import decision_bundle, plain_bundle

SIZE = 16
SUPPORT = Support(low=(-2.0,) * SIZE, high=(2.0,) * SIZE)
LIMITS: dict[str, tuple[str, GuardrailLimits | None]] = {
    "choices": ("not normalised", GuardrailLimits(choices=ChoiceLimits(choices=4, closed=(0, 2)))),
    "choices or nothing": (
        "not normalised",
        GuardrailLimits(choices=ChoiceLimits(choices=4, nothing=3), support=SUPPORT),
    ),
    "amounts": (
        "amounts without bounds",
        GuardrailLimits(amounts=AmountLimits(floor=-0.1, cap=0.1), support=SUPPORT),
    ),
    "amounts near the fallback": (
        "amounts without bounds",
        GuardrailLimits(amounts=AmountLimits(floor=-1, cap=1, change=0.05), support=SUPPORT),
    ),
}


def observations(rows: int) -> NDArray[np.float32]:
    found = np.random.default_rng(0).normal(size=(rows, SIZE)).astype(np.float32)
    found[3, 2], found[5, 0] = np.nan, np.inf
    return found


@pytest.mark.parametrize("name", LIMITS)
def test_every_row_is_what_the_guards_ship_of_it_alone(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "TILE", 64)  # many tiles and a last one that is not full
    kind, limits = LIMITS[name]
    champion = champion_of(load_bundle(plain_bundle(tmp_path / "b", kind, limits)), None)
    seen = observations(300)
    mask = None
    if champion.choices:
        mask = np.random.default_rng(1).random((300, 4)) < 0.6
        mask[:, 3] = True
    with ThreadPoolExecutor(2) as pool:
        found = batch.scored(champion, seen, mask, pool)
    assert champion.guardrail is not None
    wanted = champion.guardrail.decide(
        Context(observation=seen, mask=mask), np.random.default_rng(0)
    )
    np.testing.assert_allclose(found.action.reshape(wanted.action.shape), wanted.action, atol=1e-6)
    reasons = np.array(found.reasons)
    np.testing.assert_array_equal(reasons, wanted.reasons)


@pytest.mark.parametrize("name", ["choices", "amounts"])
def test_a_policy_that_answers_nonsense_ships_none_of_it(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, limits = LIMITS[name]
    champion = champion_of(load_bundle(plain_bundle(tmp_path / "b", kind, limits)), None)
    real = champion.bundle.policy.answer

    def nonsense(observation: Any, mask: Any = None) -> Any:
        said = real(observation, mask)
        foreign = (
            np.zeros_like(said.action) if champion.choices else np.full_like(said.action, np.nan)
        )
        return said._replace(action=foreign)  # choice 0 is closed

    monkeypatch.setattr(champion.bundle.policy, "answer", nonsense)
    found = batch.at_once(champion, observations(20) * np.float32(0.25), None)
    assert champion.guardrail is not None
    wanted = champion.guardrail.decide(
        Context(observation=observations(20) * np.float32(0.25)), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(found.action.reshape(wanted.action.shape), wanted.action)
    assert np.isfinite(found.action).all()
    assert (found.reasons != 0).all()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_comes_back_with_what_to_do_beside_what_it_held(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "CHUNK_ROWS", 40)
    monkeypatch.setattr(scoring, "CHUNK_BYTES", 5000)
    bundle = decision_bundle(tmp_path / "b", "sequencing")
    champion = champion_of(load_bundle(bundle), None)
    names = champion.words.names
    seen = np.random.default_rng(0).random((100, len(names))).astype(np.float32)
    cells = {name: pa.array(seen[:, k].astype(np.float64)) for k, name in enumerate(names)}
    cells[names[0]] = pa.array([None, 9.0, *seen[2:, 0].astype(np.float64)])
    allowed = np.random.default_rng(1).random((100, champion.choices)) < 0.5
    allowed[:, 0] = True
    masks = {f"allowed_{k}": allowed[:, k].astype(int) for k in range(champion.choices)}
    table = pa.table({"customer": [f"c{i}" for i in range(100)], **cells, **masks})
    given = tmp_path / f"in{suffix}"
    pc.write_csv(table, given) if suffix == ".csv" else pq.write_table(table, given)
    report = score_table(bundle, given, tmp_path / f"out{suffix}", SilentReporter())
    read = pc.read_csv if suffix == ".csv" else pq.read_table
    found = read(tmp_path / f"out{suffix}").to_pylist()
    assert report["rows"] == len(found) == 100
    assert report["reasons"] == {"non_finite_input": 1, "out_of_support": 1}
    assert [row["customer"] for row in found] == [f"c{i}" for i in range(100)]
    assert [row["reason"] or "" for row in found][:3] == ["non_finite_input", "out_of_support", ""]
    assert names[0] not in found[0]
    said = champion.bundle.policy.answer(seen[2:], allowed[2:])
    for row, choice in zip(found[2:], said.action.tolist(), strict=True):
        wanted = champion.words.choices[choice]
        assert {k: row[k] for k in wanted} == dict(wanted)
        assert 0 < row["probability"] <= 1


def test_tables_that_cannot_be_scored_say_why_and_leave_nothing(tmp_path: Path) -> None:
    bundle = plain_bundle(tmp_path / "b", "not normalised", LIMITS["choices"][1])
    fields: dict[str, list[object]] = {f"observation_{k}": [0.0] for k in range(SIZE)}
    out = tmp_path / "out.csv"

    def refused(columns: dict[str, list[object]], said: str) -> None:
        pq.write_table(pa.table(columns), tmp_path / "in.parquet")
        with pytest.raises(UserError, match=said):
            score_table(bundle, tmp_path / "in.parquet", out, SilentReporter())
        assert not list(tmp_path.glob("*out*"))

    refused({"a": [1]}, "columns are missing: observation_0, observation_1")
    refused({**fields, "choice": [1]}, "rename choice")
    refused({**fields, "allowed_0": [1]}, "must be allowed_0 to allowed_3")
    refused({**fields, "observation_3": ["x"]}, "observation_3 must hold numbers")
    refused({name: [] for name in fields}, "has no rows")
    (tmp_path / "in.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="cannot be read"):
        score_table(bundle, tmp_path / "in.parquet", out, SilentReporter())
    with pytest.raises(UserError, match="must end in"):
        score_table(bundle, tmp_path / "in.parquet", tmp_path / "out.txt", SilentReporter())


def test_limits_that_need_one_decision_after_another_refuse_a_whole_table(tmp_path: Path) -> None:
    limits = GuardrailLimits(choices=ChoiceLimits(choices=4, nothing=0), budget=Budget(day=1.0))
    bundle = plain_bundle(tmp_path / "b", "not normalised", limits)
    with pytest.raises(Refused, match="day, cost") as refused:
        score_table(bundle, tmp_path / "in.csv", tmp_path / "out.csv", SilentReporter())
    assert refused.value.exit_code == 5
