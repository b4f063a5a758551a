"""How fast we train, beside the peers; `python -m benchmarks.throughput` (see `__main__.py`)."""

import os

# An idle thread that spins takes the core from one that works; read when the libraries load.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
