"""What a log says of a policy, in words and tables; no number is made here."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from ppo_marketing.ope.battery import Estimated, OffPolicyReport
from ppo_marketing.ope.estimators import UNBIASED, Replay
from ppo_marketing.ope.intervals import Interval
from ppo_marketing.ope.propensity import Reliability

Rows = list[tuple[str, ...]]

LOGGING = "the log's own policy"
MARK = "†"
FOOTNOTE = (
    f"{MARK} of what the estimator estimates: the policy's value only where its model is right, or "
    "its shrinking takes nothing"
)

_UNMARKED = {UNBIASED, Replay().assumes}


def sentence(report: OffPolicyReport) -> str:
    """What the log says, in a sentence."""
    if not report.can_say:
        return (
            "The log cannot say what this policy is worth: no interval is shown, and no single "
            "estimate should be read as one."
        )
    low, lift = report.lift.low, report.lift.value
    level = f"{100 * report.level:g} % confidence"
    assert low is not None, "there are draws where the log can say"
    if low > 0:
        return (
            f"The log shows the policy to be better than its own: by {_digits(lift)} a decision, "
            f"at least {_digits(low)} with {level}."
        )
    return (
        f"The log does not show the policy to be better than its own: {_digits(lift, sign=True)} a "
        f"decision, at least {_digits(low, sign=True)} with {level}."
    )


def estimates_table(report: OffPolicyReport, title: str) -> Table:
    """One row an estimator, and the log's own policy below."""
    table = Table(title=title, title_justify="left", caption=_footnote(report))
    table.caption_justify = "left"
    for place, heading in enumerate(_headings(report)):
        table.add_column(heading, justify="left" if place < 2 else "right", no_wrap=place != 1)
    for row in _estimates(report):
        table.add_row(*row, style="bold" if row[0] == "DR" else None)
    return table


