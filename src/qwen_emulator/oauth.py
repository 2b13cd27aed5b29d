"""The authorization server, based on Authlib: device grant, rotating refresh, revocation."""

from __future__ import annotations

import time
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidGrantError, OAuth2Request
from authlib.oauth2.rfc6749.grants import RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant

from qwen_emulator.state import Client, DeviceCode, EmulatorState, IssuedToken, new_secret

Answer = tuple[int, dict[str, Any]]


class _FormRequest(OAuth2Request):
    """A posted form. The library requires https; loopback does not need it (RFC 8252 §8.3)."""

    def __init__(self, path: str, form: dict[str, str]) -> None:
        super().__init__("POST", f"https://loopback{path}", headers={})
        self.payload = BasicOAuth2Payload(form)

    @property
    def form(self) -> dict[str, str]:
        form: dict[str, str] = self.payload.data
        return form

    @property
    def args(self) -> dict[str, str]:
        return {}


class SignInServer(AuthorizationServer):
    """Answers the three endpoints; ``base_url`` is where this service is reached."""

    def __init__(self, state: EmulatorState, base_url: str) -> None:
        super().__init__()
        self.state = state
        self.base_url = base_url
        self.register_token_generator("default", self._new_token)
        self.register_grant(_DeviceGrant)
        self.register_grant(_RefreshGrant)
        self.register_endpoint(_DeviceEndpoint)
        self.register_endpoint(_Revocation)

    def device(self, path: str, form: dict[str, str]) -> Answer:
        """RFC 8628 §3.1."""
        answer: Answer = self.create_endpoint_response(
            "device_authorization", _FormRequest(path, form)
        )
        return answer

    def token(self, path: str, form: dict[str, str]) -> Answer:
        """RFC 8628 §3.4 and RFC 6749 §6."""
        answer: Answer = self.create_token_response(_FormRequest(path, form))
        return answer

    def revocation(self, path: str, form: dict[str, str]) -> Answer:
        """RFC 7009."""
        answer: Answer = self.create_endpoint_response("revocation", _FormRequest(path, form))
        return answer

    # -- the library's abstract methods -----------------------------------------------------------

    def create_oauth2_request(self, request: _FormRequest) -> _FormRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        return status, body if isinstance(body, dict) else {}

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None: ...

    def query_client(self, client_id: str) -> Client:
        """Any client id is accepted: clients are not registered here."""
        return Client(client_id)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        previous = request.refresh_token
        family = previous.family if previous else new_secret("family")
        saved = IssuedToken(
            request.client.client_id, request.user, token.get("scope") or "", family, token
        )
        self.state.save(saved)

    def _new_token(
        self,
        grant_type: str,
        client: Client,
        user: str | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,  # noqa: FBT001, FBT002 the library's signature
    ) -> dict[str, Any]:
        settings = self.state.settings
        resource = {"resource_url": f"{self.base_url}/v1"} if settings.names_resource else {}
        return {
            "access_token": new_secret("at"),
            "refresh_token": new_secret("rt"),
            "token_type": "Bearer",
            "expires_in": settings.token_lifetime_s,
            "scope": scope or "",
            **resource,
            "id_token": _id_token(self.base_url, client.client_id, user or ""),
        }


class _DeviceEndpoint(DeviceAuthorizationEndpoint):
    def create_endpoint_request(self, request: _FormRequest) -> _FormRequest:
        return request

    def create_endpoint_response(self, request: _FormRequest) -> Any:
        settings = self.server.state.settings
        self.EXPIRES_IN, self.INTERVAL = settings.code_lifetime_s, settings.interval_s
        self._challenge = request.form.get("code_challenge", "")
        if request.form.get("code_challenge_method", "S256") != "S256":
            raise InvalidGrantError("Only S256 is supported.")
        return super().create_endpoint_response(request)

    def get_verification_uri(self) -> str:
        return f"{self.server.base_url}/authorize"

    def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
        code = DeviceCode(client_id, scope or "", data, self._challenge)
        state = self.server.state
        state.codes[code.device_code] = code
        if state.settings.approves_all:
            state.decide(code, "demo", approved=True)


class _DeviceGrant(DeviceCodeGrant):
    def validate_token_request(self) -> None:
        super().validate_token_request()
        code: DeviceCode = self.request.credential
        verifier = self.request.form.get("code_verifier", "")
        if code.challenge and create_s256_code_challenge(verifier) != code.challenge:
            raise InvalidGrantError("The code_verifier does not match the code_challenge.")
        del self.server.state.codes[code.device_code]

    def query_device_credential(self, device_code: str) -> DeviceCode | None:
        found: DeviceCode | None = self.server.state.codes.get(device_code)
        return found

    def query_user_grant(self, user_code: str) -> tuple[str, bool] | None:
        code = self.server.state.code_for(user_code)
        if code is None or code.approved is None:
            return None
        return code.account, code.approved

    def should_slow_down(self, credential: DeviceCode) -> bool:
        now, last = time.monotonic(), credential.polled_at
        credential.polled_at = now
        # A little tolerance: only clients that poll much too fast matter.
        too_early = last is not None and now - last < credential.interval_s - 0.1
        if too_early:
            credential.interval_s += 5
        return too_early


class _RefreshGrant(RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> IssuedToken | None:
        token: IssuedToken | None = self.server.state.by_refresh(refresh_token)
        if token is None or token.family in self.server.state.ended_families:
            return None
        if token.refresh_used:
            # RFC 9700 §4.14.2: the token may have been stolen, so the whole sign-in ends.
            self.server.state.end_family(token.family)
            raise InvalidGrantError("This refresh token was used before; the sign-in has ended.")
        return token

    def authenticate_user(self, refresh_token: IssuedToken) -> str:
        return refresh_token.account

    def revoke_old_credential(self, refresh_token: IssuedToken) -> None:
        refresh_token.refresh_used = True


class _Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ("none",)

    def create_endpoint_request(self, request: _FormRequest) -> _FormRequest:
        return request

    def query_token(self, token_string: str, token_type_hint: str | None) -> IssuedToken | None:
        token: IssuedToken | None = self.server.state.by_any(token_string)
        return token

    def revoke_token(self, token: IssuedToken, request: _FormRequest) -> None:
        if request.form.get("token") == token.refresh_token:
            self.server.state.end_family(token.family)
        else:
            token.access_revoked = True


def _id_token(issuer: str, client_id: str, account: str) -> str:
    from joserfc import jwt
    from joserfc.jwk import OctKey

    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": client_id,
        "sub": account,
        "email": account if "@" in account else f"{account}@emulator.example",
        "iat": now,
        "exp": now + 3600,
    }
    return jwt.encode({"alg": "HS256"}, claims, OctKey.generate_key(256))
