"""The one Gymnasium environment: a World at size 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from envs.core.forms import Form, in_form
from envs.core.render import as_picture, as_text
from envs.core.world import Array, World

RENDER_MODES = ("ansi", "rgb_array")


def chosen_world(
    world: World[Any] | None,
    world_of: Callable[..., World[Any]],
    actions: Form,
    options: Mapping[str, Any],
) -> World[Any]:
    """The world given, or the one that the options describe, with its actions in the form asked.

    Raises ValueError where both are given: the options would change nothing.
    """
    if world is None:
        world = world_of(**options)
    elif options:
        raise ValueError(f"a world was given, so {sorted(options)} would change nothing: drop them")
    return in_form(world, actions)


def checked_actions(actions: Any, space: gymnasium.Space[Any], n: int) -> Array:
    """`n` actions as an array; compiled dynamics would read beyond their tables.

    Raises ValueError where their number, type or range is wrong.
    """
    array = np.asarray(actions)
    wanted = (n, *(space.shape or ()))
    if array.shape != wanted:
        raise ValueError(f"actions have shape {array.shape}: it must be {wanted}")
    if isinstance(space, gymnasium.spaces.Discrete) and n > 0:
        last = space.start + space.n - 1
        if array.dtype.kind not in "iu" or array.min() < space.start or array.max() > last:
            raise ValueError(
                f"actions must be whole numbers from {space.start} to {last}; found "
                f"{array.dtype} from {array.min()} to {array.max()}"
            )
    return array


class WorldEnv(gymnasium.Env[Array, Array]):
    """One copy of a world behind the Gymnasium API; decision folders document the particulars.

    `info["kpis"]` holds the amounts of the step just made, `info["action_mask"]` the allowed
    actions where the world has masks. `actions` is "own", "discrete" or "continuous": the kind of
    action space that the agent is given (`envs/core/forms.py`).
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        world: World[Any] | None = None,
        *,
        render_mode: str | None = None,
        actions: Form = "own",
        **options: Any,
    ) -> None:
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise ValueError(f"render_mode is {render_mode!r}: choose one of {RENDER_MODES}")
        self.world = chosen_world(world, self.world_of, actions, options)
        self.observation_space = self.world.observation_space
        self.action_space = self.world.action_space
        self.render_mode = render_mode
        self._state: Any = None
        self._trace: list[dict[str, float]] = []

    @staticmethod
    def world_of(**options: Any) -> World[Any]:
        """The world that `gymnasium.make(id, **options)` asks for; every decision says which."""
        raise NotImplementedError("give a world, or use a decision's own environment")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start an episode drawn with `self.np_random`."""
        super().reset(seed=seed)
        self._state = self.world.initial(1, self.np_random)
        self._trace = []
        return self.world.observe(self._state)[0], self._masked({})

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Make one decision."""
        batch = checked_actions(np.asarray(action)[None], self.action_space, 1)
        control = self.world.control(self._state, batch)
        outcome = self.world.step(self._state, control, self.np_random)
        self._state = outcome.state
        kpis = {name: float(amount[0]) for name, amount in outcome.kpis.items()}
        self._trace.append(kpis)
        return (
            self.world.observe(self._state)[0],
            float(outcome.reward[0]),
            bool(outcome.terminated[0]),
            bool(outcome.truncated[0]),
            self._masked({"kpis": kpis}),
        )

    def _masked(self, info: dict[str, Any]) -> dict[str, Any]:
        mask = self.world.action_mask(self._state)
        if mask is not None:
            info["action_mask"] = mask[0].astype(np.int8)
        return info

    def render(self) -> str | NDArray[np.uint8] | None:
        """The episode so far: a table (`ansi`) or a chart of running totals (`rgb_array`)."""
        if self.render_mode == "ansi":
            return as_text(self._trace, self.world.horizon)
        if self.render_mode == "rgb_array":
            return as_picture(self._trace, self.world.horizon)
        return None
