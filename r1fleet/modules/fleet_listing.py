"""Tell what a source holds of a model: the first hub of a chain that answers, or a folder."""

from __future__ import annotations

import threading
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules import _folder_source
from r1fleet.modules._hub import Hub, Patience
from r1fleet.modules._hub_listing import listing
from r1fleet.modules._hub_refusals import Refused
from r1fleet.modules._hub_rows import misplaced, told, without_doubles

ARGUMENTS = {
    "model": {"type": "str", "required": True},
    "revision": {"type": "str", "required": True},
    "folder": {"type": "str", "default": ""},
    "target": {"type": "str", "default": ""},
    "hubs": {"type": "list", "elements": "dict", "default": [], "no_log": True},
    "attempts": {"type": "int", "default": 4},
    "pause": {"type": "float", "default": 1.0},
    "silence": {"type": "float", "default": 30.0},
}
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Answer with ``files``, ``commit``, ``origin``, ``left_out``; a folder's own place as ``folder``.

    A folder that is the ``target``, where the model is to be, can be sealed ``in_place``; of another one on its disk,
    ``shared`` bytes take no room there.
    """
    args = ctx.args
    if args["folder"]:
        return _of_folder(args)
    refusals: list[Refused] = []
    for row in args["hubs"]:
        hub = Hub(ctx, row, Patience(args["attempts"], args["pause"], args["silence"], threading.Event()))
        try:
            commit, found = listing(hub, args["model"], args["revision"])
            return _of_hub(hub, commit, found)
        except Refused as refused:
            refusals.append(refused)
            if refused.is_mendable and hub.trusted:  # no other hub may be a way around a licence
                break
    return _refuse(ctx, refusals)


def _of_folder(args: dict[str, Any]) -> dict[str, Any]:
    place = _folder_source.find(args["folder"], args["model"], args["revision"])
    in_place = _folder_source.is_target(place, args["target"])
    rows, left_out = _folder_source.rows(place, args["model"])
    if in_place:
        _folder_source.refuse_links(place, rows)
        left_out = [*_folder_source.beside(place), *left_out]
    near = sum(row["size"] for row in rows) if in_place else _folder_source.shared(place, rows, args["target"])
    told = {"folder": place.folder, "in_place": in_place, "shared": near}
    return _answer(rows, left_out, place.commit, place.folder, **told)


def _of_hub(hub: Hub, commit: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    faults = list(misplaced(found))
    if faults:
        text = "%s: its listing cannot be taken:\n%s" % (hub.name, told(faults))
        raise Refused("listing", text, "take another source")
    rows, left_out = without_doubles(found)
    if not rows:
        raise Refused("listing", "%s: the model has no files" % hub.name, "take another source")
    return _answer(rows, left_out, commit, hub.endpoint)


def _answer(rows: Any, left_out: Any, commit: str, origin: str, **more: Any) -> dict[str, Any]:
    rows = sorted(rows, key=lambda row: row["path"])
    return {"changed": False, "files": rows, "left_out": left_out, "commit": commit, "origin": origin, **more}


def _refuse(ctx: Context, refusals: list[Refused]) -> dict[str, Any]:
    """Fail with what every hub has said; what the user can mend stands before what only waiting mends."""
    first = min(refusals, key=lambda refused: _ORDER.index(refused.reason) if refused.reason in _ORDER else len(_ORDER))
    rest = [refused.text for refused in refusals if refused is not first]
    return ctx.fail(first.text, reason=first.reason, hint="\n".join([first.todo, *rest]))


_ORDER = ("licence", "token", "revision", "model", "html", "listing", "busy", "route")
