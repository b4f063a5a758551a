"""What people call the observations and the actions of sequencing."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.core.words import ActionWords, StateVariable, Words
from envs.core.world import Array
from envs.sequencing.tables import NO_CHANNEL
from envs.sequencing.world import SequencingWorld

YES_NO = ("yes", "no")
WEEKS_SEEN = 8.0  # a contact longer ago looks like one of eight weeks ago
MOST_WAITING = 4.0


def words(calibration: Any, world: SequencingWorld) -> Words:
    """Recency, frequency, and for each channel fatigue, consent, room and the last contact."""
    recencies, frequencies = world.tables.shape[:2]
    variables = [
        _levels("recency", 0, recencies, "Weeks since the last purchase",
                "whole weeks; the last level is that or more", "or more"),
        _levels("frequency", recencies, frequencies, "How often the customer buys",
                "from 0, seldom", ""),
    ]  # fmt: skip
    at = recencies + frequencies
    place = {}
    for channel, bins in zip(world.menu.channels, world.terms.bins.tolist(), strict=True):
        variables += _of_channel(channel, at, bins)
        place[channel] = at + bins  # consent; one further on: whether it is open now
        at += bins + 3
    variables += [
        StateVariable(
            name="time_left", label="Programme left", unit="%", scale=100.0, columns=(at,),
            help="share of the horizon that is left; 0 where the horizon is only a cut",
        ),
        StateVariable(
            name="waiting", label="Purchases to be paid", unit="purchases", columns=(at + 1,),
            scale=MOST_WAITING, help="bought and not yet paid, at most 4",
        ),
    ]  # fmt: skip
    of_action = [
        None if c == NO_CHANNEL else world.menu.channels[c] for c in world.menu.channel.tolist()
    ]

    def allowed(observation: Array, mask: Array | None) -> Array:
        open_now = {
            channel: (observation[:, column] > 0.5) & (observation[:, column + 1] > 0.5)
            for channel, column in place.items()
        }
        always = np.ones(len(observation), np.bool_)
        return np.stack([always if c is None else open_now[c] for c in of_action], axis=1)

    def why_not(observation: Array, mask: Array) -> tuple[str, ...]:
        return tuple(
            "" if may or channel is None else _reason(channel, observation[place[channel]] > 0.5)
            for channel, may in zip(of_action, mask, strict=True)
        )

    return Words(
        variables=tuple(variables),
        action=ActionWords(
            label="Contact",
            help="the contact of the week, or none",
            choices=("no contact", *world.menu.labels[1:]),
        ),
        allowed=allowed,
        why_not=why_not,
    )


def _reason(channel: str, consents: bool) -> str:
    if not consents:
        return f"no consent to {channel}"
    return f"{channel} is shut this week: a frequency cap, a quiet week or no capacity"


def _levels(name: str, first: int, count: int, label: str, help: str, last: str) -> StateVariable:
    words = [str(i) for i in range(count)]
    words[-1] = f"{words[-1]} {last}".strip()
    columns = tuple(range(first, first + count))
    return StateVariable(
        name=name, label=label, help=help, columns=columns, levels=tuple(words), ordered=True
    )


def _of_channel(channel: str, first: int, bins: int) -> list[StateVariable]:
    after = first + bins
    return [
        _levels(f"fatigue_{channel}", first, bins, f"Contact pressure, {channel}",
                "from 0, rested", ""),
        StateVariable(name=f"consent_{channel}", label=f"Consent, {channel}", columns=(after,),
                      levels=YES_NO, help=f"whether {channel} may be used at all"),
        StateVariable(name=f"open_{channel}", label=f"Open now, {channel}", columns=(after + 1,),
                      levels=YES_NO, help="whether consent, caps, quiet weeks and capacity allow "
                      f"{channel} in this week"),
        StateVariable(name=f"since_{channel}", label=f"Last contact, {channel}", unit="weeks ago",
                      columns=(after + 2,), scale=WEEKS_SEEN,
                      help="at most 8; 0 where no cap reaches back beyond the week"),
    ]  # fmt: skip
