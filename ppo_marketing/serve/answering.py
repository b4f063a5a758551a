"""`/v1/decide` and `/v1/settle`: from a request's values to an answer and lines of the log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from envs.core.live import Asked, Reply
from ppo_marketing.guardrails import MEANING, Reason
from ppo_marketing.serve.body import BadRequest
from ppo_marketing.serve.champion import Champion
from ppo_marketing.serve.deciding import Decided, decide, in_words
from ppo_marketing.serve.desk import Desk
from ppo_marketing.serve.questions import Questions, as_number, as_whole, read_questions
from ppo_marketing.serve.settings import RequestLimits


def answer_decide(desk: Desk, asked: Asked, limits: RequestLimits) -> Reply:
    """Decide everything that was asked, or nothing.

    Raises BadRequest where anything of it cannot be decided.
    """
    champion = desk.champion
    questions = read_questions(asked.body, champion.words, champion.choices, limits)
    try:
        decided = decide(champion, desk.books, questions, asked.now, desk.rng)
    except OSError:
        desk.metrics.alerts.labels("books").inc()
        return Reply(503, {"error": "the books cannot be kept: nothing was decided"}, "books")
    ids = [desk.new_id() for _ in decided]
    desk.metrics.decisions.labels(champion.version).inc(len(decided))
    for one in decided:
        for reason in one.reasons:
            desk.metrics.reasons.labels(reason).inc()
    desk.log_lines(
        [_line(champion, questions, i, ids[i], one, asked.now) for i, one in enumerate(decided)]
    )
    return Reply(
        200,
        {
            "decision": champion.words.decision,
            "policy": champion.version,
            "decisions": [
                _told(champion, questions.ids[i], ids[i], one) for i, one in enumerate(decided)
            ],
        },
    )


def _told(champion: Champion, given: str | None, own: str, one: Decided) -> dict[str, Any]:
    told: dict[str, Any] = {
        "decision_id": own,
        "action": in_words(champion, one.action),
        "propensity": one.propensity,
        "reasons": [{"reason": name, "meaning": MEANING[Reason(name)]} for name in one.reasons],
    }
    if given is not None:
        told["id"] = given
    if one.receipt >= 0:
        told["receipt"] = one.receipt
    return told


def _line(
    champion: Champion, questions: Questions, i: int, own: str, one: Decided, now: float
) -> dict[str, Any]:
    """A line of the decision log; `row` is what the decision's own log keeps of it."""
    known = {
        "time": as_time(now),
        "id": own,
        "unit": None if questions.units is None else questions.units[i],
        "propensity": one.propensity,
    }
    words = champion.words
    row = {column: known[what] for column, what in words.logged.items()}
    if words.logged and champion.choices and champion.bundle.policy.action_schema["scalar"]:
        start = int(champion.bundle.policy.action_schema["starts"][0])
        row |= words.choices[int(one.action[0]) - start]
    return {
        "kind": "decision",
        "id": own,
        "time": known["time"],
        "policy": champion.version,
        "action": in_words(champion, one.action),
        "propensity": one.propensity,
        "reasons": list(one.reasons),
        "given": questions.ids[i],
        "observation": [None if x != x else x for x in questions.observation[i].tolist()],
        "row": {**questions.context[i], **row} if words.logged else {},
    }


def as_time(now: float) -> str:
    """A time as logs have it: ISO 8601, UTC."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


def answer_settle(desk: Desk, asked: Asked, limits: RequestLimits) -> Reply:
    """Book what decisions really cost: {"settlements": [{"receipt": 5, "spent": 0.3}]}.

    Raises BadRequest that says what is allowed.
    """
    body = asked.body
    given = body.get("settlements") if isinstance(body, Mapping) else None
    if not isinstance(given, list) or not 1 <= len(given) <= limits.decisions:
        raise BadRequest(
            f'the body must be {{"settlements": [...]}} with 1 to {limits.decisions} of them'
        )
    read = [_settlement(one, f"settlements[{i}]") for i, one in enumerate(given)]
    booked = 0
    try:
        for receipt, spent in read:
            if desk.books.state.open.get(receipt) is not None:
                booked += desk.books.settle(receipt, spent, spent)
    except OSError:
        desk.metrics.alerts.labels("books").inc()
        return Reply(503, {"error": "the books cannot be kept: settle again"}, "books")
    return Reply(200, {"booked": booked, "ignored": len(read) - booked})


def _settlement(one: Any, place: str) -> tuple[int, float]:
    receipt = as_whole(one.get("receipt")) if isinstance(one, Mapping) else None
    spent = as_number(one.get("spent")) if isinstance(one, Mapping) else None
    if receipt is None or receipt < 0:
        raise BadRequest(f"{place}.receipt must be one that /v1/decide gave")
    if spent is None or spent < 0:
        raise BadRequest(f"{place}.spent must be a number of 0 or more, in currency")
    return receipt, spent
