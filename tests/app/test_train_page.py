"""The Train page: forms from the configuration, a job of its own, what failed told in words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ppo_marketing.form_fields import fields_of
from ppo_marketing.jobs import background
from ppo_marketing.jobs.background import Order
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.jobs.kept_comparisons import FILE
from ppo_marketing.ppo.config import PPOConfig
from tests.support.app_project import DECISION, RUN
from tests.support.comparisons import keep, ppo_and_a2c

Open = Callable[[str], AppTest]
REASON = "The simulator failed its checks. Why train in it all the same?"


def _form(page: AppTest, why: str = "a rehearsal") -> AppTest:
    for field in page.text_input:
        if field.label == REASON:
            field.set_value(why)
    return page


def _start(page: AppTest) -> AppTest:
    return next(one for one in page.button if one.label == "Start").click().run()


def test_every_setting_of_ppo_is_in_the_form_with_its_help(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("train")
    widgets = [*page.number_input, *page.text_input, *page.selectbox, *page.toggle]
    by_key = {widget.key: widget for widget in widgets}
    assert not page.exception
    for field in fields_of(PPOConfig):
        assert by_key[f"ppo-{field.name}"].help, field.name


def test_a_training_is_ordered_with_what_was_entered(
    shown_project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = []
    monkeypatch.setattr(background, "start", lambda project, **order: ordered.append(order))
    page = _form(open_page("train"))
    page.number_input(key="training-total_steps").set_value(9999)
    page.number_input(key="ppo-gamma").set_value(0.95)
    _start(page)
    (order,) = ordered
    assert order["command"] == "run"
    assert order["output"].name == f"{RUN}-2"
    assert order["config"]["training"]["total_steps"] == 9999
    assert order["config"]["training"]["ppo"]["gamma"] == 0.95


def test_settings_that_contradict_are_told_and_no_job_starts(
    shown_project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = []
    monkeypatch.setattr(background, "start", lambda project, **order: ordered.append(order))
    page = _form(open_page("train"))
    page.number_input(key="ppo-learning_rate").set_value(7.0)
    page = _start(page)
    assert "learning" in page.error[0].value
    assert ordered == []


@pytest.mark.parametrize("name", ["../../evil", "a/b", " "])
def test_a_name_that_is_no_folder_is_refused(
    shown_project: Path, open_page: Open, name: str
) -> None:
    page = _form(open_page("train"))
    next(one for one in page.text_input if one.label == "Name of the run").set_value(name)
    assert "cannot be a run's name" in _start(page).error[0].value


def test_without_a_simulator_the_page_leads_to_the_data(
    empty_project: Path, open_page: Open
) -> None:
    page = open_page("train")
    assert not page.exception
    assert [button.label for button in page.button] == ["Choose a log and fit one"]


def test_a_failed_training_says_why_and_can_be_resumed(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    _beside(app_project, tmp_path, monkeypatch)
    folder = background.jobs_folder(tmp_path) / "20260101-000000-abcdef"
    folder.mkdir(parents=True)
    order = Order(
        title="Training one", decision=DECISION, arguments=("run", "x"),
        output=tmp_path / "data" / "runs" / "one", started="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    write_json(folder / "job.json", {**vars(order), "output": str(order.output)})
    write_json(folder / "ended.json", {"exit_code": 3})
    (folder / "log.txt").write_text(f"ppo-marketing: {tmp_path}/x holds another training\n")
    (folder / "progress.jsonl").write_text(
        "".join(
            json.dumps({"done": i, "note": "", "numbers": {"entropy": 1.0 / i}}) + "\n"
            for i in (1, 2, 3)
        )
    )
    page = open_page("train")
    assert "Training one failed: x holds another training" in page.error[0].value
    assert list(page.table[0].value["entropy"]) == [1.0, 0.5, pytest.approx(1 / 3)]
    again = []
    monkeypatch.setattr(background, "resume", lambda project, job, desk: again.append(job.id))
    next(one for one in page.button if one.label == "Resume").click().run()
    assert again == [folder.name]


def _beside(app_project: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the trained run, and room of its own for what is beside it."""
    (project / "data").mkdir()
    (project / "data" / "runs").symlink_to(app_project / "data" / "runs")
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(project))
    return project


def test_a_comparison_shows_its_table_and_its_curves_and_an_older_one_can_be_chosen(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    project = _beside(app_project, tmp_path, monkeypatch)
    old = keep(project, DECISION, "old", ppo_and_a2c(0.5))
    os.utime(old / FILE, (1_000_000, 1_000_000))
    keep(project, DECISION, "new", ppo_and_a2c(0.9))
    page = open_page("train")
    assert not page.exception
    assert "(ppo) earns most: 90.00 % of the ceiling" in _all_text(page)
    table, curves = (one.value for one in page.table[:2])
    assert list(table.index) == ["ppo", "a2c", "vpg", "rule: a rule"]
    first = table.loc["ppo"]
    assert first["earns"] == "13.50 EUR (9 to 18)"
    assert first["of the ceiling (IQM)"] == "90.0 % (90.0 to 90.0 %), 1 seed"
    assert (first["largest drop"], first["CPU seconds"]) == ("0.0 %", "10")
    assert (first["entropy, nats"], first["largest KL, nats"]) == ("−1", "0.100")
    assert table.loc["vpg", "earns"] == "diverged"
    assert "vpg diverged: the loss is nan" in _all_text(page)
    ours = curves[curves["algorithm"] == "a2c"]
    assert list(ours["share of the ceiling"]) == pytest.approx([0.1, 0.35, 0.6, 0.4])
    choice = next(one for one in page.selectbox if one.label == "Comparison")
    page = choice.select("old").run()
    assert "A2C (a2c) earns most: 60.00 % of the ceiling" in _all_text(page)


def test_a_damaged_comparison_is_told_and_the_form_stays(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    project = _beside(app_project, tmp_path, monkeypatch)
    file = keep(project, DECISION, "new", ppo_and_a2c()) / FILE
    file.write_text(file.read_text().replace('"best_rule"', '"worst_rule"'))
    page = open_page("train")
    assert "compare again" in page.error[0].value
    assert str(project) not in page.error[0].value
    assert "Start" in [one.label for one in page.button]


def _all_text(page: AppTest) -> str:
    return "\n".join(str(one.value) for one in (*page.markdown, *page.caption)).replace("\\", "")
