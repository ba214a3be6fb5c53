"""Fetch from a URL with the standard library: proxies from the environment, headers, authentication, certificates."""

from __future__ import annotations

import base64
import http.client
import netrc
import os
import shutil
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True},
    "headers": {"type": "dict"},
    "http_agent": {"type": "str", "default": "ansible-httpget"},
    "use_proxy": {"type": "bool", "default": True},
    "use_netrc": {"type": "bool", "default": True},
    "use_gssapi": {"type": "bool", "default": False},
    "validate_certs": {"type": "bool", "default": True},
    "url_username": {"type": "str", "aliases": ["username"]},
    "url_password": {"type": "str", "aliases": ["password"], "no_log": True},
    "force_basic_auth": {"type": "bool", "default": False},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path"},
    "ca_path": {"type": "path"},
    "ciphers": {"type": "list", "elements": "str"},
    "decompress": {"type": "bool", "default": True},
    "unredirected_headers": {"type": "list", "elements": "str", "default": []},
}
"""The arguments that get_url and uri share."""

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects as ``rule`` says: all, none, or safe (only requests that change nothing)."""

    def __init__(self, rule: str) -> None:
        self._rule = {"yes": "all", "no": "none", "urllib2": "safe"}.get(rule, rule)

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Build the next request, or none."""
        if self._rule == "none" or (self._rule == "safe" and req.get_method() not in ("GET", "HEAD")):
            return None
        method = req.get_method()
        data = req.data if code in (307, 308) else None
        if code == 303 or (code in (301, 302) and method == "POST"):
            method, data = "GET", None
        kept = {name: value for name, value in req.headers.items() if data or name.lower() not in _BODY_HEADERS}
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if new.netloc != old.netloc or (old.scheme, new.scheme) == ("https", "http"):
            # Another host has no right to what was meant for the first, nor has who listens to what is not encrypted.
            kept.pop("Authorization", None)
        return urllib.request.Request(
            newurl.replace(" ", "%20"),
            data,
            kept,
            origin_req_host=req.origin_req_host,
            unverifiable=True,
            method=method,
        )

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302


_BODY_HEADERS = ("content-length", "content-type")


def request(ctx: Context, url: str, *, method: str = "GET", data: Any = None, headers: Any = None) -> Any:
    """Build a request with the headers and the authentication that the arguments ask for."""
    args = ctx.args
    bare, user, password = _credentials(args, url)
    built = urllib.request.Request(bare, data, method=method)
    built.add_header("User-agent", args.get("http_agent") or "ansible-httpget")
    if user is not None:
        token = base64.b64encode("{}:{}".format(user, password or "").encode()).decode("ascii")
        built.add_header("Authorization", "Basic " + token)
    for name, value in dict(args.get("headers") or {}, **(headers or {})).items():
        if name.lower() in {single.lower() for single in args.get("unredirected_headers") or []}:
            built.add_unredirected_header(name, str(value))
        else:
            built.add_header(name, str(value))
    return built


def _credentials(args: dict[str, Any], url: str) -> tuple[str, str | None, str | None]:
    parts = urllib.parse.urlsplit(url)
    user, password = args.get("url_username"), args.get("url_password")
    if parts.username is not None:
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        user = user or urllib.parse.unquote(parts.username)
        password = password or urllib.parse.unquote(parts.password or "")
        return bare.geturl(), user, password
    if user is None and args.get("use_netrc", True) and parts.hostname:
        user, password = _from_netrc(parts.hostname)
    return url, user, password


def _from_netrc(host: str) -> tuple[str | None, str | None]:
    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        found = netrc.netrc(path).hosts.get(host)
    except (OSError, netrc.NetrcParseError):
        return None, None
    return (found[0], found[2]) if found else (None, None)


def opened(ctx: Context, built: Any, *, timeout: float, redirects: str = "all") -> Any:
    """Open a request; answers of 400 and above come back as answers, other faults raise OSError."""
    handlers = [_proxies(ctx), Redirects(redirects), _Https(ctx)]
    opener = urllib.request.build_opener(*handlers)
    try:
        return opener.open(built, timeout=timeout)
    except urllib.error.HTTPError as answer:
        return answer


def _proxies(ctx: Context) -> urllib.request.ProxyHandler:
    """Take proxies from the task's environment before the agent's own."""
    if not ctx.args.get("use_proxy", True):
        return urllib.request.ProxyHandler({})
    merged = {name.lower(): value for name, value in dict(os.environ, **ctx.environment).items()}
    found = {name[: -len("_proxy")]: merged[name] for name in _PROXIES if merged.get(name)}
    return _Proxies(found)


class _Proxies(urllib.request.ProxyHandler):
    """A proxy handler whose exceptions come from where its proxies came from."""

    def __init__(self, found: dict[str, str]) -> None:
        self._excepted = {"no": found.pop("no", "")}
        super().__init__(found)

    def proxy_open(self, req: Any, proxy: str, type: str) -> Any:  # noqa: A002 - the parent's own name
        """Go by the proxy unless the host is excepted."""
        if req.host and urllib.request.proxy_bypass_environment(req.host, self._excepted):  # type: ignore[attr-defined]
            return None
        return super().proxy_open(req, proxy, type)


class _Https(urllib.request.HTTPSHandler):
    """Reads the host's certificates only when a connection needs them: that takes longer than most requests."""

    def __init__(self, ctx: Context) -> None:
        urllib.request.AbstractHTTPHandler.__init__(self)
        self._ctx = ctx

    def https_open(self, req: Any) -> Any:
        """Open a connection that checks as the arguments say."""
        return self.do_open(http.client.HTTPSConnection, req, context=_tls(self._ctx))


def _tls(ctx: Context) -> ssl.SSLContext:
    args = ctx.args
    context = ssl.create_default_context(cafile=args.get("ca_path"))
    if args.get("validate_certs") is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if args.get("client_cert"):
        context.load_cert_chain(args["client_cert"], keyfile=args.get("client_key"))
    if args.get("ciphers"):
        context.set_ciphers(":".join(args["ciphers"]))
    return context


def download(ctx: Context, url: str, path: str, *, timeout: float = 30) -> None:
    """Fetch ``url`` into the file ``path`` or fail."""
    try:
        with opened(ctx, request(ctx, url), timeout=timeout) as answer, open(path, "wb") as stream:
            status = answer.getcode()
            if status is not None and status >= 400:
                ctx.fail("Failure downloading {}: HTTP Error {}: {}".format(url, status, answer.reason))
            shutil.copyfileobj(answer, stream, 1024 * 1024)
    except OSError as error:
        ctx.fail("Failure downloading {}: {}".format(url, error))
