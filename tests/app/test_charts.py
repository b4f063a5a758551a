"""Charts: every one has its values in a table, and labels from data cannot break it."""

from __future__ import annotations

import pandas as pd
from streamlit.testing.v1 import AppTest

from app import charts

ODD = "multiple of the log's [multiplier].x\\"


def test_labels_from_data_are_titles_and_never_field_names() -> None:
    frame = pd.DataFrame({ODD: [1.0, 2.0], "y.y": [3.0, 4.0], "who": ["a", "b"]})
    for chart in (charts.lines(frame, ODD, "y.y", "who"), charts.bars(frame, ODD, "y.y")):
        encoding = chart.to_dict()["encoding"]
        assert encoding["x"]["field"] == "x"
        assert encoding["x"]["title"] == ODD
        assert encoding["y"]["title"] == "y.y"


def test_lines_are_told_apart_without_colour() -> None:
    frame = pd.DataFrame({"x": [1.0, 1.0], "y": [3.0, 4.0], "who": ["a", "b"]})
    encoding = charts.lines(frame, "x", "y", "who").to_dict()["encoding"]
    assert encoding["strokeDash"]["field"] == encoding["color"]["field"] == "series"


def _shown() -> None:
    import pandas as pd

    from app import charts

    frame = pd.DataFrame({"day": ["Monday", "Tuesday"], "rows": [1.0, 2.0]})
    charts.show(charts.bars(frame, "day", "rows"), frame, alt="Rows by day: two on Tuesday")


def test_a_chart_is_shown_with_words_and_with_its_values() -> None:
    page = AppTest.from_function(_shown).run()
    assert page.caption[0].value == "Rows by day: two on Tuesday"
    assert list(page.table[0].value["rows"]) == [1.0, 2.0]
