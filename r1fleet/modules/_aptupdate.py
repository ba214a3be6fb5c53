"""Fetch the lists of packages: how old they are, and the tries that a busy source takes."""

from __future__ import annotations

import os
import random
import time
from typing import Any

from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.modules._aptget import apt_get
from r1fleet.modules._dpkg import LISTS

ARGUMENTS: dict[str, dict[str, Any]] = {
    "update_cache_retries": {"type": "int", "default": 5},
    "update_cache_retry_max_delay": {"type": "int", "default": 12},
}
"""The arguments that apt and apt_repository share."""

_STAMP = "/var/lib/apt/periodic/update-success-stamp"
_HINT = (
    "see whether the host reaches its package source or proxy (http_proxy in the play's environment), then run again"
)


def cache_state() -> dict[str, Any]:
    """Tell how old the lists are, as apt's results do."""
    return {"cache_updated": False, "cache_update_time": int(_stamp_time())}


def refresh(ctx: Context) -> dict[str, Any]:
    """Fetch the lists unless ``cache_valid_time`` says that they are young enough."""
    if _cache_time() + ctx.args["cache_valid_time"] >= time.time():
        return cache_state()
    news = ctx.check or update(ctx)
    return dict(cache_state(), cache_updated=news)


def update(ctx: Context) -> bool:
    """Fetch the lists, with as many tries as the arguments allow, or fail; tell whether anything was new."""
    before = _cache_time()
    _fetch(ctx)
    news = _cache_time() != before
    _touch_lists()
    return news


def _fetch(ctx: Context) -> None:
    retries = ctx.args["update_cache_retries"]
    # Where we try again, apt-get's own three tries per file would turn half a minute into five.
    patience = ["-o", "Acquire::Retries=0"] if retries else []
    for attempt in range(retries + 1):
        try:
            # apt-get tells of sources it could not reach by a warning only, unless asked.
            apt_get(ctx, "-o", "APT::Update::Error-Mode=any", *patience, "update")
            return
        except ModuleFailed as error:
            text = error.reply.get("stderr") or error.msg
            if attempt >= retries:
                said = {name: value for name, value in error.reply.items() if name not in ("failed", "msg", "changed")}
                ctx.fail("Failed to update apt cache: {}".format(text.strip()), hint=_HINT, **said)
        delay = min(2.0**attempt, ctx.args["update_cache_retry_max_delay"]) + random.random()
        ctx.progress("apt-get update failed, trying again in {:.0f} s".format(delay))
        time.sleep(delay)


def _cache_time() -> float:
    """Tell when the lists were fetched; a folder without any list is as old as can be, whenever it was made."""
    if not os.path.isdir(LISTS) or not any("_Packages" in entry for entry in os.listdir(LISTS)):
        return 0.0
    return _stamp_time()


def _stamp_time() -> float:
    for path in (_STAMP, LISTS):
        if os.path.exists(path):
            return os.stat(path).st_mtime
    return 0.0


def _touch_lists() -> None:
    """Note the time of the update where apt keeps no stamp of its own."""
    if os.path.exists(_STAMP):
        os.utime(_STAMP)
    else:
        os.utime(LISTS)
