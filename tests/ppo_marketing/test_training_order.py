"""What a training is asked to do: the run's own configuration, changed, and refused beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest

from envs import load_decision
from ppo_marketing.config import load_config
from ppo_marketing.errors import UserError
from ppo_marketing.ppo.constraint import PIDLagrangian
from ppo_marketing.training_order import Changes, ordered, require_accepted

CARD = load_decision("bidding")


def _base(project: Path) -> dict[str, object]:
    given = {"decision": CARD.name, "project": project, "training": {"ppo": {"epochs": 3}}}
    return load_config(None, given).as_values()


def test_changes_lie_over_the_runs_own_configuration(tmp_path: Path) -> None:
    changes = Changes(
        training={"total_steps": 5000},
        ppo={"gamma": 0.9},
        environment={"click_value": 2.0},
    )
    config = ordered(CARD, _base(tmp_path), changes, tmp_path, tmp_path / "new")
    assert config.training.total_steps == 5000
    assert config.training.ppo == {"epochs": 3, "gamma": 0.9}
    assert config.environment == {"click_value": 2.0}
    assert config.training.constraint is None
    assert (config.output, config.log.path) == (tmp_path / "new", None)


def test_a_limit_is_part_of_the_order(tmp_path: Path) -> None:
    card = load_decision("sequencing")
    base = load_config(None, {"decision": card.name, "project": tmp_path}).as_values()
    limit = {"kpi": "contact_cost", "per": "purchases", "limit": 3.0}
    config = ordered(card, base, Changes(constraint=limit), tmp_path, tmp_path / "new")
    assert config.training.constraint == PIDLagrangian(
        kpi="contact_cost", per="purchases", limit=3.0
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (Changes(ppo={"learning_rate": 7.0}), "learning_rate"),
        (Changes(training={"total_steps": 0}), "total_steps"),
        (Changes(environment={"click_value": -1.0}), "click_value"),
        (Changes(constraint={"kpi": "joy", "limit": 1.0}), "no KPI joy"),
        (Changes(constraint={"kpi": "spend", "limit": -1.0}), r"limit is -1\.0"),
        (Changes(constraint={"kpi": "spend", "limit": 9.0}), r"limit on spend .*target_cpa"),
        (Changes(constraint={"kpi": "spend", "per": "clicks", "limit": 9.0}), "lower .*budget"),
    ],
)
def test_what_cannot_be_is_refused_before_any_job(
    tmp_path: Path, changes: Changes, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        ordered(CARD, _base(tmp_path), changes, tmp_path, tmp_path / "new")


def test_a_simulator_that_failed_needs_a_reason() -> None:
    require_accepted(True, Changes())
    require_accepted(False, Changes(accepted="only a rehearsal"))
    with pytest.raises(UserError, match="say why"):
        require_accepted(False, Changes(accepted="  "))
