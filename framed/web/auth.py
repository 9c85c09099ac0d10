"""Who is asking: the owner's session, a bearer token, a frame's token, or a device of the home network."""

import hashlib
import hmac
import ipaddress
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from framed.errors import FramedError, Refused
from framed.web.ports import FrameTokens

log = structlog.get_logger(__name__)

SESSION_COOKIE = "framed_session"
FRAME_COOKIE = "framed_frame"
SESSION_S = 30 * 24 * 3600
FRAME_COOKIE_S = 400 * 24 * 3600  # the longest a browser keeps one
LONGEST_TOKEN = 256

# Not `is_private`: that also holds documentation and benchmark ranges, which no home device has.
HOME_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
HOME_SUFFIXES = (".local", ".lan", ".home", ".internal", ".localdomain", ".fritz.box", ".home.arpa")


class NotSignedIn(Refused):
    """No credential that opens this: 401, where a plain Refused is 403."""


class TooManyAttempts(FramedError):
    """Wrong tokens from one address: 429."""

    code = "busy"

    def __init__(self, retry_s: int) -> None:
        super().__init__(f"Too many wrong tokens came from this address. Try again in {retry_s} seconds.")
        self.retry_s = retry_s


@dataclass(frozen=True)
class Caller:
    """Whom a request comes from. `by_cookie` decides whether the Origin of a change must be ours; `key` is the
    frame's token that it came with."""

    admin: bool = False
    frame: str | None = None
    home: bool = False
    by_cookie: bool = False
    key: str = field(default="", repr=False)


def same(expected: str, given: str) -> bool:
    """Compare secrets in constant time; `given` may be any text a client can send."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))


class Sessions:
    """Session cookies: `<expiry>.<HMAC>`, keyed by the admin token, so a new token ends every session."""

    def __init__(self, admin_token: str, *, clock: Callable[[], float] = time.time) -> None:
        self._admin_token = admin_token
        self._key = hashlib.sha256(b"framed session\0" + admin_token.encode()).digest()
        self._clock = clock

    def is_admin_token(self, token: str) -> bool:
        return bool(self._admin_token) and same(self._admin_token, token)

    def issue(self) -> str:
        expiry = str(int(self._clock()) + SESSION_S)
        return f"{expiry}.{self._sign(expiry)}"

    def valid(self, cookie: str) -> bool:
        expiry, _, signature = cookie.partition(".")
        if not same(self._sign(expiry), signature):
            return False
        return int(expiry) > self._clock()  # our own signature stands for its being a number

    def _sign(self, expiry: str) -> str:
        digest = hmac.new(self._key, expiry.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        return urlsafe_b64encode(digest).decode().rstrip("=")


class Attempts:
    """A token bucket of wrong tokens per client address; IPv6 clients are counted by their /64."""

    def __init__(
        self,
        *,
        burst: int = 10,
        refill_s: float = 6.0,
        addresses: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._refill_s = refill_s
        self._addresses = addresses
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Raise TooManyAttempts where this address has to wait before its next token is looked at."""
        left = self._left(self._bucket(address))
        if left < 1:
            raise TooManyAttempts(max(1, round((1 - left) * self._refill_s)))

    def failed(self, address: str) -> None:
        bucket = self._bucket(address)
        self._buckets[bucket] = (self._left(bucket) - 1, self._clock())
        self._buckets.move_to_end(bucket)
        while len(self._buckets) > self._addresses:
            self._buckets.popitem(last=False)

    def _left(self, bucket: str) -> float:
        left, at = self._buckets.get(bucket, (float(self._burst), self._clock()))
        return min(float(self._burst), left + (self._clock() - at) / self._refill_s)

    @staticmethod
    def _bucket(address: str) -> str:
        ip = parse_address(address)
        if isinstance(ip, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((ip, 64), strict=False))
        return str(ip)