def diagnostics_table(report: OffPolicyReport) -> Table:
    """How much of the log speaks of the policy."""
    table = Table(title="how much of the log speaks of it", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("what it means")
    for row in diagnostics(report):
        table.add_row(*row)
    return table


def calibration_table(calibration: Reliability) -> Table:
    """Estimated propensities against what the log did."""
    table = Table(title=_calibration_title(calibration), title_justify="left")
    for heading in _CALIBRATION_HEADINGS:
        table.add_column(heading, justify="right")
    for row in _bins(calibration):
        table.add_row(*row)
    return table


def remarks(report: OffPolicyReport, notes: Sequence[str]) -> list[str]:
    """Refusals, then warnings, then notes."""
    return [
        *(f"refused: {refusal}" for refusal in report.refusals),
        *(f"beware: {warning}" for warning in report.warnings),
        *(f"note: {note}" for note in notes),
    ]


def off_policy_markdown(
    report: OffPolicyReport, *, title: str, policy: str, source: str, notes: Sequence[str]
) -> str:
    """The same as a page."""
    parts = [
        f"# {title}: {policy}, judged by {source} alone", "", f"**{sentence(report)}**", "",
        *_markdown(_headings(report), _estimates(report)), "", _footnote(report), "",
        "## How much of the log speaks of it", "",
        *_markdown(("", "", "what it means"), diagnostics(report)),
    ]  # fmt: skip
    if report.calibration is not None:
        parts += ["", f"## {_calibration_title(report.calibration)}", ""]
        parts += _markdown(_CALIBRATION_HEADINGS, _bins(report.calibration))
    told = remarks(report, notes)
    return "\n".join([*parts, "", *(f"* {line}" for line in told)]) + "\n"


def _headings(report: OffPolicyReport) -> tuple[str, ...]:
    level = f"{100 * report.level:g} %"
    bounded = [f"{level}, bounded rewards"] if _any_bernstein(report) else []
    return ("estimator", "family", "value a decision", f"{level} interval", *bounded)


def _any_bernstein(report: OffPolicyReport) -> bool:
    return any(row.bernstein is not None for row in report.estimates)


def _estimates(report: OffPolicyReport) -> Rows:
    return [
        *(_estimate(row, row.name, row.family, report) for row in report.estimates),
        _estimate(report.logging, LOGGING, "mean of the log", report),
        _lift(report),
    ]


def _estimate(row: Estimated, name: str, family: str, report: OffPolicyReport) -> tuple[str, ...]:
    mark = "" if row.assumes in _UNMARKED or row is report.logging else f" {MARK}"
    bounded = (_interval(row.bernstein, mark),) if _any_bernstein(report) else ()
    return (name, family, _digits(row.value), _interval(row.bootstrap, mark), *bounded)


def _lift(report: OffPolicyReport) -> tuple[str, ...]:
    low = report.lift.low
    bound = "-" if low is None else f"at least {_digits(low, sign=True)}"
    bounded = ("-",) if _any_bernstein(report) else ()
    value = _digits(report.lift.value, sign=True)
    return ("lift over it", "DR less the mean, paired", value, bound, *bounded)


def _interval(found: Interval | None, mark: str = "") -> str:
    return "-" if found is None else f"{_digits(found.low)} to {_digits(found.high)}{mark}"


def _footnote(report: OffPolicyReport) -> str:
    return f"intervals over {report.diagnostics.units:,} units, drawn whole. {FOOTNOTE}"


def diagnostics(report: OffPolicyReport) -> Rows:
    """How much of the log speaks of the policy: what, how much, what it means."""
    d = report.diagnostics
    unknown = "-"
    return [
        ("impressions", f"{d.impressions:,.0f}", f"in {d.rows:,} rows of {d.units:,} units"),
        ("effective sample size", f"{d.effective_n:,.0f}", "impressions of equal weight that the "
         "estimates rest on; below 200 nothing is said"),
        ("effective units", f"{d.effective_units:,.0f}", "the same of independent units; at least "
         "10"),
        ("mean weight", f"{d.mean_weight:.3f} ± {d.mean_weight_error:.3f}", "1 where propensities "
         "are right and the log has all that the policy does"),
        ("largest weight", f"{d.largest_weight:,.1f}", "of one impression"),
        ("weight in the top 1 %", f"{100 * d.top_share:.0f} %", "share of all weight"),
        ("tail index", unknown if d.tail_index is None else f"{d.tail_index:.2f}", "above .5 "
         "weights have no variance; above .7 intervals may be too short"),
        ("unsupported", unknown if d.unsupported is None else f"{100 * d.unsupported:.1f} %",
         "of what the policy does the log has fewer than 30 impressions in that context; at most "
         "5 %"),
        ("rewards", f"{d.positives:,.0f}", "rewarded impressions of the log"),
        ("effective positives", f"{d.effective_positives:,.0f}", "those on what the policy can do; "
         "below 100 too few to promote on"),
        ("and carried by", f"{d.positive_ess:,.1f}", "rewards of equal weight"),
    ]  # fmt: skip


_CALIBRATION_HEADINGS = ("estimated propensity", "what the log did", "pairs of row and action")


def _calibration_title(calibration: Reliability) -> str:
    return (
        "propensities are estimated: "
        f"{100 * calibration.error:.1f} % of probability in the wrong place"
    )


def _bins(calibration: Reliability) -> Rows:
    return [
        (f"{own.predicted:.4f}", f"{own.observed:.4f}", f"{own.pairs:,.0f}")
        for own in calibration.bins
    ]


def _markdown(headings: Sequence[str], rows: Rows) -> list[str]:
    return [
        f"| {' | '.join(headings)} |",
        "|" + "---|" * len(headings),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _digits(number: float, *, sign: bool = False) -> str:
    """Three digits, or as many as stand before the point."""
    form = "+" if sign else ""
    return format(number, f"{form},.0f" if abs(number) >= 1000 else f"{form}.3g")
