"""From a judged run's folder to what leaves the house."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import yaml
from pydantic import ValidationError

from envs.core.decision import Calibration, Decision
from envs.core.live import LiveForm
from envs.core.settings import load_settings
from envs.core.world import Array, World
from ppo_marketing.access import Permission
from ppo_marketing.config import PROJECT
from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.export.bundle import KIND, bundle_files
from ppo_marketing.export.decision_table import DecisionTable, decision_table
from ppo_marketing.export.loading import LIVE
from ppo_marketing.export.model_card import as_markdown
from ppo_marketing.export.sealed import as_json, require_replaceable
from ppo_marketing.export.whole_folder import write_whole
from ppo_marketing.files import held_alone, read_json
from ppo_marketing.guardrails import GuardrailLimits, Support
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.jobs.admission import admit
from ppo_marketing.jobs.calibration import load_calibration
from ppo_marketing.jobs.logs import decision_named
from ppo_marketing.jobs.release_book import Desk, standing_champion
from ppo_marketing.jobs.run_card import card_of, documentation
from ppo_marketing.jobs.verdicts import Audited, kept_verdict, require_passed
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy
from ppo_marketing.releases import require_in_force

GOLDEN_ROWS = 64
COPIES = 256
"""Episodes played for golden vectors and for the range of what the policy has seen."""


class Exportable(NamedTuple):
    """A judged run, read and verified: everything an export is made of."""

    decision: Decision
    agent: Agent
    settings: Any
    calibration: Calibration
    audited: Audited
    evidence: Mapping[str, Any]
    log: Mapping[str, Any]
    limits: GuardrailLimits | None
    observation: Array  # [n, obs] met by the policy itself in its training world
    mask: Array | None
    table: DecisionTable | None
    without_table: str | None  # why there is none
    world: World[Any]  # the log's earlier part, as the policy plans with it


def require_releasable(run: Path, now: datetime) -> Audited:
    """What permits the policy of a run to leave the house: its verdict, or its release by override.

    Raises:
        UserError: there is no verdict.
        IntegrityError: the verdict, the policy or the audit trail is not what was written.
        GateNotPassed: a test refused the policy, and it is not the champion by override.
        Refused: it is, but the override has expired.
    """
    audited = kept_verdict(run)
    if audited.verdict.passed:
        return audited
    released = standing_champion(_project_of(run), audited.decision)
    if released is None or released.policy_sha256 != audited.policy_sha256:
        require_passed(audited.verdict)
    else:
        require_in_force(released, now)
    return audited


def _project_of(run: Path) -> Path:
    """The project that a run belongs to, as its configuration says."""
    path = run / "config.yaml"
    given = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return Path(given.get("project", PROJECT))


def exportable(run: Path) -> Exportable:
    """Read a run that may be released.

    Raises:
        UserError: the folder is not a whole run. As `require_releasable` else.
    """
    return whole_run(run, require_releasable(run, datetime.now(UTC)))


def whole_run(run: Path, audited: Audited) -> Exportable:
    """Read a run with its verdict, whether or not it may be released: for whoever looks at it.

    Raises UserError where the folder is not a whole run, IntegrityError where it is another's.
    """
    missing = [n for n in ("config.yaml", "evidence.json", "calibration") if not (run / n).exists()]
    if missing:
        raise UserError(
            f"{run} holds no {', '.join(missing)}: name the folder that `run` wrote to, or "
            "evaluate into the folder that holds the calibration"
        )
    decision = decision_named(audited.decision)
    evidence = read_json(run / "evidence.json")
    if evidence.get("data_sha256") != audited.data_sha256:
        raise IntegrityError(f"{run} holds evidence of another log than its verdict's: judge again")
    calibration, _ = load_calibration(decision, run / "calibration")
    agent = load_policy(audited.policy)
    with as_user_error():
        settings: Any = load_settings(audited.policy, decision.settings_type)
        world = calibration.history_world(settings)
    observation, mask = _met(agent, calibration, decision.training_settings(settings))
    limits = _limits(run / "config.yaml", world.action_space, observation)
    table, reason = _table(decision, agent, world, limits)
    log = read_json(run / "calibration" / "log.json")
    return Exportable(
        decision, agent, settings, calibration, audited, evidence, log, limits,
        observation, mask, table, reason, world,
    )  # fmt: skip


def require_may_export(run: Path, target: str, desk: Desk | None) -> None:
    """Raise Refused where whoever stands at the desk may not export; None: local use."""
    if desk is not None:
        decision = kept_verdict(run).decision
        admit(desk, Permission.EXPORT, decision=decision, asked=f"export {target}")


def export_bundle(
    run: Path, output: Path, *, made_at: str, dry_run: bool, desk: Desk | None = None
) -> dict[str, Any]:
    """Write the bundle of a judged run, or only say what would be written, which everybody may see.

    `made_at` is the time of the export, ISO 8601 UTC: the same run and time give the same bytes.
    `desk` says who exports; None: local use.

    Raises:
        Refused: whoever stands at the desk may not; recorded.
        As `exportable`, `bundle_files` and `write_whole` else.
    """
    if not dry_run:
        require_may_export(run, KIND, desk)
    require_replaceable(output, KIND)
    found = exportable(run)
    files = bundle_of(found, made_at)
    if not dry_run:
        with held_alone(output.parent):
            write_whole(output, files)
    return {
        "target": "bundle",
        "folder": str(output),
        "dry_run": dry_run,
        "policy_sha256": found.agent.sha256(),
        "files": {name: len(content) for name, content in files.items()},
        "left_out": _left_out(found),
    }


def bundle_of(found: Exportable, made_at: str) -> dict[str, bytes]:
    """Every file of a run's bundle."""
    documents_of = documentation(found.decision)
    card = card_of(found, made_at)
    documents = {"model-card.json": as_json(card), "model-card.md": as_markdown(card).encode()}
    form = _live_form(found)
    if form is not None and form.terms is not None:
        documents[LIVE] = as_json(dict(form.terms))
    if found.table is not None:
        documents["decision-table.csv"] = found.table.csv()
    rows = np.linspace(0, len(found.observation) - 1, min(GOLDEN_ROWS, len(found.observation)))
    chosen = np.unique(rows.astype(int))
    return bundle_files(
        found.agent,
        observation=found.observation[chosen],
        mask=None if found.mask is None else found.mask[chosen],
        limits=found.limits,
        about={
            "decision": found.decision.name,
            "environment": found.decision.env_id,
            "observation": documents_of.get("Observation Space", ""),
            "action": documents_of.get("Action Space", ""),
            "labels": _labels(found.calibration, found.settings),
            "settings": asdict(found.settings),
            "live": None if form is None else _in_words(form, found.world.observation_space),
        },
        documents=documents,
        manifest={
            "decision": found.decision.name,
            "made_at": made_at,
            "data_sha256": found.audited.data_sha256,
            "verdict_sha256": found.audited.sha256,
            "left_out": _left_out(found),
            "versions": {name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
        },
    )


def _live_form(found: Exportable) -> LiveForm | None:
    if found.decision.live_form is None:
        return None
    return found.decision.live_form(found.world, found.calibration)


def _in_words(form: LiveForm, space: gymnasium.spaces.Box) -> dict[str, Any]:
    """A form as plain values, every field with the range that the environment allows it."""
    bounds = [
        [None if abs(bound) == np.inf else float(bound) for bound in edge.ravel().tolist()]
        for edge in (space.low, space.high)
    ]
    if len(form.fields) != len(bounds[0]):
        raise UserError(
            f"the decision names {len(form.fields)} observations of {len(bounds[0])}: its "
            "live_form must name every one"
        )
    fields = [
        {**asdict(field), "low": low, "high": high}
        for field, low, high in zip(form.fields, *bounds, strict=True)
    ]
    return {
        "fields": fields,
        "choices": [dict(choice) for choice in form.choices],
        "amounts": [asdict(amount) for amount in form.amounts],
        "logged": dict(form.logged),
    }


def _left_out(found: Exportable) -> dict[str, str]:
    return {} if found.without_table is None else {"decision-table.csv": found.without_table}


def _met(agent: Agent, calibration: Calibration, settings: Any) -> tuple[Array, Array | None]:
    """Observations and masks that the policy meets when it plays its training world itself."""
    rng = np.random.default_rng(0)  # the same export of the same run
    world = calibration.training_world(COPIES, settings, rng)
    state = world.initial(min(COPIES, world.episodes), rng)
    seen, masks = [], []
    for _ in range(world.horizon):
        observation, mask = world.observe(state), world.action_mask(state)
        seen.append(observation)
        masks.append(mask)
        action = agent.act(observation, rng, mask, deterministic=True)
        outcome = world.step(state, world.control(state, action), rng)
        state = outcome.state
        if bool(np.all(outcome.terminated | outcome.truncated)):
            break
    known = [mask for mask in masks if mask is not None]
    return np.concatenate(seen), np.concatenate(known) if known else None


def _limits(
    path: Path, action_space: gymnasium.Space[Any], observed: Array
) -> GuardrailLimits | None:
    """The run's own guardrails; None where it set none and its actions have no simple limits.

    Raises UserError where they cannot be used.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        section = GuardrailsSection.model_validate(content.get("guardrails") or {})
    except ValidationError as error:
        raise UserError(f"the guardrails of {path} cannot be used: {error}") from error
    simple = isinstance(action_space, (gymnasium.spaces.Discrete, gymnasium.spaces.Box))
    if section == GuardrailsSection() and not simple:
        return None
    return section.limits(action_space, Support.seen(observed))


def _table(
    decision: Decision, agent: Agent, world: Any, limits: GuardrailLimits | None
) -> tuple[DecisionTable | None, str | None]:
    if decision.decision_table is None:
        return None, "what this decision observes is too rich for a table: use the ONNX policy"
    try:
        grid = decision.decision_table(world)
    except ValueError as error:
        return None, str(error)
    return decision_table(agent, grid, limits), None


def _labels(calibration: Calibration, settings: Any) -> list[str] | None:
    """The names of the choices, where the log has them."""
    logged = calibration.heldout_decisions(settings)
    return None if logged is None else list(logged.actions)
