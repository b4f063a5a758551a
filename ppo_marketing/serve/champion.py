"""Who decides: a verified bundle behind its guardrails, and how another one takes its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppo_marketing.errors import UserError
from ppo_marketing.export.loading import Bundle, load_bundle
from ppo_marketing.export.sealed import MANIFEST
from ppo_marketing.guardrails import Always, Guardrail, GuardrailLimits
from ppo_marketing.serve.words import Words


@dataclass(frozen=True)
class Champion:
    """A bundle that may decide."""

    bundle: Bundle
    words: Words
    guardrail: Guardrail | None
    """None where the bundle has no limits: actions of several parts."""

    @property
    def version(self) -> str:
        """The policy's version, as the decision log names it."""
        return str(self.bundle.manifest["policy_sha256"])[:12]

    @property
    def choices(self) -> int:
        """How many choices there are; 0 where actions are amounts."""
        return int(self.bundle.policy.action_schema.get("choices", 0))


def champion_of(bundle: Bundle, fallback: float | None) -> Champion:
    """A bundle as a champion; `fallback` is the action where its policy cannot answer.

    Raises UserError where the fallback is none of its actions.
    """
    guardrail = None
    if bundle.limits is not None:
        safe = Always(_fallback(bundle.limits, bundle.policy.action_schema, fallback))
        guardrail = Guardrail(bundle.limits, bundle.policy, safe)
    return Champion(bundle, Words.of(bundle.schema), guardrail)


def _fallback(
    limits: GuardrailLimits, action: Any, fallback: float | None
) -> int | tuple[float, ...]:
    """The given action, else the one that leaves everybody alone, else 0 or what is nearest."""
    if limits.choices is not None:
        choice = fallback if fallback is not None else (limits.choices.nothing or 0)
        if choice != int(choice) or not 0 <= choice < limits.choices.choices:
            raise UserError(f"fallback is {choice}: choose 0 to {limits.choices.choices - 1}")
        return int(choice)
    held = limits.amounts
    assert held is not None
    amount = fallback if fallback is not None else held.nothing
    if amount is None:
        amount = min(max(0.0, held.floor), held.cap)
    if not held.floor <= amount <= held.cap and amount != held.nothing:
        raise UserError(f"fallback is {amount}: choose from {held.floor} to {held.cap}")
    return (float(amount),) * len(action["low"])


class Post:
    """The place that a champion holds; another takes it between two decisions, or none does."""

    def __init__(self, folder: Path, fallback: float | None, sha256: str | None = None) -> None:
        self._folder, self._fallback = folder, fallback
        self._seen = self._signature()
        self.champion = champion_of(load_bundle(folder, sha256=sha256), fallback)

    def challenger(self, *, again: bool = False) -> Champion | None:
        """The verified bundle that lies in the folder now, where it is another; None else.

        A refused one is not looked at again until it changes, but when `again` is asked.

        Raises:
            PpoMarketingError: it cannot be used; whoever is in charge remains.
        """
        found = self._signature()
        if found is None or (found == self._seen and not again):
            return None  # between the two renames of an export there is no folder
        self._seen = found
        bundle = load_bundle(self._folder)
        if bundle.sha256 == self.champion.bundle.sha256:
            return None
        other = champion_of(bundle, self._fallback)
        for name, of in _MUST_AGREE.items():
            if of(other) != of(self.champion):
                raise UserError(
                    f"{self._folder} holds a policy of another {name}: serve it with a server of "
                    "its own"
                )
        return other

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            found = (self._folder / MANIFEST).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


_MUST_AGREE: dict[str, Callable[[Champion], object]] = {
    "decision": lambda one: one.words.decision,
    "observation": lambda one: one.words.names,
    "menu of choices": lambda one: one.words.choices,
    "number of amounts": lambda one: one.words.amounts,
    "need of its limits": lambda one: (
        None if one.bundle.limits is None else one.bundle.limits.needs
    ),
}
