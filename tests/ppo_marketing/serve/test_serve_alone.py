"""What decides live has neither trainer nor simulator nor registry in its process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.serving import decision_bundle

HEAVY = {
    "torch",
    "mlflow",
    "pandas",
    "matplotlib",
    "numba",
    "sklearn",
    "scipy",
    "pyarrow",
    "duckdb",
}
PROGRAM = """
import json, sys
from pathlib import Path
from ppo_marketing.cli.serving import serve
from ppo_marketing.serve import run
from ppo_marketing.serve.app import application
from ppo_marketing.serve.server import opened
from ppo_marketing.serve.settings import ServeSettings
with opened(Path(sys.argv[1]), ServeSettings(folder=sys.argv[2])) as server:
    application(server)
    paths = [one.path for one in server.service.endpoints]
    packages = sorted({name.split(".")[0] for name in sys.modules if "." not in name})
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(json.dumps([paths, packages, peak]))
"""


def test_a_server_with_its_own_protocol_imports_nothing_heavy(tmp_path: Path) -> None:
    bundle = decision_bundle(tmp_path / "bundle", "bidding")
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(bundle), str(tmp_path / "state")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    paths, packages, peak_mb = json.loads(said)
    assert "/openrtb2/bid" in paths
    assert set(packages) & HEAVY == set()
    assert {"starlette", "uvicorn", "onnxruntime"} <= set(packages)
    assert peak_mb < 150