def parse_address(address: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The client's address without zone, IPv4-mapped IPv6 unwrapped; None for a socket without one."""
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def host_of(authority: str) -> str:
    """The host name of a Host header or an Origin, lower case; empty where it is malformed."""
    try:
        return (urlsplit(authority if "//" in authority else f"//{authority}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_home_host(host: str, public_host: str | None) -> bool:
    """Whether a page of this host can only be ours. A public name that was pointed at a home address (DNS
    rebinding) makes a stranger's page our own origin, so an open network trusts addresses and local names only."""
    if parse_address(host) is not None or host == "localhost" or "." not in host:
        return bool(host)
    return host.endswith(HOME_SUFFIXES) or (public_host is not None and host == public_host)


def from_home(request: web.Request, public_host: str | None) -> bool:
    """Whether the client itself is on the home network. Behind a proxy every client has the proxy's address, so
    a forwarded request never is."""
    if request.headers.get("X-Forwarded-For") or request.headers.get("Forwarded"):
        return False
    ip = parse_address(request.remote)
    if ip is None or not any(ip in network for network in HOME_NETWORKS if network.version == ip.version):
        return False
    return is_home_host(host_of(request.headers.get("Host", "")), public_host)


def refuse_foreign_origin(request: web.Request, public_host: str | None) -> None:
    """Raise Refused for a change that another site's page has the browser send with our cookie."""
    site = request.headers.get("Sec-Fetch-Site")
    if site == "same-origin":
        return
    if site not in (None, "none"):
        raise Refused("This request came from a page of another site.")
    origin = request.headers.get("Origin")
    if origin is None:
        return
    ours = {request.headers.get("Host", "").lower(), request.headers.get("X-Forwarded-Host", "").lower()} - {""}
    if authority_of(origin) in ours or (public_host is not None and host_of(origin) == public_host):
        return
    raise Refused("This request came from a page of another site.")


def authority_of(origin: str) -> str:
    """Host and port of an Origin header, as a Host header has them; empty where it is malformed."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class Gatekeeper:
    """Turns the credentials of a request into a Caller, and counts the wrong ones."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        tokens: FrameTokens,
        attempts: Attempts,
        open_lan: bool,
        public_host: str | None,
    ) -> None:
        self.sessions = sessions
        self.public_host = public_host
        self._tokens = tokens
        self._attempts = attempts
        self.open_lan = open_lan

    async def caller(self, request: web.Request, *, frame: str | None = None) -> Caller:
        """Who is asking, for `frame`'s page or for anything else. Raises TooManyAttempts, and NotSignedIn for a
        wrong token: that is an error even where none would have been needed."""
        if self.sessions.valid(request.cookies.get(SESSION_COOKIE, "")):
            return Caller(admin=True, by_cookie=True)
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        home = self.open_lan and from_home(request, self.public_host)
        if scheme.lower() == "bearer":
            token = bearer.strip()
            self._attempts.check(request.remote or "")
            if self._is_admin(token):
                return Caller(admin=True)
            return self._frame_caller(request, frame, token, by_cookie=False)
        key = request.query.get("k")
        if key is not None:
            return self._frame_caller(request, frame, key, by_cookie=False)
        cookie = request.cookies.get(FRAME_COOKIE)
        if cookie is not None and frame is not None:
            if home and not self._tokens.check(frame, cookie):
                return Caller(home=True, by_cookie=True)  # an outdated cookie on an open network
            return self._frame_caller(request, frame, cookie, by_cookie=True)
        return Caller(home=home, by_cookie=home)

    def still_opens(self, caller: Caller) -> bool:
        """Whether a stream that `caller` opened may go on: a frame's link may have been revoked meanwhile."""
        return caller.frame is None or self._tokens.check(caller.frame, caller.key)

    def sign_in(self, request: web.Request, token: str) -> str:
        """A session cookie for the admin token; raises NotSignedIn or TooManyAttempts."""
        self._attempts.check(request.remote or "")
        if not self._is_admin(token):
            raise self._wrong_token(request)
        return self.sessions.issue()

    def _frame_caller(self, request: web.Request, frame: str | None, token: str, *, by_cookie: bool) -> Caller:
        self._attempts.check(request.remote or "")
        if 0 < len(token) <= LONGEST_TOKEN:
            if frame is None:
                frame = self._tokens.frame_of(token)
            elif not self._tokens.check(frame, token):
                frame = None
            if frame is not None:
                return Caller(frame=frame, by_cookie=by_cookie, key=token)
        raise self._wrong_token(request)

    def _is_admin(self, token: str) -> bool:
        return 0 < len(token) <= LONGEST_TOKEN and self.sessions.is_admin_token(token)

    def _wrong_token(self, request: web.Request) -> NotSignedIn:
        self._attempts.failed(request.remote or "")
        log.info("wrong token", client=request.remote)
        return NotSignedIn("This token is not valid, or no longer. Open framed and copy the link again.")


def set_session(response: web.StreamResponse, request: web.Request, cookie: str) -> None:
    response.set_cookie(
        SESSION_COOKIE, cookie, max_age=SESSION_S, path="/", httponly=True, samesite="Strict", secure=request.secure
    )


def set_frame(response: web.StreamResponse, request: web.Request, frame: str, token: str) -> None:
    """Remember a frame's token for its own pages only: `frame` is a slug, so it is safe in a cookie's path."""
    response.set_cookie(
        FRAME_COOKIE,
        token,
        max_age=FRAME_COOKIE_S,
        path=f"/frame/{frame}",
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )
