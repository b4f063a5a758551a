"""Several runs as campaigns that share one budget: what they must have in common, and their terms.

Each run is one campaign: its log, its simulator, its policy. Money can only be moved between curves
that say the same of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ppo_marketing.errors import UserError, meant
from ppo_marketing.what_if.allocation import Campaign, campaign
from ppo_marketing.what_if.curve import Curve


@dataclass(frozen=True)
class Origin:
    """Where a campaign's curve comes from: a run, its decision, its money, and the hash of its log.

    `steps` are those of an episode; None as long as nobody has simulated one.
    """

    run: str
    decision: str
    currency: str
    log_sha256: str
    steps: int | None = None


def refuse_mixed(origins: Sequence[Origin]) -> None:
    """Refuse campaigns whose spend and value are not counted in the same way.

    Raises UserError that lists every difference.
    """
    told: tuple[tuple[str, Callable[[Origin], str | int | None]], ...] = (
        ("decisions", lambda one: one.decision),
        ("currencies", lambda one: one.currency),
        ("lengths of an episode", lambda one: one.steps),
    )
    problems = []
    for what, of in told:
        if len({of(one) for one in origins}) > 1:
            listed = ", ".join(f"{one.run} has {of(one)}" for one in origins)
            problems.append(f"different {what}: {listed}")
    names = [one.run for one in origins]
    problems += [f"{name} is named twice" for name in sorted(set(names)) if names.count(name) > 1]
    if problems:
        raise UserError(
            "these runs cannot share one budget:\n  " + "\n  ".join(problems) + "\nChoose runs of "
            "one decision, judged in one currency and with episodes of one length, each once"
        )


def doubts(origins: Sequence[Origin]) -> tuple[str, ...]:
    """What to know of campaigns that may share a budget: runs of one log are one campaign."""
    by_log: dict[str, list[str]] = {}
    for one in origins:
        by_log.setdefault(one.log_sha256, []).append(one.run)
    return tuple(
        f"{' and '.join(runs)} were fitted to the same log: if they are one campaign, its money "
        "and its value are counted more than once."
        for runs in by_log.values()
        if len(runs) > 1
    )


@dataclass(frozen=True)
class Terms:
    """How far a campaign's spend may change, x now, and how many episodes it has in the period that
    the budget is for (a campaign of 1,000 customers has 1,000).

    Raises UserError where the number of episodes is not above 0.
    """

    locked: bool = False
    least: float = 0.0
    most: float | None = None
    size: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.size < float("inf"):
            raise UserError(f"a campaign of {self.size:g} episodes: there must be more than none")

    def campaign(self, curve: Curve) -> Campaign:
        """The campaign of a curve on these terms."""
        return campaign(
            curve.times(self.size), locked=self.locked, least=self.least, most=self.most
        )


def parsed_terms(texts: Sequence[str], runs: Sequence[str]) -> Mapping[str, Terms]:
    """`RUN: locked`, `RUN: least=0.5, most=2, size=1000`, one text a run; others are free.

    Raises UserError that lists everything that cannot be read.
    """
    problems: list[str] = []
    found = {run: Terms() for run in runs}
    for text in texts:
        run, _, rest = (part.strip() for part in text.partition(":"))
        if run not in found:
            problems.append(f"{run!r} is none of the runs; {meant(run, runs)}")
            continue
        given: dict[str, float | bool] = {}
        for pair in filter(None, (pair.strip() for pair in rest.split(","))):
            name, _, value = (part.strip() for part in pair.partition("="))
            if name == "locked" and not value:
                given["locked"] = True
            elif name in ("least", "most", "size") and _number(value) is not None:
                given[name] = float(value)
            else:
                problems.append(f"{pair!r} of {run}")
        try:
            found[run] = Terms(**given)  # type: ignore[arg-type]
        except UserError as error:
            problems.append(f"{run}: {error}")
    if problems:
        raise UserError(
            "these terms cannot be read:\n  " + "\n  ".join(problems) + "\nWrite `RUN: locked` or "
            "`RUN: least=0.5, most=2, size=1000`; least and most are factors on what it spends now"
        )
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
