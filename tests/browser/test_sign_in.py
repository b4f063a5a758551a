"""Signing in with an identity provider, in a browser: everybody acts as their role allows."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from ppo_marketing.audit_trail import Action, read_trail
from ppo_marketing.jobs.release_book import trail_of
from tests.browser.conftest import Visit
from tests.support.app_project import DECISION, RUN
from tests.support.oidc_provider import Provider, identity_provider
from tests.support.released_project import passing_copy
from tests.support.served_app import served

ROLES = "ada@example.com: approver\ngrace@example.com: analyst\neve@example.com: viewer\n"


@pytest.mark.timeout(300)
def test_a_viewer_looks_an_analyst_works_and_an_approver_decides_as_who_they_signed_in(
    visit: Visit, app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PPO_MARKETING_ACCESS", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project, kept = tmp_path / "project", tmp_path / "secrets.toml"
    passing_copy(app_project, project)
    (project / "access.yaml").write_text(ROLES)
    with identity_provider() as provider:
        kept.write_text(provider.secrets_toml())
        with served(project, STREAMLIT_SECRETS_FILES=str(kept)) as (visit.url, _):
            visit.open(f"/release?decision={DECISION}&run={RUN}")
            visit.sees("Sign in to see what the policies do")
            assert visit.page.get_by_test_id("stSidebarNavLink").count() == 0

            _sign_in(visit, "Eve@Example.com")
            visit.sees("Signed in as eve@example.com, viewer")
            _open_decide(visit)
            visit.sees("You may look. Approvers decide")
            expect(_record(visit)).to_be_disabled()
            _sign_out(visit)

            _sign_in(visit, "grace@example.com")
            visit.sees("Signed in as grace@example.com, analyst")
            _sign_out(visit)

            _sign_in(visit, "ada@example.com")
            visit.sees("Signed in as ada@example.com, approver")
            _open_decide(visit)
            visit.page.get_by_text("Approve it", exact=True).click()
            visit.page.locator("textarea[aria-label='Comment']").fill("the log supports it")
            visit.press("Record it")
            visit.sees("approve by ada@example.com")
    (line,) = read_trail(trail_of(project))
    assert (line.action, line.approver) == (Action.APPROVE, "ada@example.com")
    assert visit.errors == []
    assert _strangers(visit, provider) == []


def _sign_in(visit: Visit, email: str) -> None:
    """By the provider's page, to which the app leads, and back."""
    visit.page.get_by_role("button", name="Sign in", exact=True).click()
    visit.page.get_by_label("Address").fill(email)
    visit.page.get_by_role("button", name="Continue").click()
    visit.page.wait_for_url(f"{visit.url}/**")
    visit.settled()


def _sign_out(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Sign out", exact=True).click()
    visit.sees("Sign in to see what the policies do")


def _open_decide(visit: Visit) -> None:
    visit.go("Release")
    visit.press("Decide", role="tab")


def _record(visit: Visit) -> Locator:
    return visit.page.get_by_role("button", name="Record it", exact=True)


def _strangers(visit: Visit, provider: Provider) -> list[str]:
    """Requests to anybody but the app and the provider."""
    return [url for url in visit.elsewhere if not url.startswith(provider.url)]
