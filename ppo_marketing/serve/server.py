"""Everything of one server put together, and how it is let go of again."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from envs.core.live import Service
from ppo_marketing.errors import PpoMarketingError, UserError
from ppo_marketing.export.loading import LIVE
from ppo_marketing.export.sealed import read_json_bytes
from ppo_marketing.files import held_alone
from ppo_marketing.serve.books import Books
from ppo_marketing.serve.champion import Champion, Post
from ppo_marketing.serve.deciding import DAY
from ppo_marketing.serve.decision_log import DecisionLog
from ppo_marketing.serve.desk import Desk
from ppo_marketing.serve.host import LiveHost
from ppo_marketing.serve.journal import Journal
from ppo_marketing.serve.metrics import Metrics
from ppo_marketing.serve.settings import ServeSettings


class Server:
    """The desk of a bundle, its post and its protocol; `opened` makes one."""

    def __init__(self, post: Post, desk: Desk, settings: ServeSettings, folder: Path) -> None:
        self.post, self.desk, self.settings = post, desk, settings
        self.host: LiveHost | None = None
        self.service = self._protocol(folder)
        self.refused = ""
        """Why the bundle that lies in the folder now is not in charge; empty where it is."""
        self.looking: object = None  # a look under way, held so that it is not collected

    def tick(self, now: float) -> None:
        """What time alone changes, about every second."""
        try:
            for purse in () if self.host is None else self.host.purses:
                purse.books.expire(now)
            if self.service is not None:
                self.service.tick(now)
        except OSError:
            self.desk.metrics.alerts.labels("books").inc()

    def challenger(self, *, again: bool = False) -> Champion | None:
        """The bundle that should take over; None where there is none, or it was refused.

        It reads and asks the policy: call it beside the event loop, and `swap` on it.
        """
        try:
            found = self.post.challenger(again=again)
        except PpoMarketingError as error:
            self.refused = str(error)
            self.desk.metrics.alerts.labels("refused_bundle").inc()
            print(
                f"ppo-marketing serve: kept {self.desk.champion.version}: {error}", file=sys.stderr
            )
            return None
        if found is not None or again:
            self.refused = ""
        return found

    def swap(self, champion: Champion) -> None:
        """Put a verified champion in charge."""
        self.post.champion = champion
        self.desk.swap(champion)
        self.refused = ""

    def close(self) -> None:
        """Have books and log on disk."""
        for purse in () if self.host is None else self.host.purses:
            purse.books.close()
        self.desk.books.close()
        self.desk.log.close()

    def _protocol(self, folder: Path) -> Service | None:
        """The decision's own protocol, where its bundle has one."""
        bundle, live = self.desk.champion.bundle, self.settings.live
        if LIVE not in bundle.files:
            if live:
                raise UserError("this bundle has no protocol of its own: leave out `live`")
            return None
        decision = self.desk.champion.words.decision
        if not decision.isidentifier():
            raise UserError(f"the bundle names no decision type: {decision!r}")
        # By the decision's name, never by a path: data that is read must not choose code that runs.
        module: Any = importlib.import_module(f"envs.{decision}.live")
        terms: Mapping[str, Any] = read_json_bytes(bundle.files[LIVE], LIVE)
        self.host = LiveHost(self.desk, folder / "live", self.settings.sync_seconds)
        try:
            service: Service = module.service(terms, live, self.host)
        except ValueError as error:
            raise UserError(f"live: {error}") from error
        return service


@contextmanager
def opened(
    bundle: Path, settings: ServeSettings, *, sha256: str | None = None, resume: bool = False
) -> Iterator[Server]:
    """A server of a bundle, alone with its folder.

    `resume` lets the books go on after a pause of more than a month.

    Raises:
        UserError: the bundle or the settings cannot be used.
        IntegrityError: the bundle or the books are not what was written.
        AlreadyRunning: another server has the folder.
    """
    folder, now = Path(settings.folder), time.time()
    post = Post(bundle, settings.fallback, sha256)
    with held_alone(folder, "choose another --folder"):
        books = Books(Journal(folder / "books", settings.sync_seconds))
        log = DecisionLog(folder / "decisions", settings.log, now)
        desk = Desk(post.champion, books, log, Metrics(), draws=settings.act == "sample")
        server = Server(post, desk, settings, folder)
        if resume:
            purses = () if server.host is None else server.host.purses
            for kept in (books, *(purse.books for purse in purses)):
                kept.resume(int(now // DAY))
        try:
            yield server
        finally:
            server.close()
