"""A language model's trunk with one number a token: a reward model, and the critic made of it."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ppo_marketing.content.language import ROWS_AT_ONCE, forward
from ppo_marketing.content.models import load_trunk, save_model
from ppo_marketing.content.tokens import Sequences
from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.files import made, read_json, write_atomically, written_whole


class ScoreModel(nn.Module):
    """score = gain · (w · h + b) + shift of the hidden state h at a text's last token.

    Gain and shift are constants that put the scores of the reference's own texts at mean 0 and
    deviation 1, so that β, weights and members share one scale.

    Source: Stiennon et al. 2020, section 3.4 and appendix B; Huang et al. 2023 for the
    normalisation and the head's deviation 1 / √(d + 1).
    """

    def __init__(self, trunk: Any, gain: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(int(trunk.config.hidden_size), 1)
        self.gain = gain
        self.shift = shift

    @classmethod
    def from_language_model(cls, model: Any, rng: np.random.Generator | None = None) -> Self:
        """Return a score model on a copy of the trunk; the head is drawn, or zero without `rng`."""
        made_of = cls(copy.deepcopy(model.base_model))
        width = made_of.head.in_features
        weights = np.zeros((1, width))
        if rng is not None:
            weights = rng.normal(0.0, 1.0 / math.sqrt(width + 1), (1, width))
        with torch.no_grad():
            made_of.head.weight.copy_(torch.from_numpy(weights))
            made_of.head.bias.zero_()
        return made_of

    def by_token(self, tokens: Tensor) -> Tensor:
        """Return the number of every token `[N, L]`; meaningless on padding."""
        hidden = forward(self.trunk, tokens).last_hidden_state
        number: Tensor = self.head(hidden).squeeze(-1)
        return self.gain * number + self.shift

    def score(self, rows: Sequences) -> Tensor:
        """Return the score of every text `[N]`, read at its last token."""
        last = rows.prompt_width + rows.lengths - 1
        return self.by_token(rows.tokens).gather(1, last[:, None]).squeeze(1)

    def values(self, rows: Sequences) -> Tensor:
        """Return V before every response token `[N, T]`: read at the token before it."""
        return self.by_token(rows.tokens)[:, rows.prompt_width - 1 : -1]

    @torch.no_grad()
    def scored(self, rows: Sequences) -> Tensor:
        """Return `score` without gradients and in parts."""
        starts = range(0, len(rows), ROWS_AT_ONCE)
        return torch.cat([self.score(rows.take(slice(s, s + ROWS_AT_ONCE))) for s in starts])

    def normalise_on(self, rows: Sequences) -> None:
        """Set gain and shift so that these texts score mean 0 and deviation 1.

        Raises:
            UserError: all score the same, so that no scale can be set.
        """
        self.gain, self.shift = 1.0, 0.0
        scores = self.scored(rows).double()
        deviation = float(scores.std(correction=0))
        if not deviation > 1e-9:
            raise UserError(
                "the reward model scores every text of the reference alike: it learned nothing; "
                "look at the preferences, or fit it longer"
            )
        self.gain = 1.0 / deviation
        self.shift = -float(scores.mean()) / deviation

    def save(self, folder: Path) -> None:
        """Write the trunk as a model folder, then the head and the constants."""
        save_model(self.trunk, made(folder / "trunk"))
        weights = {name: tensor.detach().clone() for name, tensor in self.head.state_dict().items()}
        with written_whole(folder / "head.safetensors") as temporary:
            save_file(weights, temporary)
        constants = {"gain": self.gain, "shift": self.shift}
        write_atomically(folder / "score.json", (json.dumps(constants) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return what `save` wrote.

        Raises:
            UserError: the folder cannot be read as one.
            IntegrityError: head and trunk do not belong together.
        """
        constants = read_json(folder / "score.json")
        trunk = load_trunk(folder / "trunk")
        found = cls(trunk, float(constants["gain"]), float(constants["shift"]))
        try:
            found.head.load_state_dict(load_file(folder / "head.safetensors"))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise IntegrityError(f"{folder} does not hold a reward model: {error}") from error
        return found.eval()
