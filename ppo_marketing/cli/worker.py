"""The process of a background job: one command, whose end is written down.

`python -m ppo_marketing.cli.worker FOLDER` does what the `job.json` in the folder orders.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def work(folder: Path) -> int:
    """Do the job of a folder and return its exit code."""
    import traceback

    from ppo_marketing import cli
    from ppo_marketing.files import read_json
    from ppo_marketing.jobs.background import ENDED, JOB, PROGRESS
    from ppo_marketing.jobs.folder import write_json
    from ppo_marketing.progress_file import VARIABLE

    os.environ[VARIABLE] = str(folder / PROGRESS)
    sys.argv = ["ppo-marketing", *read_json(folder / JOB)["arguments"]]
    code = 1
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Exception:  # whatever it was, its end is written down, or the job would run for ever
        traceback.print_exc()
    write_json(folder / ENDED, {"exit_code": code})
    return code


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))
