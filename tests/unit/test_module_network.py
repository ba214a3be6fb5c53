"""get_url, uri and wait_for against a server of our own; setup's parsers."""

from __future__ import annotations

import hashlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from r1fleet.modules._http import Redirects
from r1fleet.modules.authorized_key import parse
from r1fleet.modules.systemd import parse_show
from tests.invoking import changes, invoke, well

CONTENT = b"hello\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Site(BaseHTTPRequestHandler):
    """A few pages; keeps what it was asked."""

    asked: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        Site.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        pages = {
            "/file": CONTENT,
            "/sums": f"{DIGEST}  other\n{DIGEST} *file\n".encode(),
            "/json": b'{"a": 1}',
        }
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
        elif self.headers.get("If-Modified-Since"):
            self.send_response(304)
            self.end_headers()
        else:
            page = pages.get(self.path)
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", "application/json" if self.path == "/json" else "text/plain")
            self.send_header("Content-Length", str(len(page or b"")))
            self.end_headers()
            self.wfile.write(page or b"")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Site.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_happens_once(site: str, tmp_path: Path) -> None:
    assert [well("get_url", url=f"{site}/file", dest=str(tmp_path / "f"))["changed"] for _ in range(2)] == [True, False]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_right_checksum_spares_the_question(site: str, tmp_path: Path) -> None:
    args = {"url": f"{site}/file", "dest": str(tmp_path / "f"), "checksum": f"sha256:{DIGEST}"}
    well("get_url", **args)
    Site.asked.clear()
    assert not well("get_url", **args)["changed"]
    assert Site.asked == []


