"""rsync and aria2 over the same links: this machine's own programs, in the hosts' networks and on their disks."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.spread_ground import PLACE, Outcome, sent_bytes, shaped
from r1fleet.lab import Lab, LabHost
from r1fleet.weights.manifest import Manifest

_PORT = 26900
_LONGEST = 1200
_PIECE = 1 << 17
_ARIA2 = (
    "--no-conf",
    "--quiet",
    "--enable-dht=false",
    "--enable-dht6=false",
    "--enable-peer-exchange=false",
    "--file-allocation=none",
    "--allow-overwrite=true",
    "--bt-max-peers=0",
    "--bt-tracker-interval=5",
    "--seed-ratio=0.0",
    f"--listen-port={_PORT}",
)


def rsync(made: Lab, chosen: tuple[LabHost, ...], manifest: Manifest, rate: str, _: object) -> Outcome:
    """Let every host copy from a daemon on the source at the same time."""
    source = chosen[0]
    with tempfile.TemporaryDirectory(prefix="r1bench-") as name:
        config = Path(name) / "rsyncd.conf"
        config.write_text(f"use chroot = no\n[set]\npath = {source.root}{PLACE}\nread only = yes\n")
        daemon = ["rsync", "--daemon", "--no-detach", f"--config={config}", f"--address={source.address}"]
        with _inside(source, [*daemon, f"--port={_PORT}"]):
            time.sleep(1)
            url = f"rsync://{source.address}:{_PORT}/set/"

            def copy(host: LabHost) -> list[str]:
                Path(f"{host.root}{PLACE}").mkdir(parents=True)
                return ["rsync", "-a", "--inplace", "--whole-file", url, f"{host.root}{PLACE}/"]

            with shaped(made, chosen, rate):
                return _timed(chosen, manifest, copy)


def aria2(made: Lab, chosen: tuple[LabHost, ...], manifest: Manifest, rate: str, _: object) -> Outcome:
    """Let aria2 seed at the source and leech elsewhere, with a tracker beside the source's program."""
    with tempfile.TemporaryDirectory(prefix="r1bench-") as name, _tracker(made) as announce:
        torrent = Path(name) / "set.torrent"
        torrent.write_bytes(_torrent(chosen[0], manifest, announce))

        def program(host: LabHost) -> list[str]:
            above = Path(f"{host.root}{PLACE}").parent
            above.mkdir(parents=True, exist_ok=True)
            own = [f"--dir={above}", f"--interface={host.address}", f"--bt-external-ip={host.address}"]
            seed = ["--bt-seed-unverified=true"] if host is chosen[0] else []
            return ["aria2c", *_ARIA2, *own, *seed, str(torrent)]

        with shaped(made, chosen, rate), _inside(chosen[0], program(chosen[0])):
            time.sleep(2)
            return _timed(chosen, manifest, program)


TOOLS: dict[str, Callable[..., Outcome]] = {"rsync": rsync, "aria2": aria2}


def _timed(chosen: Sequence[LabHost], manifest: Manifest, program: Callable[[LabHost], list[str]]) -> Outcome:
    """Start a program for every target and note when the host's files are whole; then end what still seeds."""
    sent, began = sent_bytes(chosen[0]), time.time()
    running = {host: subprocess.Popen(_enter(host, program(host))) for host in chosen[1:]}
    finish: dict[str, float] = {}
    while len(finish) < len(running) and time.time() - began < _LONGEST:
        for host, process in running.items():
            if host.name not in finish and (process.poll() is not None or _looks_whole(host, manifest)):
                finish[host.name] = time.time() - began
        time.sleep(0.2)
    copies = (sent_bytes(chosen[0]) - sent) / manifest.size
    for process in running.values():
        process.terminate()
        process.wait()
    return Outcome(finish, copies)


def _looks_whole(host: LabHost, manifest: Manifest) -> bool:
    """Tell by blocks on disk, which cost nothing to ask for; contents are compared afterwards."""
    folder = Path(f"{host.root}{PLACE}")
    paths = [(folder / file.path, file.size) for file in manifest.files]
    return all(path.exists() and path.stat().st_blocks * 512 >= size for path, size in paths)


def _enter(host: LabHost, command: Sequence[str]) -> list[str]:
    """Run a program in the host's network, and with the host's share of the processors."""
    groups = Path("/sys/fs/cgroup").glob(f"*/{host.namespace.replace('-', '/', 1)}/cgroup.procs")
    joins = [f"echo $$ >{path} || exit" for path in groups]
    return ["sh", "-c", "\n".join([*joins, 'exec "$@"']), "sh", "ip", "netns", "exec", host.namespace, *command]


@contextmanager
def _inside(host: LabHost, command: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen(_enter(host, command))
    try:
        yield
    finally:
        process.terminate()
        process.wait()


# --- what aria2 needs ------------------------------------------------------------------------------


def _torrent(source: LabHost, manifest: Manifest, announce: str) -> bytes:
    pieces, rest = b"", b""
    for file in manifest.files:
        rest += (Path(f"{source.root}{PLACE}") / file.path).read_bytes()
        whole = len(rest) - len(rest) % _PIECE
        pieces += b"".join(hashlib.sha1(rest[at : at + _PIECE]).digest() for at in range(0, whole, _PIECE))
        rest = rest[whole:]
    pieces += hashlib.sha1(rest).digest() if rest else b""
    files = [{"length": file.size, "path": [file.path]} for file in manifest.files]
    about = {"files": files, "name": Path(PLACE).name, "piece length": _PIECE, "pieces": pieces}
    return _bencoded({"announce": announce, "info": about})


def _bencoded(value: object) -> bytes:
    match value:
        case int():
            return b"i%de" % value
        case bytes():
            return b"%d:%b" % (len(value), value)
        case str():
            return _bencoded(value.encode())
        case list():
            return b"l" + b"".join(map(_bencoded, value)) + b"e"
        case dict():
            return b"d" + b"".join(_bencoded(key) + _bencoded(value[key]) for key in sorted(value)) + b"e"
    raise TypeError(type(value))


@contextmanager
def _tracker(made: Lab) -> Iterator[str]:
    """Tell every peer that asks about all others, on the controller's address."""
    peers: dict[str, int] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query, encoding="latin-1")
            peers[self.client_address[0]] = int(asked["port"][0])
            rows = [{"ip": ip, "port": port, "peer id": ip.encode().ljust(20)} for ip, port in peers.items()]
            body = _bencoded({"interval": 5, "min interval": 2, "peers": rows})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with socketserver.ThreadingTCPServer((made.gateway, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{made.gateway}:{server.server_address[1]}/announce"
        server.shutdown()


if not shutil.which("rsync") or not shutil.which("aria2c"):
    raise SystemExit("install the packages rsync and aria2")
