"""An exported policy that decides: ONNX in, actions out, with no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.random import Generator
from numpy.typing import NDArray

from ppo_marketing.errors import IntegrityError, UserError

Array = NDArray[Any]
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Answer(NamedTuple):
    """What a policy says of `n` observations; `probability` only where it chooses."""

    action: Array  # [n, ...] the most likely, as the environment takes it
    score: Array  # [n, outputs] masked logits, or the mean before it is bounded
    probability: Array | None  # [n, choices]


class OnnxPolicy:
    """A `Policy` over an ONNX graph and the schema that says what its numbers are.

    One thread a session: a decision is microseconds, and a server runs many beside each other.

    Raises:
        IntegrityError: the bytes are no model that onnxruntime reads.
    """

    def __init__(self, model: bytes, schema: Mapping[str, Any]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common base but this
            raise IntegrityError(f"policy.onnx is not a readable model: {error}") from error
        self.action_schema: Mapping[str, Any] = schema["action"]
        self.observation_size = int(schema["observation"]["size"])
        self._names = [output.name for output in self._session.get_outputs()]

    @property
    def chooses(self) -> bool:
        """Whether actions are choices; else they are amounts."""
        return "choices" in self.action_schema

    def answer(self, observation: Array, mask: Array | None = None) -> Answer:
        """The most likely action of every row with the scores behind it.

        Raises:
            UserError: shapes are wrong, a value is not finite, or a row allows nothing.
        """
        given = {"observation": self._observed(observation)}
        if self.chooses:
            given["mask"] = self._allowed(mask, len(observation))
        elif mask is not None:
            raise UserError("an action mask came with amounts; only choices have masks")
        said = dict(zip(self._names, self._session.run(self._names, given), strict=True))
        return Answer(said["action"], said["score"], said.get("probability"))

    def act(
        self,
        observation: Array,
        rng: Generator,
        mask: Array | None = None,
        *,
        deterministic: bool = False,
    ) -> Array:
        """An action for every row, drawn from the policy, or the most likely if `deterministic`.

        Raises:
            UserError: as `answer`.
        """
        said = self.answer(observation, mask)
        if deterministic:
            return said.action
        kind = self.action_schema
        if not self.chooses:
            noise = rng.standard_normal(said.score.shape, dtype=np.float32)
            return self._bounded(said.score + np.exp(np.array(kind["log_std"], np.float32)) * noise)
        noise = rng.standard_exponential(said.score.shape, dtype=np.float32)
        gumbel = -np.log(np.maximum(noise, np.float32(1e-30)))
        best = [part.argmax(axis=1) for part in self._parts(said.score + gumbel)]
        chosen = np.stack(best, axis=1) + np.array(kind["starts"])
        return np.asarray(chosen[:, 0] if kind["scalar"] else chosen)

    def log_prob(self, observation: Array, action: Array, mask: Array | None = None) -> Array:
        """log pi(a|s) `[n]`: of a choice, or the density of an amount's raw draw.

        Raises:
            UserError: as `answer`, or amounts are squashed, whose raw draw is not kept.
        """
        said = self.answer(observation, mask)
        kind = self.action_schema
        if not self.chooses:
            if kind["kind"] != "gaussian":
                raise UserError("log_prob of squashed amounts needs their draw before tanh")
            log_std = np.array(kind["log_std"])
            z = (np.asarray(action) - said.score) / np.exp(log_std)
            return np.asarray((-0.5 * z**2 - log_std - HALF_LOG_2PI).sum(axis=1))
        chosen = np.asarray(action).reshape(len(said.score), -1) - np.array(kind["starts"])
        assert said.probability is not None
        parts = self._parts(said.probability)
        rows = np.arange(len(said.score))
        with np.errstate(divide="ignore"):
            return np.asarray(sum(np.log(part[rows, chosen[:, i]]) for i, part in enumerate(parts)))

    def _parts(self, columns: Array) -> list[Array]:
        return np.split(columns, np.cumsum(self.action_schema["counts"])[:-1], axis=1)

    def _bounded(self, raw: Array) -> Array:
        kind = self.action_schema
        low = np.array([-np.inf if v is None else v for v in kind["low"]], np.float32)
        high = np.array([np.inf if v is None else v for v in kind["high"]], np.float32)
        if kind["kind"] != "gaussian":
            raw = 0.5 * (low + high) + 0.5 * (high - low) * np.tanh(raw)
        return np.asarray(np.clip(raw, low, high))

    def _observed(self, observation: Array) -> Array:
        shape = np.shape(observation)
        if len(shape) != 2 or shape[1] != self.observation_size:
            raise UserError(
                f"observations of shape {shape} do not fit a policy for "
                f"[n, {self.observation_size}]; a single one needs a leading axis"
            )
        read = np.ascontiguousarray(observation, np.float32)
        bad = ~np.isfinite(read).all(axis=1)
        if bad.any():
            raise UserError(
                f"{int(bad.sum())} of {len(read)} observations hold values that are not finite: "
                "wrap the policy in its guardrails, which fall back there"
            )
        return read

    def _allowed(self, mask: Array | None, rows: int) -> Array:
        choices = int(self.action_schema["choices"])
        if mask is None:
            return np.ones((rows, choices), np.bool_)
        if np.shape(mask) != (rows, choices):
            raise UserError(
                f"the action mask has shape {np.shape(mask)}; it must be [{rows}, {choices}]"
            )
        allowed = np.ascontiguousarray(mask, np.bool_)
        empty = sum(int((~part.any(axis=1)).sum()) for part in self._parts(allowed))
        if empty:
            raise UserError(f"the action mask forbids every choice in {empty} of {rows} rows")
        return allowed
