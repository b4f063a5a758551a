"""Who is here: nobody has to sign in locally; with `st.login` set up, somebody with a role does.

The engine checks every act again: what a page hides is a courtesy, not the lock.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app import errors, project
from ppo_marketing.access import Permission, User, may
from ppo_marketing.errors import PpoMarketingError, Refused
from ppo_marketing.jobs.admission import has_roles, roles_of
from ppo_marketing.jobs.release_book import Desk, desk_of


@dataclass(frozen=True)
class Identity:
    """What the identity provider says of whoever signed in."""

    email: str
    verified: bool


def enter() -> None:
    """Let in who may see the app, and say in the sidebar who that is; else stop the script here."""
    if not sign_in_is_set_up():
        _require_no_roles()
        return
    identity = signed_in()
    if identity is None:
        _welcome()
    try:
        here = user()
    except PpoMarketingError as error:
        st.title("No way in yet", anchor=False)
        st.warning(errors.in_words(error), icon=":material/lock:")
        st.button("Sign out", on_click=st.logout)
        st.stop()
    assert here is not None
    with st.sidebar:
        st.caption(f"Signed in as {errors.as_text(here.email)}, {here.role}")
        st.button("Sign out", icon=":material/logout:", on_click=st.logout)


def user() -> User | None:
    """Who is here, by the roles as they are now; None: local use.

    Raises Refused where nobody is signed in, or whoever is has no role.
    """
    if not sign_in_is_set_up():
        return None
    identity = signed_in()
    if identity is None:
        raise Refused("nobody is signed in any more: sign in again")
    return roles_of(project.folder()).user(identity.email, verified=identity.verified)


def desk() -> Desk:
    """Where this session acts from: the project, now, and who is signed in."""
    return desk_of(project.folder(), user())


def may_here(permission: Permission) -> bool:
    """Whether whoever is here may: for what a page offers."""
    return may(user(), permission)


def sign_in_is_set_up() -> bool:
    """Whether `st.login` is: Streamlit knows of signing in only where secrets have [auth]."""
    return "is_logged_in" in st.user


def signed_in() -> Identity | None:
    """Whoever is signed in; None: nobody."""
    if not st.user.is_logged_in:
        return None
    told = st.user.to_dict()
    # Providers that say nothing of it vouch for their own addresses; one that says no, does not.
    return Identity(str(told.get("email") or ""), told.get("email_verified", True) is True)


def _require_no_roles() -> None:
    """Let nobody in by mistake: a secrets.toml that cannot be read looks like none to Streamlit."""
    if has_roles(project.folder()):
        st.title("No way in yet", anchor=False)
        st.error(
            "This project has roles, and signing in is not set up: whoever runs this application "
            "adds [auth] to .streamlit/secrets.toml, or mends that file.",
            icon=":material/lock:",
        )
        st.stop()


def _welcome() -> None:
    st.title("ppo-marketing", anchor=False)
    st.write("Sign in to see what the policies do and what they would earn.")
    st.button("Sign in", type="primary", icon=":material/login:", on_click=st.login)
    st.stop()
