"""The command line: `ppo-marketing COMMAND`. Results on stdout, everything for people on stderr.

Heavy libraries are imported inside the commands, so that help answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import typer

from ppo_marketing.cli import asking, content, experiment, releases
from ppo_marketing.cli.app import app as analysts_app
from ppo_marketing.cli.exporting import export
from ppo_marketing.cli.fair import fairness
from ppo_marketing.cli.line import demo, run
from ppo_marketing.cli.retraining import regress, retrain, schedule
from ppo_marketing.cli.search import compare, tune
from ppo_marketing.cli.serving import join, score, serve
from ppo_marketing.cli.sharing import allocate
from ppo_marketing.cli.standing import jobs, overview
from ppo_marketing.cli.steps import calibrate, evaluate, gate, generate, train, validate
from ppo_marketing.cli.what_if import scenario
from ppo_marketing.errors import Interrupted, PpoMarketingError

EXIT_CODES = """
Exit codes: 0 done; 1 unexpected; 2 usage; 3 bad data or configuration; 4 gate not passed;
5 guardrail or approval refusal; 6 integrity (a hash does not match); 75 another job holds the lock;
130 / 143 interrupted by Ctrl-C / SIGTERM after saving: the same command resumes.
"""

app = typer.Typer(
    help="Decision policies for marketing, learned from your own logs and judged before they ship.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

for command in (
    demo,
    generate,
    validate,
    calibrate,
    train,
    evaluate,
    gate,
    run,
    compare,
    tune,
    fairness,
    export,
    scenario,
    allocate,
    jobs,
    overview,
    serve,
    score,
    join,
    retrain,
    schedule,
    regress,
):
    app.command()(command)
for question in (asking.limits, asking.report):
    app.command()(question)
for release in (
    releases.approve,
    releases.reject,
    releases.promote,
    releases.rollback,
    releases.champion,
):
    app.command()(release)
app.command("app")(analysts_app)
app.add_typer(experiment.app, name="experiment")
app.add_typer(releases.audit, name="audit")
app.add_typer(content.app, name="content")

STOPPED = "stopped; what had been saved is kept, and the same command goes on from it"


def _terminated(number: int, frame: object) -> NoReturn:
    """Outside training, which saves first, SIGTERM ends the program like Ctrl-C, with a word."""
    raise Interrupted(STOPPED, number)


def main() -> None:
    """Run the command line and exit with the documented code."""
    # Idle threads must not spin beside other work; read by OpenMP before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    command = typer.main.get_command(app)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = command.main(standalone_mode=False)
    except PpoMarketingError as error:
        typer.echo(f"ppo-marketing: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo(f"ppo-marketing: {STOPPED}", err=True)
        sys.exit(130)
    except Exception as error:
        show = getattr(error, "show", None)  # usage errors know how to show themselves
        if show is None or not hasattr(error, "exit_code"):
            raise
        show()
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
