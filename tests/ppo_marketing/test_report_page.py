"""A page that stands alone and runs nothing, whatever the data says."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from ppo_marketing.report_page import Facts, Intervals, Section, Table, Text, page

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Seen(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(html: str) -> Seen:
    parser = Seen()
    parser.feed(html)
    return parser


def hostile() -> str:
    blocks = (
        Text(EVIL, "bad"),
        Facts(((EVIL, EVIL, EVIL),)),
        Table((EVIL, EVIL), ((EVIL, EVIL),), EVIL),
        Intervals(((EVIL, 1.0, 0.5, 1.5),), EVIL),
    )
    return page(EVIL, EVIL, [Section(EVIL, blocks)], made_at=EVIL)


def test_no_text_becomes_a_tag_or_an_attribute() -> None:
    found = seen(hostile())
    assert not {"script", "img", "iframe", "object", "link", "base", "form", "a"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert found.text.count("alert(1)") >= 11, "it is shown, as text"


def test_the_page_names_no_address_and_forbids_the_browser_to_fetch() -> None:
    html = hostile()
    assert not re.search(r"(?i)\b(href|src|action|url\()\s*=?\s*[\"']?(https?:|//|data:)", html)
    assert not [n for n, _ in seen(html).attributes if n in ("href", "src", "srcset", "action")]
    assert "default-src 'none'" in html


def test_what_is_said_is_there_in_order() -> None:
    table = Table(("who", "value"), (("PPO", "1.5"), ("do nothing", "0")), "what they earn")
    html = page(
        "A run",
        "as of today",
        [Section("Evidence", (Text("It is\nbetter."), table))],
        made_at="noon",
    )
    text = seen(html).text
    places = [text.index(part) for part in ("as of today", "Evidence", "better.", "PPO", "noon")]
    assert places == sorted(places)
    assert "It is<br>better." in html
    assert html.count("<tr>") == 3


def test_a_picture_says_its_numbers_and_holds_every_dot_inside() -> None:
    rows = (("a", -2.0, -3.0, -1.0), ("b", 4.0, 1.0, 9.0), ("c", float("nan"), 0.0, 1.0))
    html = page("t", "s", [Section("x", (Intervals(rows, "EUR"),))], made_at="n")
    assert 'aria-label="a: -2, -3 to -1; b: 4, 1 to 9 EUR"' in html
    drawn = [float(x) for x in re.findall(r'\b(?:x1|x2|cx)="([\d.]+)"', html)]
    assert len(drawn) == 2 + 2 * 3, "zero, and two rows: what is no number is not drawn"
    assert all(230 <= x <= 700 for x in drawn)
