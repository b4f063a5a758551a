"""The champion as a retraining needs it: its policy, its start and its settings, verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from envs.core.decision import Calibration, Decision
from envs.core.settings import load_settings
from ppo_marketing.audit_trail import Line
from ppo_marketing.errors import UserError
from ppo_marketing.files import folder_sha256
from ppo_marketing.jobs.folder import part_of
from ppo_marketing.jobs.policy_folder import START, require_unseen_days
from ppo_marketing.jobs.release_book import Desk
from ppo_marketing.jobs.released import champion_of
from ppo_marketing.pipeline import reading
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.categorical import ItemHead
from ppo_marketing.ppo.checkpoint import load_policy
from ppo_marketing.tracking import open_tracker


class Incumbent(NamedTuple):
    """The champion: the line it was released by, its folder, its agents, what they act under."""

    line: Line
    folder: Path
    agent: Agent
    start: Agent
    settings: Any


def released_line(decision: str, desk: Desk) -> Line | None:
    """The line by which the champion stands; None where nothing was released.

    Raises IntegrityError where the record or the alias is not what was written.
    """
    now = champion_of(decision, desk).standing
    return None if now is None else now.champion


def incumbent(
    decision: Decision, line: Line, project: Path, named: Path | None, *runs: Path
) -> Incumbent:
    """The policy that `line` released, from where it was trained, a folder of `runs`, or `named`.

    Raises UserError where its folder is in none of them.
    """
    folder = _folder_of(line, project, named, runs)
    with as_user_error():
        settings: Any = load_settings(folder, decision.settings_type)
    return Incumbent(line, folder, load_policy(folder), load_policy(folder / START), settings)


def changed_settings(
    decision: Decision, environment: Mapping[str, Any], champion: Incumbent
) -> list[str]:
    """Which of the champion's settings the project's `environment:` changes."""
    theirs = champion.settings
    asked = reading.given_settings(decision, environment, theirs)
    return sorted(n for n, value in vars(asked).items() if value != vars(theirs)[n])


def policy_of(line: Line, runs: Iterable[Path]) -> Path | None:
    """The folder of the very policy that `line` released, in the first run that has it."""
    for run in runs:
        folder = part_of(run, "policy")
        try:
            if folder_sha256(folder, "policy.json") == line.policy_sha256:
                return folder
        except OSError:  # a folder of something else, or one that is being removed
            continue
    return None


def fitted(champion: Incumbent, calibration: Calibration, fresh: Agent) -> Incumbent:
    """The champion as it would act in the newly calibrated market.

    Raises UserError where it was trained on days that are judged now, or has another form than the
    policy that would be trained, a `fresh` one.
    """
    require_unseen_days(champion.folder, calibration)
    agent, start = (_of_today(policy, fresh) for policy in (champion.agent, champion.start))
    if agent.describe() != fresh.describe():
        raise UserError(
            f"the champion in {champion.folder} has another form than what would be trained:\n"
            f"  it is      {agent.describe()}\n  it would be {fresh.describe()}\n"
            "Train with the champion's training.ppo settings, or set retraining.from_champion: "
            "false in the project file, training.anchor_to: start of a single run"
        )
    return champion._replace(agent=agent, start=start)


def _of_today(policy: Agent, fresh: Agent) -> Agent:
    """The policy for today's catalogue, where it scores items by their features."""
    if isinstance(policy.head, ItemHead) and isinstance(fresh.head, ItemHead):
        return policy.for_items(fresh.head.features.cpu().numpy())
    return policy


def _folder_of(line: Line, project: Path, named: Path | None, runs: Sequence[Path]) -> Path:
    registry = open_tracker(project).registry
    assert line.to_version is not None
    logged = registry.output_of(registry.version(line.decision, line.to_version).run_id)
    places = [place for place in (named, logged) if place is not None]
    places += [run for folder in runs if folder.is_dir() for run in sorted(folder.iterdir())]
    folder = policy_of(line, places)
    if folder is not None:
        return folder
    looked = ", ".join(map(str, places)) or "nowhere"
    raise UserError(
        f"the run folder of version {line.to_version}, the champion, is not found (looked in "
        f"{looked}): name it as retraining.champion in the project file, or set "
        "retraining.from_champion: false; of a single run, put it back or set training.anchor_to: "
        "start"
    )
