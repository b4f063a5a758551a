"""One generated log, shared by the tests of what is fitted to it."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from envs.core.log import LogTable, read_log
from envs.sequencing.gathering import gather
from envs.sequencing.generated_log import generate_log
from envs.sequencing.log import EVENTS
from envs.sequencing.panel import Gathered


@pytest.fixture(scope="session")
def sample_log(tmp_path_factory: pytest.TempPathFactory) -> LogTable:
    """3,900 customers x 26 weeks: 101,400 logged decisions."""
    folder = tmp_path_factory.mktemp("sequencing")
    table = generate_log("default", 26, np.random.default_rng(7), customers=3900)
    pq.write_table(table, folder / "sample.parquet")
    return read_log(folder / "sample.parquet", EVENTS, cache=folder / "cache")


@pytest.fixture(scope="session")
def sample(sample_log: LogTable) -> Gathered:
    return gather(sample_log)
