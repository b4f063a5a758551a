"""An identity provider on this machine, as OpenID Connect describes one.

Discovery, authorisation by code with S256, a token endpoint that knows its one client, and signed
ID tokens. Whoever comes is asked for an address, and taken at their word.

Source: OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3; Discovery 1.0, section 4; RFC 7636.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "policies", "a-secret-of-the-client"
KEY = RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})
FORM = """<!doctype html><title>Who are you?</title><link rel="icon" href="data:,">
<form method="post"><label>Address <input name="email"></label><button>Continue</button></form>"""


@dataclass
class Provider:
    """A provider at `url`, and the codes that it gave out and that were not used yet."""

    url: str
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def secrets_toml(self) -> str:
        """What whoever runs the app writes to Streamlit's secrets."""
        return (
            '[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            'cookie_secret = "a long random text of the test"\n'
            f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
            f'server_metadata_url = "{self.url}/.well-known/openid-configuration"\n'
        )

    def app(self) -> Starlette:
        """Its four addresses."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/authorize", self._authorize, methods=["GET", "POST"]),
                Route("/token", self._token, methods=["POST"]),
                Route("/jwks", self._keys),
            ]
        )

    async def _discovery(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": ["openid", "email", "profile"],
            }
        )

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if asked.get("client_id") != CLIENT or asked.get("code_challenge_method") != "S256":
            return Response("unknown client", status_code=400)
        if request.method == "GET":
            return HTMLResponse(FORM)
        given = await request.form()
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "email": str(given["email"])}
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", status_code=303)

    async def _token(self, request: Request) -> Response:
        given = {name: str(value) for name, value in (await request.form()).items()}
        asked = self.codes.pop(given.get("code", ""), None)
        if asked is None or not _is_client(request) or not _holds(given, asked):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "sub": asked["email"], "nonce": asked["nonce"],
            "iat": now, "exp": now + 300, "email": asked["email"], "email_verified": True,
        }  # fmt: skip
        token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, KEY)
        said = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer"}
        return JSONResponse({**said, "expires_in": 300, "id_token": token})

    async def _keys(self, request: Request) -> Response:
        return JSONResponse({"keys": [KEY.as_dict(private=False)]})


def _is_client(request: Request) -> bool:
    expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    return request.headers.get("authorization") == f"Basic {expected}"


def _holds(given: dict[str, str], asked: dict[str, str]) -> bool:
    """Whether the code comes from whoever asked for it: same address, verifier of the challenge."""
    digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return (challenge, given.get("redirect_uri")) == (
        asked["code_challenge"],
        asked["redirect_uri"],
    )


@contextmanager
def identity_provider() -> Iterator[Provider]:
    """A provider that serves until the block ends."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        provider = Provider(f"http://127.0.0.1:{listening.getsockname()[1]}")
        config = uvicorn.Config(provider.app(), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        sockets: Any = [listening]
        thread = threading.Thread(target=server.run, args=(sockets,), daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.should_exit = True
            thread.join(10)
