"""The model card: what a policy is, what it rests on and where it must not be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppo_marketing.guardrails.limits import GuardrailLimits


def model_card(
    *,
    decision: Mapping[str, Any],
    log: Mapping[str, Any],
    fidelity: Mapping[str, Any],
    evidence: Mapping[str, Any],
    verdict: Mapping[str, Any],
    limits: GuardrailLimits | None,
    policy_sha256: str,
    made_at: str,
) -> dict[str, Any]:
    """The card as plain values: data, fidelity, evidence, verdict, limits.

    `decision` holds name, title, question and `not_modelled`; `log`, `evidence` and `verdict` are
    the run's own records, `fidelity` its calibration's report.
    """
    later = evidence["later"]
    rows = [
        {name: row[name] for name in ("name", "kind", "value", "share_of_ceiling", "policy_lift")}
        for row in later["rows"]
    ]
    return {
        "decision": dict(decision),
        "policy_sha256": policy_sha256,
        "made_at": made_at,
        "data": {name: log.get(name) for name in ("source", "sha256", "rows")},
        "fidelity": {
            "passed": fidelity["passed"],
            "checks": fidelity["checks"],
            "accepted_because": evidence["config"].get("accept_failed_fidelity"),
        },
        "evidence": {
            "world": later["world"],
            "episodes": later["episodes"],
            "best_rule": later["best_rule"],
            "optimism_gap": evidence["optimism_gap"],
            "rows": rows,
        },
        "verdict": {
            "passed": verdict["passed"],
            "reasons": list(verdict["reasons"]),
            "findings": verdict["findings"],
            "value": verdict["value"],
        },
        "limits": {
            "guardrails": None if limits is None else _told(limits),
            "notes": list(evidence["notes"]),
        },
    }


def _told(limits: GuardrailLimits) -> dict[str, Any]:
    """The limits as a reader needs them: how many ids are suppressed, not which."""
    return limits.as_dict() | {
        "suppressed": len(limits.suppressed),
        "support": bool(limits.support),
    }


def as_markdown(card: Mapping[str, Any]) -> str:
    """The card as a page."""
    decision, data, verdict = card["decision"], card["data"], card["verdict"]
    said = "passed" if verdict["passed"] else "**refused**: " + ", ".join(verdict["reasons"])
    lines = [
        f"# Model card: {decision['title']}",
        "",
        decision["question"],
        "",
        f"Policy `{card['policy_sha256'][:12]}`, exported {card['made_at']}. The gate: {said}.",
        "",
        "## Data",
        "",
        f"{data['rows']:,} rows of {data['source']} (SHA-256 `{str(data['sha256'])[:12]}`).",
        "",
        *_fidelity(card["fidelity"]),
        *_evidence(card["evidence"]),
        *_verdict(verdict),
        *_limits(card["limits"], decision.get("not_modelled", "")),
    ]
    return "\n".join(lines) + "\n"


def _fidelity(fidelity: Mapping[str, Any]) -> list[str]:
    said = "reproduces" if fidelity["passed"] else "does **not** reproduce"
    lines = ["## Fidelity", "", f"The simulator {said} the held-out part of the log.", ""]
    if fidelity["accepted_because"] and not fidelity["passed"]:
        lines += [f"Accepted all the same, because: {fidelity['accepted_because']}", ""]
    lines += ["| check | value | allowed | |", "|---|---|---|---|"]
    lines += [
        f"| {_cell(check['name'])} | {_number(check['value'])} | {_number(check['low'])} to "
        f"{_number(check['high'])} | {'passed' if check['passed'] else 'failed'} |"
        for check in fidelity["checks"]
    ]
    return [*lines, ""]


def _evidence(evidence: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Evidence",
        "",
        f"{evidence['world']}, {evidence['episodes']:,} episodes; the best rule is "
        f"{evidence['best_rule']}. In training the policy looked better by "
        f"{_number(evidence['optimism_gap'])} of its value.",
        "",
        "| who decides | value | of the ceiling | PPO's lift over it |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {_cell(row['name'])} | "
        + " | ".join(_interval(row[n]) for n in ("value", "share_of_ceiling", "policy_lift"))
        + " |"
        for row in evidence["rows"]
    ]
    return [*lines, ""]


def _verdict(verdict: Mapping[str, Any]) -> list[str]:
    lines = ["## Verdict", "", "| test | outcome | found | allowed |", "|---|---|---|---|"]
    lines += [
        "| " + " | ".join(_cell(one[n]) for n in ("test", "outcome", "found", "allowed")) + " |"
        for one in verdict["findings"]
    ]
    return [*lines, ""]


def _limits(limits: Mapping[str, Any], not_modelled: str) -> list[str]:
    held = limits["guardrails"]
    set_ones = [] if held is None else [n for n, v in held.items() if v not in (None, [], 0, False)]
    lines = ["## Limits", "", f"Guardrails that go with it: {', '.join(set_ones) or 'none'}.", ""]
    if not_modelled:
        lines += [f"Not modelled: {not_modelled}", ""]
    return [*lines, *(f"* {note}" for note in limits["notes"])]


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _interval(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return ""
    numbers = (_number(estimate[name]) for name in ("value", "low", "high"))
    return "{} [{}, {}]".format(*numbers)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
