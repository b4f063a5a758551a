"""How fast we train, beside the peers; `python -m benchmarks.throughput` (see `__main__.py`)."""