def test_a_list_of_checksums_and_a_wrong_one(site: str, tmp_path: Path) -> None:
    well("get_url", url=f"{site}/file", dest=str(tmp_path), checksum=f"sha256:{site}/sums", mode="0600")
    wrong = invoke("get_url", url=f"{site}/file", dest=str(tmp_path / "w"), checksum="sha256:00")
    assert "did not match 00" in wrong["msg"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_not_there(site: str, tmp_path: Path) -> None:
    reply = invoke("get_url", url=f"{site}/none", dest=str(tmp_path / "f"))
    assert (reply["status_code"], reply["response"]) == (404, "HTTP Error 404: Not Found")
    assert not list(tmp_path.iterdir())


def test_credentials_and_headers(site: str, tmp_path: Path) -> None:
    address = site.replace("http://", "http://me:se%20cret@")
    well("get_url", url=f"{address}/file", dest=str(tmp_path / "f"), headers={"X-One": "1"})
    headers = Site.asked[0][1]
    assert (headers["authorization"], headers["x-one"]) == ("Basic bWU6c2UgY3JldA==", "1")


@pytest.mark.parametrize(
    ("old", "new", "is_kept"),
    [
        ("https://hub/a", "https://hub/b", True),
        ("http://hub/a", "https://hub/b", True),
        ("https://hub/a", "http://hub/b", False),
        ("https://hub/a", "https://cdn/b", False),
    ],
)
def test_a_redirect_takes_credentials_to_no_other_host_and_out_of_no_encryption(
    old: str, new: str, is_kept: bool
) -> None:
    asked = urllib.request.Request(old, headers={"Authorization": "Bearer t"})
    following = Redirects("all").redirect_request(asked, None, 302, "Found", {}, new)
    assert ("Authorization" in following.headers) is is_kept


def test_uri(site: str, tmp_path: Path) -> None:
    assert well("uri", url=f"{site}/json")["json"] == {"a": 1}
    assert well("uri", url=f"{site}/moved", return_content=True)["content"] == CONTENT.decode()
    assert well("uri", url=f"{site}/moved", follow_redirects="none", status_code=302)["status"] == 302
    assert invoke("uri", url=f"{site}/none")["msg"].startswith("Status code was 404 and not [200]")
    well("uri", url=f"{site}/json", method="POST", body={"b": 2}, body_format="json")
    assert json.loads(Site.asked[-1][2]) == {"b": 2}
    assert well("uri", url=f"{site}/file", dest=str(tmp_path))["path"] == str(tmp_path / "file")


def test_wait_for(site: str, tmp_path: Path) -> None:
    port = int(site.rpartition(":")[2])
    assert well("wait_for", port=port, timeout=5)["state"] == "started"
    (tmp_path / "f").write_text("ready: 7\n")
    found = well("wait_for", path=str(tmp_path / "f"), search_regex=r"ready: (\d)")
    assert found["match_groups"] == ["7"]
    assert "Timeout when waiting" in invoke("wait_for", path=str(tmp_path / "no"), timeout=0)["msg"]


def test_find(tmp_path: Path) -> None:
    for name in ("a.txt", "b.log", ".hidden.txt", "sub/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)

    def names(**args: Any) -> list[str]:
        files = well("find", paths=str(tmp_path), **args)["files"]
        return sorted(str(Path(entry["path"]).relative_to(tmp_path)) for entry in files)

    assert names() == ["a.txt", "b.log"]
    assert names(patterns="*.txt", recurse=True) == ["a.txt", "sub/c.txt"]
    assert names(patterns=r".*\.log$", use_regex=True) == ["b.log"]
    assert names(hidden=True, excludes="b*") == [".hidden.txt", "a.txt"]
    assert names(contains="sub.*", recurse=True) == ["sub/c.txt"]
    assert names(size="6") == []
    assert names(file_type="directory") == ["sub"]


def test_sysctl_keeps_one_line(tmp_path: Path) -> None:
    path = tmp_path / "sysctl.conf"
    path.write_text("# keep\nvm.swappiness=60\nvm.swappiness = 10\n")
    args = {"name": "vm.swappiness", "sysctl_file": str(path), "reload": False}
    assert changes("sysctl", value="5", **args) == [True, True, False]
    assert path.read_text() == "# keep\nvm.swappiness=5\n"
    assert changes("sysctl", state="absent", **args) == [True, True, False]


def test_the_values_of_systemctl_show() -> None:
    text = "Id=a.service\nExecStart={ path=/bin/a ; argv[]=/bin/a\n--b ; }\nEnvironment=A=1\nActiveState=active\n"
    status = parse_show(text)
    assert status["ExecStart"] == "{ path=/bin/a ; argv[]=/bin/a\n--b ; }"
    assert (status["Environment"], status["ActiveState"]) == ("A=1", "active")


def test_a_key_s_options_may_hold_quoted_space() -> None:
    key = parse('no-pty,command="ls \\"-l\\" x" ssh-ed25519 AAAA me at home')
    assert key is not None
    assert (key.options, key.data, key.comment) == ('no-pty,command="ls \\"-l\\" x"', "AAAA", "me at home")
    assert parse("# ssh-ed25519 AAAA") is None


def test_facts_need_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    facts = well("setup")["ansible_facts"]
    assert facts["ansible_processor_vcpus"] >= 1
    assert facts["ansible_lo"]["ipv4"]["address"] == "127.0.0.1"
    assert "127.0.0.1" not in facts["ansible_all_ipv4_addresses"]
    assert set(well("setup", gather_subset=["!all", "!min"])["ansible_facts"]) == {"gather_subset", "module_setup"}


def test_find_counts_what_it_looks_at_and_goes_into_hidden_folders(tmp_path: Path) -> None:
    (tmp_path / ".hidden/deep/deeper").mkdir(parents=True)
    for name in ("a.txt", ".b.txt", ".hidden/c.txt", ".hidden/deep/d.txt", ".hidden/deep/deeper/e.txt"):
        (tmp_path / name).write_text("x\n")

    def found(**args: Any) -> tuple[list[str], int]:
        reply = well("find", paths=str(tmp_path), recurse=True, **args)
        return sorted(Path(row["path"]).name for row in reply["files"]), reply["examined"]

    assert found() == (["a.txt", "c.txt", "d.txt", "e.txt"], 8)
    assert found(hidden=True) == ([".b.txt", "a.txt", "c.txt", "d.txt", "e.txt"], 8)
    assert found(depth=2) == (["a.txt", "c.txt"], 7), "one level beyond is looked at"


def test_find_leaves_a_path_with_a_file_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes("你好\n".encode("gbk"))
    assert well("find", paths=str(tmp_path), contains="你好", encoding="gbk")["matched"] == 1
    for encoding, words in (("utf-8", "due to an encoding error"), ("none-such", "unknown encoding: none-such")):
        reply = well("find", paths=str(tmp_path), contains="你好", encoding=encoding)
        assert words in reply["skipped_paths"][str(tmp_path)]
        assert reply["msg"] == "Not all paths examined, check warnings for details"


def test_a_temporary_name_is_no_path(tmp_path: Path) -> None:
    for argument in ("prefix", "suffix"):
        args: dict[str, Any] = {"path": str(tmp_path), argument: "../x"}
        assert f"{argument} must be a valid file name" in invoke("tempfile", **args)["msg"]
    assert list(tmp_path.iterdir()) == []
