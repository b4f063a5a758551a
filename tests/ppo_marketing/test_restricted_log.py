"""A special ad category where a log enters: what it takes out is in no state and no calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import envs
from envs import load_decision
from envs.core.log import LogTable
from envs.personalization.visits import gather
from ppo_marketing.config import LogSection, load_config
from ppo_marketing.errors import UserError
from ppo_marketing.pipeline import calibrating, reading
from ppo_marketing.restricted_log import restricted_context
from ppo_marketing.special_ads import special_ad_category

CARD = load_decision("personalization")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Visits with an age that clicks depend on, the city that tells of it, and a device."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("visits") / "visits.csv"
    lines = ["timestamp,unit_id,action_id,propensity,reward,age,town,device"]
    for visit in range(1500):
        age = int(rng.integers(18, 80))
        town = "spa" if (age > 45) != (rng.random() < 0.08) else "campus"
        item = int(rng.integers(0, 3))
        reward = int(rng.random() < (0.5 if (item == 1) == (age > 45) else 0.1))
        day = f"2024-05-{1 + visit // 100:02d}"
        device = rng.choice(["phone", "desk"])
        lines.append(f"{day},u{visit},item{item},0.3333333,{reward},{age},{town},{device}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(file: Path, tmp_path: Path, **given: Any) -> LogTable:
    return reading.read(CARD, LogSection(path=file, **given), tmp_path / "cache")


def test_what_is_restricted_reaches_neither_state_nor_saved_calibration(
    file: Path, tmp_path: Path
) -> None:
    log = read(file, tmp_path, special_ad_category="housing")
    assert log.context == ("town", "device")
    with pytest.raises(KeyError, match="age"):
        log.arrays(["age"])
    assert gather(log).encoder.names == ("town", "device")
    calibration = calibrating.calibrate(CARD, log, CARD.settings_type(), seed=0)
    calibration.save(tmp_path / "calibration")
    assert any("special ad category housing: left out age" in n for n in calibration.notes)
    record = (tmp_path / "calibration" / "calibration.json").read_text(encoding="utf-8")
    assert '"name": "age"' not in record
    assert '"name": "town"' in record


def test_a_proxy_of_what_went_is_named_in_the_notes(file: Path, tmp_path: Path) -> None:
    notes = "\n".join(read(file, tmp_path, special_ad_category="credit").notes)
    assert "proxy check of age: town alone foretells it" in notes
    declared = {"town": "place of birth"}
    without = read(file, tmp_path, special_ad_category="credit", protected=declared)
    assert without.context == ("device",)
    notes = "\n".join(without.notes)
    assert "town (declared as place of birth)" in notes
    assert "proxy check of age: what is left foretells it with an AUC of 0.5" in notes


def test_without_a_category_the_log_is_as_it_was(file: Path, tmp_path: Path) -> None:
    plain = read(file, tmp_path)
    assert plain.context == ("age", "town", "device")
    assert not any("special ad" in note for note in plain.notes)
    assert read(file, tmp_path, protected={"age": "age"}) == plain  # declared, and left in
    kept = read(file, tmp_path, special_ad_category="housing", protected={"age": "none"})
    assert kept.context == plain.context
    assert "no context column is restricted" in kept.notes[-1]


def test_names_of_the_file_count_as_much_as_the_ones_they_are_mapped_to() -> None:
    mapping = {"f1": "customer age", "f2": "income", "sex": "column 7"}
    found = restricted_context(("f1", "f2", "sex"), "credit", {}, mapping)
    assert found.kept == ("f2",)
    assert set(found.reasons) == {"f1", "sex"}
    kept = restricted_context(("f1", "f2", "sex"), "credit", {"customer age": "none"}, mapping)
    assert kept.kept == ("f1", "f2")
    declared = restricted_context(("f1", "f2"), "credit", {"income": "means"}, mapping)
    assert declared.kept == ()


def test_a_protected_column_that_is_not_there_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not there: gender; there are age, town, device"):
        read(file, tmp_path, protected={"gender": "gender"})


def test_the_setting_comes_from_the_file_that_configures_a_run(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "decision: personalization\n"
        "log: {special_ad_category: employment, protected: {f1: gender}}\n",
        encoding="utf-8",
    )
    section = load_config(path, {}).log
    assert (section.special_ad_category, section.protected) == ("employment", {"f1": "gender"})
    path.write_text("decision: personalization\nlog: {special_ad_category: toys}\n")
    with pytest.raises(UserError, match=r"log\.special_ad_category"):
        load_config(path, {})


@pytest.mark.parametrize("name", envs.decision_names())
def test_no_column_that_a_decision_rests_on_sounds_restricted(name: str) -> None:
    schema = load_decision(name).schema
    assert special_ad_category(schema.names, "housing").removed == ()


def test_only_context_can_be_left_out_of_a_log(file: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="only context"):
        read(file, tmp_path).without(["reward"], ())


def test_a_real_log_loses_age_and_marital_status(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "bank_marketing" / "bank-additional-full.csv.gz"
    log = reading.read(
        CARD,
        LogSection(path=file, reader="bank-marketing", special_ad_category="credit"),
        tmp_path / "cache",
    )
    assert not {"age", "marital"} & set(log.names)
    assert {"job", "education", "housing"} <= set(log.names)
    told = [note for note in log.notes if note.startswith("proxy check of")]
    # Jobs (student, retired) tell something of age, and less than a proxy would.
    assert any("age: what is left foretells it with an AUC of 0.7" in note for note in told)
