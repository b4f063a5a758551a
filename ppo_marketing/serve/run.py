"""The process around the application: started, told to look again, stopped without losing any."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from pathlib import Path

import uvicorn

from ppo_marketing.serve.app import application, look
from ppo_marketing.serve.server import Server, opened
from ppo_marketing.serve.settings import ServeSettings


def serve(
    bundle: Path, settings: ServeSettings, *, sha256: str | None = None, resume: bool = False
) -> None:
    """Serve a bundle until SIGTERM or Ctrl-C; requests that came are answered first.

    Raises as `opened` does.
    """
    with opened(bundle, settings, sha256=sha256, resume=resume) as server:
        config = _config(server)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_served(server, config))


def _config(server: Server) -> uvicorn.Config:
    settings = server.settings
    return uvicorn.Config(
        application(server),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=10,
    )


async def _served(server: Server, config: uvicorn.Config) -> None:
    web = uvicorn.Server(config)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _look_again, server)
    started = asyncio.create_task(_say_where(web, server))
    # What was made so far lives as long as the process: collections need not walk through it.
    gc.freeze()
    await web.serve()
    started.cancel()


def _look_again(server: Server) -> None:
    server.looking = asyncio.ensure_future(look(server, again=True))


async def _say_where(web: uvicorn.Server, server: Server) -> None:
    while not web.started:
        await asyncio.sleep(0.01)
    host, port = web.servers[0].sockets[0].getsockname()[:2]
    champion = server.desk.champion
    print(
        f"serving {champion.words.decision} {champion.version} on http://{host}:{port}",
        file=sys.stderr,
        flush=True,
    )
