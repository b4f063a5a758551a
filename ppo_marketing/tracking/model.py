"""A saved policy as an MLflow model: signed, self-contained and free of pickle."""

from __future__ import annotations

import shutil
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ppo_marketing.errors import IntegrityError

if TYPE_CHECKING:
    from mlflow.models import Model

Array = npt.NDArray[Any]

PACKAGE = Path(__file__).resolve().parent.parent
POLICY_FILES = ("policy.safetensors", "policy.json")
# What acts, and all that it imports of this project, which is on no index: no training, and nothing
# that is compiled where the policy is served.
MODULES = (
    "__init__",
    "agent",
    "anchor",
    "categorical",
    "checked",
    "checkpoint",
    "config",
    "gaussian",
    "head",
    "heads",
    "losses",
    "networks",
    "normalise",
    "trust_region",
)
# What those import of others.
REQUIREMENTS = ("gymnasium", "mlflow", "numpy", "pydantic", "safetensors", "torch")


def save_model(
    model: Model, folder: Path, observation: Array, action: Array, workplace: Path
) -> Path:
    """Write the model's folder into `workplace`, and check that it answers `action`."""
    from mlflow import pyfunc
    from mlflow.models import infer_signature

    policy, code, saved = workplace / "policy", workplace / "ppo_marketing", workplace / "model"
    policy.mkdir()
    for file in POLICY_FILES:
        shutil.copy(folder / file, policy)
    (code / "ppo").mkdir(parents=True)
    for module in ("__init__", "errors", "files", *(f"ppo/{name}" for name in MODULES)):
        shutil.copy(PACKAGE / f"{module}.py", code / f"{module}.py")
    search_path = list(sys.path)
    try:
        with warnings.catch_warnings():
            # MLflow suggests type hints and environments that do not apply to arrays.
            warnings.simplefilter("ignore")
            pyfunc.save_model(
                saved,
                mlflow_model=model,
                python_model=str(Path(__file__).with_name("policy_model.py")),
                artifacts={"policy": str(policy)},
                code_paths=[str(code)],
                signature=infer_signature(observation, action),
                input_example=observation,
                pip_requirements=[_pinned(package) for package in REQUIREMENTS],
            )
            answer = pyfunc.load_model(str(saved)).predict(observation)
    finally:
        # Loading puts the stored code's folder first for the rest of the process.
        sys.path = search_path
    for compiled in saved.rglob("__pycache__"):
        shutil.rmtree(compiled)
    if not (np.shape(answer) == action.shape and np.allclose(answer, action, rtol=1e-5, atol=1e-6)):
        raise IntegrityError(
            f"the policy in {folder}, stored and loaded back, does not answer the example with the "
            "actions handed in. Hand in its deterministic actions; if they are, the files are not "
            "the policy they should be: save it again"
        )
    return saved


def _pinned(package: str) -> str:
    """The installed version, without the build's mark (+cpu) that no index knows."""
    return f"{package}=={version(package).partition('+')[0]}"
