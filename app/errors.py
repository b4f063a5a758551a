"""What a page does with errors: the user's are told in words, the others by a reference."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from ppo_marketing.config import project_folder
from ppo_marketing.errors import AlreadyRunning, PpoMarketingError, Refused

log = logging.getLogger("ppo_marketing.app")

# A folder in a message, as far as its last name: /data/runs/first -> first.
_FOLDERS = re.compile(
    r"(?:(?<=[\s'\"(`=,])|^)(?:[A-Za-z]:)?(?:[/\\][^/\\\s'\"]+)*[/\\](?=[^/\\\s])"
)


@contextmanager
def kindly() -> Iterator[None]:
    """Show what goes wrong in the block as a message; the app and its other pages go on."""
    try:
        yield
    except (Refused, AlreadyRunning) as error:
        st.warning(in_words(error), icon=":material/block:")
    except PpoMarketingError as error:
        st.error(in_words(error), icon=":material/error:")
    except Exception:  # what nobody foresaw must not show a stack trace to an analyst
        reference = secrets.token_hex(4)
        log.exception("unexpected error %s", reference)
        st.error(
            "Something went wrong that should not. Nothing was changed by it. If it happens again, "
            f"tell whoever runs this app the reference **{reference}**: its log has the details.",
            icon=":material/error:",
        )


def in_words(error: Exception) -> str:
    """An error's message for the screen: no folder of the server, no Markdown from data."""
    own = str(project_folder()).rstrip("/") + "/"
    return as_text(_FOLDERS.sub("", str(error).replace(own, "")))


def as_text(text: str) -> str:
    """Text that Markdown shows as it is written, line by line."""
    escaped = re.sub(r"([\\`*_{}\[\]<>#$~|]|:(?=[\w/]))", r"\\\1", text)
    return escaped.replace("\n", "  \n")
