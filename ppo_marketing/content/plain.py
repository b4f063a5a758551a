"""What pydantic finds wrong with settings, in plain words."""

from __future__ import annotations

from typing import Any


def in_words(problem: Any) -> str:
    """Return one problem that pydantic found as a line: its place and what is allowed there."""
    place = ".".join(str(part) for part in problem["loc"]) or "the file"
    said = {
        "extra_forbidden": "there is no such setting",
        "unexpected_keyword_argument": "there is no such setting",
        "missing": "it must be given",
        "union_tag_invalid": "there is no such kind; " + problem["msg"],
        "union_tag_not_found": "every term needs its kind",
        "model_type": "it must be a mapping that begins with `terms:`",
    }.get(problem["type"], problem["msg"])
    return f"{place}: {said}"
