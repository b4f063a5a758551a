"""What decides live has numpy and no more."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys
from ppo_marketing.guardrails import Context, GuardrailLimits, apply
limits = GuardrailLimits.from_dict(json.loads(sys.argv[1]))
shipped = apply(limits, [9.0], [2.0], Context(day=1, cost=[1.0], unit=["a"]))
packages = sorted({name.split(".")[0] for name in sys.modules if "." not in name})
print(json.dumps([shipped.action.tolist(), packages]))
"""
LIMITS = {
    "amounts": {"floor": 0.5, "cap": 4.0, "nothing": 0.0},
    "budget": {"day": 3.0},
    "holdout": {"share": 0.0, "salt": "s"},
}


def test_limits_are_read_and_kept_without_torch_mlflow_or_a_simulator() -> None:
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(LIMITS)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    shipped, packages = json.loads(said)
    assert shipped == [3.0]
    heavy = {"torch", "mlflow", "gymnasium", "pydantic", "envs", "rich", "scipy", "pyarrow", "yaml"}
    assert heavy & set(packages) == set()
    assert "numpy" in packages
