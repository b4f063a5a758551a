"""The script that MLflow stores with a policy and runs to load it.

It is stored as text beside the policy's two files and a copy of `ppo_marketing.ppo`: nothing is
unpickled. Loading runs stored code all the same, so load only from a store you trust.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from ppo_marketing.ppo.checkpoint import load_policy

Array = npt.NDArray[Any]


class PolicyModel(PythonModel):  # type: ignore[misc]  # MLflow is checked without its types
    """Answers observations [n, obs] with the policy's most likely actions [n, ...]."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the policy from the stored files.

        Raises:
            IntegrityError: the files are not the ones that were written.
        """
        self.agent = load_policy(Path(context.artifacts["policy"]))
        self.rng = np.random.default_rng(0)  # asked for by `act`, not drawn from: no choice is left

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> Array:
        """Return the most likely action [n, ...] for every row of observations [n, obs].

        Raises:
            UserError: the observations have another width than the policy.
        """
        return self.agent.act(model_input, self.rng, deterministic=True)


set_model(PolicyModel())
