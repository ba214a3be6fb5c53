"""Keep file systems in fstab, and mount or unmount them."""

from __future__ import annotations

import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import content_diff, read_bytes, write_bytes
from r1fleet.modules._edits import backup, encoded
from r1fleet.modules._fstab import MOUNTS, Entry, Mounted, mounted, with_entry, without
from r1fleet.modules._proc import read

ARGUMENTS: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True, "aliases": ["name"]},
    "src": {"type": "path"},
    "fstype": {"type": "str"},
    "opts": {"type": "str"},
    "opts_no_log": {"type": "bool", "default": False},
    "dump": {"type": "str", "default": "0"},
    "passno": {"type": "str", "default": "0"},
    "boot": {"type": "bool", "default": True},
    "fstab": {"type": "str", "default": "/etc/fstab"},
    "backup": {"type": "bool", "default": False},
    "state": {
        "type": "str",
        "required": True,
        "choices": ["absent", "absent_from_fstab", "mounted", "present", "unmounted", "remounted", "ephemeral"],
    },
}
REQUIRED_IF = [["state", state, ["src", "fstype"]] for state in ("mounted", "present", "ephemeral")]
LOCAL = True
CHECK_MODE = True

_OTHER_SOURCE = (
    "Ephemeral mount point is already mounted with a different source than the specified one. Unmount it first "
    "(state: unmounted), or use another path."
)


def run(ctx: Context) -> dict[str, Any]:
    """Bring the table and the mount into the wanted state."""
    return _Mount(ctx).settle()


class _Mount:
    def __init__(self, ctx: Context) -> None:
        args = ctx.args
        self._ctx = ctx
        self._path = args["path"]
        opts = args["opts"] or "defaults"
        if not args["boot"] and "noauto" not in opts.split(","):
            opts += ",noauto"
        self._entry = Entry(args["src"] or "", self._path, args["fstype"] or "", opts, args["dump"], args["passno"])
        self._before = read_bytes(args["fstab"]) or b""
        self._after = self._before
        self._made: list[str] = []
        self._copy = ""

    def settle(self) -> dict[str, Any]:
        """Do what the state asks and tell it."""
        changed = getattr(self, "_" + self._ctx.args["state"])()
        reply = {"changed": changed, "name": self._path, "fstab": self._ctx.args["fstab"]}
        reply.update(opts=self._entry.opts, dump=self._entry.dump, passno=self._entry.passno)
        reply.update(
            boot="yes" if self._ctx.args["boot"] else "no", src=self._ctx.args["src"], fstype=self._entry.fstype
        )
        reply["backup_file"] = self._copy
        if self._ctx.diff:
            reply["diff"] = content_diff(self._before, self._after, self._ctx.args["fstab"])
        return reply

    # --- states ------------------------------------------------------------------------------------

    def _present(self) -> bool:
        return self._put(encoded(with_entry(self._text(), self._entry)))

    def _absent_from_fstab(self) -> bool:
        return self._put(encoded(without(self._text(), self._path, self._ctx.args["src"])))

    def _absent(self) -> bool:
        changed = self._absent_from_fstab()
        if changed and not self._ctx.check:
            if self._standing():
                self._umount()
            if os.path.isdir(self._path):
                try:
                    os.rmdir(self._path)
                except OSError as error:
                    self._ctx.fail("Error rmdir {}: {}".format(self._path, error.strerror))
        return changed

    def _unmounted(self) -> bool:
        if not self._standing():
            return False
        if not self._ctx.check:
            self._umount()
        return True

    def _mounted(self) -> bool:
        standing = self._standing()
        changed = self._present()
        if self._ctx.check:
            return changed or standing is None
        if standing is not None:
            if changed:
                self._again()
            return changed
        self._folder()
        self._mount([self._path], undo=True)
        return True

    def _remounted(self) -> bool:
        if not self._ctx.check:
            self._again()
        return True

    def _ephemeral(self) -> bool:
        standing = self._standing()
        if standing is not None and not self._same_source(standing):
            self._ctx.fail(_OTHER_SOURCE)
        if self._ctx.check:
            return True
        words = ["-t", self._entry.fstype, "-o", self._entry.opts, self._entry.src, self._path]
        if standing is not None:
            self._must("remounting", ["mount", "-o", "remount," + self._entry.opts, self._path])
        else:
            self._folder()
            self._mount(words, undo=False)
        return True

    # --- steps -------------------------------------------------------------------------------------

    def _text(self) -> str:
        return self._before.decode("utf-8", "surrogateescape")

    def _put(self, content: bytes) -> bool:
        self._after = content
        if content == self._before:
            return False
        if not self._ctx.check:
            self._copy = backup(self._ctx, self._ctx.args["fstab"])
            write_bytes(self._ctx.args["fstab"], content, mode=0o644)
        return True

    def _standing(self) -> Mounted | None:
        return mounted(self._path, read(MOUNTS))

    def _same_source(self, standing: Mounted) -> bool:
        if "bind" in self._entry.opts.split(","):
            return os.path.realpath(self._entry.src).endswith(standing.root)
        return standing.source == self._entry.src or os.path.realpath(standing.source) == os.path.realpath(
            self._entry.src
        )

    def _folder(self) -> None:
        """Make the place to mount at, folder by folder, so that a mount that fails leaves none."""
        missing, path = [], self._path
        while path and not os.path.lexists(path):
            missing.append(path)
            path = os.path.dirname(path)
        try:
            for folder in reversed(missing):
                os.mkdir(folder, 0o755)
                self._made.insert(0, folder)
        except OSError as error:
            self._ctx.fail("Error making dir {}: {}".format(self._path, error.strerror))

    def _mount(self, words: list[str], *, undo: bool) -> None:
        table = ["-T", self._ctx.args["fstab"]] if undo and self._ctx.args["fstab"] != "/etc/fstab" else []
        done = self._ctx.run(["mount", *table, *words], locale="C")
        if not done.rc:
            return
        if undo and self._after != self._before:
            write_bytes(self._ctx.args["fstab"], self._before, mode=0o644)
        for folder in self._made:
            os.rmdir(folder)
        self._ctx.fail("Error mounting {}: {}".format(self._path, done.error.strip() or done.text.strip()), rc=done.rc)

    def _again(self) -> None:
        """Mount anew with the table's options; what cannot be done in place is unmounted and mounted."""
        done = self._ctx.run(["mount", "-o", "remount", self._path], locale="C")
        if done.rc:
            self._umount()
            self._mount([self._path], undo=True)

    def _umount(self) -> None:
        self._must("unmounting", ["umount", self._path])

    def _must(self, what: str, words: list[str]) -> None:
        done = self._ctx.run(words, locale="C")
        if done.rc:
            said = done.error.strip() or done.text.strip()
            self._ctx.fail("Error {} {}: {}".format(what, self._path, said), rc=done.rc)
