"""What the controller keeps while it copies: fetched once, whoever takes it, and never taken from under a reader."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from r1fleet.cache import cache_dir, cache_lock, cache_lock_if_free
from r1fleet.errors import HostUnreachable, Where
from r1fleet.events import ignore
from r1fleet.inventory import Host
from r1fleet.local.session import LocalSession
from r1fleet.status import Access, Contact
from r1fleet.transport import Become, Session
from r1fleet.weights import MANIFEST, HostRow, Model, ModelPlan, kept, parse, read_manifest
from r1fleet.weights.fetching import fetched
from r1fleet.weights.options import SyncOptions
from r1fleet.weights.plan import CONTROLLER, LACKS, Origin
from r1fleet.weights.sources import ListedFile, Listing, Source
from r1fleet.weights.ways import Ways
from tests.unit.test_weights import PATH, FolderHost, cache, copied, held, hosts, seal, shard

__all__ = ["cache", "hosts"]

FILES = {"config.json": b"{}", "model.safetensors": shard(1, 2, 3)}
STAGING = ".org--model@main.fetch.part"


class Both:
    """The way to this machine, and to the hosts that are folders of it."""

    def __init__(self, hosts: list[FolderHost]) -> None:
        self.hosts = {host.name: host for host in hosts}

    def open(self, host: Host, become: Become | None = None) -> Session:
        if host.name in self.hosts:
            return self.hosts[host.name]
        session = LocalSession(host.name)
        session.start()
        return session

    def close(self) -> None:
        pass


class Controller:
    """A fetch on the controller, for hosts that have no route to the source."""

    def __init__(self, hosts: list[FolderHost], source: Path) -> None:
        self.source = source
        source.mkdir()
        for path, content in FILES.items():
            (source / path).write_bytes(content)
        inventory = tuple(Host(host.name) for host in hosts)
        access = Access(Both(hosts), lambda host: None)
        contact = Contact(access, inventory)
        contact.open()
        self.ways = Ways(contact, access, ignore, SyncOptions(source=Source(folder=str(source))))
        listed = [ListedFile(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in FILES.items()]
        listing = Listing("org/model", "main", "", str(source), tuple(listed), folder=str(source))
        rows = tuple(HostRow(host.name, LACKS) for host in hosts)
        model = Model("org/model", "main", PATH, inventory, ("serve",))
        self.plan = ModelPlan(model, listing.size, rows, Origin(CONTROLLER, str(source)), listing=listing)

    def forget_source(self) -> None:
        """Let the source be gone: what is not here cannot be fetched again."""
        for path in FILES:
            (self.source / path).unlink()


@pytest.fixture
def controller(hosts: list[FolderHost], tmp_path: Path) -> Controller:
    return Controller(hosts, tmp_path / "source")


def test_a_host_that_fails_leaves_the_first_copy_to_the_next(controller: Controller, hosts: list[FolderHost]) -> None:
    hosts[0].lost = True
    manifest, source, outcomes = fetched(controller.plan, controller.ways)
    assert source == "h2"
    assert {name: one.changed for name, one in outcomes.items()} == {"h1": False, "h2": True}
    assert isinstance(outcomes["h1"].error, HostUnreachable)
    assert read_manifest(hosts[1], PATH) == manifest


def test_what_no_host_has_taken_is_not_fetched_again(controller: Controller, hosts: list[FolderHost]) -> None:
    for host in hosts:
        host.lost = True
    with pytest.raises(HostUnreachable) as caught:
        fetched(controller.plan, controller.ways)
    assert caught.value.where == Where(host="h1")
    controller.forget_source()
    for host in hosts:
        host.lost = False
    assert fetched(controller.plan, controller.ways)[1] == "h1"
    assert {path: held(hosts[0])[path] for path in FILES} == FILES


def test_what_a_killed_run_has_fetched_is_not_fetched_again(
    controller: Controller, hosts: list[FolderHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(kept, "give_back", lambda digest, staging: None)
        hosts[0].lost = hosts[1].lost = hosts[2].lost = True
        with pytest.raises(HostUnreachable):
            fetched(controller.plan, controller.ways)
    assert not (cache_dir("weights") / STAGING).exists()
    controller.forget_source()
    hosts[0].lost = False
    assert fetched(controller.plan, controller.ways)[1] == "h1"


def test_a_set_stays_while_another_run_copies_it(hosts: list[FolderHost]) -> None:
    manifest = parse((seal(hosts[0], config_json=b"{}") / MANIFEST).read_text(), Where())
    copied(hosts[0], hosts[1:2])
    folder, staging = kept.folder_of(manifest.digest), cache_dir("weights") / STAGING
    with kept.read(manifest.digest):
        kept.forget(manifest.digest)
        kept.give_back(manifest.digest, staging)
        assert (folder / "config.json").exists()
    kept.forget(manifest.digest)
    assert not folder.exists()


def test_a_copy_holds_on_to_the_set_that_it_reads(hosts: list[FolderHost]) -> None:
    seal(hosts[0], config_json=b"{}", model_bin=b"m")
    manifest = read_manifest(hosts[0], PATH)
    assert manifest is not None
    noted = hosts[1]._noted

    def forgotten(sha256: str, opened: object) -> object:
        kept.forget(manifest.digest)
        return noted(sha256, opened)  # type: ignore[arg-type]

    hosts[1]._noted = forgotten  # type: ignore[method-assign, assignment]
    assert [one.error for one in copied(hosts[0], hosts[1:2])] == [None]
    assert held(hosts[1]) == held(hosts[0])


def test_a_fetched_set_mends_the_part_that_a_copy_has_left_and_another_run_reads(hosts: list[FolderHost]) -> None:
    sealed = seal(hosts[0], config_json=b"{}", model_bin=b"whole")
    manifest = read_manifest(hosts[0], PATH)
    assert manifest is not None
    folder, staging = cache_dir("weights", manifest.digest), cache_dir("weights") / STAGING
    (folder / "model.bin").write_bytes(b"w")
    shutil.copytree(sealed, staging)
    with kept.read(manifest.digest), (folder / "model.bin").open("rb") as reading:
        assert kept.keep(staging, manifest) == folder
        assert reading.read() == b"w"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == held(hosts[0])
    assert not staging.exists()


def test_a_lock_is_shared_by_readers_and_had_alone_only_where_it_is_free(cache: None, tmp_path: Path) -> None:
    with cache_lock("one", shared=True), cache_lock("one", shared=True), cache_lock_if_free("one") as is_free:
        assert not is_free
    with cache_lock_if_free("one") as is_free, cache_lock_if_free("one") as again:
        assert (is_free, again) == (True, False)
