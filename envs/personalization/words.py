"""What people call the observations and the actions of personalization."""

from __future__ import annotations

from typing import Any

from envs.core.words import ActionWords, StateVariable, Words
from envs.core.world import Array
from envs.personalization.encoding import Encoder
from envs.personalization.session_world import SessionWorld
from envs.personalization.world import PersonalizationWorld

OTHER = "other"


def words(calibration: Any, world: PersonalizationWorld | SessionWorld) -> Words:
    """The log's own context columns where a calibration knows them, then page and session."""
    size = world.model.context_size
    encoder = None if calibration is None else calibration.encoder
    variables = [
        *_context(encoder, size),
        StateVariable(
            name="slots_left", label="Slots left", unit="%", columns=(size,), scale=100.0,
            help="share of the page's slots still to fill",
        ),
        *(_session(world, size + 1) if isinstance(world, SessionWorld) else ()),
    ]  # fmt: skip
    return Words(
        variables=tuple(variables),
        action=ActionWords(
            label="Item", help="the item that is shown next", choices=world.items.ids
        ),
        why_not=_why_not,
    )


def _why_not(observation: Array, mask: Array) -> tuple[str, ...]:
    reason = "not eligible for this visitor, or on the page already"
    return tuple("" if may else reason for may in mask)


def _context(encoder: Encoder | None, size: int) -> list[StateVariable]:
    if encoder is None or encoder.projection is not None or not encoder.columns:
        help = "a mix of the log's context columns, standardised"
        return [
            StateVariable(
                name=f"context_{i + 1}", label=f"Context {i + 1}", help=help, columns=(i,)
            )
            for i in range(size)
        ]
    found, at = [], 0
    for code in encoder.columns:
        columns = tuple(range(at, at + code.width))
        shared: dict[str, Any] = {
            "name": code.name,
            "label": code.name.replace("_", " ").capitalize(),
            "columns": columns,
        }
        if code.levels:
            levels = (*code.levels, OTHER)
            found.append(StateVariable(**shared, levels=levels, help="a context column of the log"))
        else:
            found.append(
                StateVariable(
                    **shared, shift=code.mean, scale=code.sd, help="a context column of the log"
                )
            )
        at += code.width
    return found


def _session(world: SessionWorld, first: int) -> list[StateVariable]:
    categories = world.items.categories
    bored = [
        StateVariable(
            name=f"boredom_{c + 1}", label=f"Boredom, category {c + 1}", unit="levels",
            columns=(first + c,), scale=float(world.terms.boredom_levels),
            help="rises with every page that shows the category, and falls with every other",
        )
        for c in range(categories)
    ]  # fmt: skip
    at = first + categories
    return [
        *bored,
        StateVariable(name="clicked", label="Last item clicked", columns=(at,),
                      levels=("yes", "no"), help="whether the last item shown was clicked"),
        StateVariable(name="satisfaction", label="Satisfaction", unit="%", columns=(at + 1,),
                      scale=100.0,
                      help="how well the items shown so far serve a return; 0 in one-day visits"),
        StateVariable(name="day", label="Day of the visitor", unit="day", columns=(at + 2,),
                      scale=float(world.terms.days), help="days since the first visit"),
        StateVariable(name="here", label="Still here", columns=(at + 3,), levels=("yes", "no"),
                      help="whether the visitor has not left"),
    ]  # fmt: skip
