"""Install and remove Python packages; pip is not started where their metadata says that all is well."""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._distributions import installed, normalized, pinned, pins_of_file, satisfies, search_path

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "list", "elements": "str"},
    "state": {"type": "str", "default": "present", "choices": ["absent", "forcereinstall", "latest", "present"]},
    "version": {"type": "str"},
    "requirements": {"type": "str"},
    "virtualenv": {"type": "path"},
    "virtualenv_command": {"type": "path", "default": "virtualenv"},
    "virtualenv_python": {"type": "str"},
    "virtualenv_site_packages": {"type": "bool", "default": False},
    "extra_args": {"type": "str"},
    "editable": {"type": "bool", "default": False},
    "chdir": {"type": "path"},
    "executable": {"type": "path"},
    "umask": {"type": "str"},
    "break_system_packages": {"type": "bool", "default": False},
}
REQUIRED_ONE_OF = [["name", "requirements"]]
MUTUALLY_EXCLUSIVE = [["name", "requirements"], ["executable", "virtualenv"]]
LOCAL = True
CHECK_MODE = True

# With one of these, what is installed already says nothing about what pip would do.
_FORCING = re.compile(
    r"(^|\s)(-U|--upgrade|--force-reinstall|-I|--ignore-installed|-t|--target|--prefix|--root|--user|-e|--editable|-c|-r)"
)


def run(ctx: Context) -> dict[str, Any]:
    """Bring the packages into the wanted state."""
    names = _names(ctx)
    _umask(ctx)  # a wrong one is told in check mode, too
    venv_output = _make_virtualenv(ctx)
    if venv_output is None:
        return dict(_described(ctx, []), changed=True)
    made, output = venv_output
    pip = _pip(ctx)
    command = [*pip, *_verb(ctx), *_words(ctx, names)]
    reply = _described(ctx, command)
    if _satisfied(ctx, names):
        return dict(reply, changed=made, stdout=output, stderr="", stdout_lines=output.splitlines(), stderr_lines=[])
    if ctx.check:
        return dict(reply, changed=True)
    return dict(reply, **_run(ctx, command, output, made=made))


def _names(ctx: Context) -> list[str]:
    """Return the requirements one by one; commas separate both packages and parts of a version."""
    names: list[str] = []
    for entry in ctx.args["name"] or []:
        for part in entry.split(","):
            if names and re.match(r"^\s*[<>=!~]", part):
                names[-1] += "," + part.strip()
            elif part.strip():
                names.append(part.strip())
    version = ctx.args["version"]
    if version is None:
        return names
    if ctx.args["state"] == "latest":
        ctx.fail("version is incompatible with state=latest")
    if len(names) != 1:
        ctx.fail("'version' argument is ambiguous when installing multiple package distributions.")
    return [names[0] + (version if re.match(r"^\s*[<>=!~]", version) else "==" + version)]


def _make_virtualenv(ctx: Context) -> tuple[bool, str] | None:
    """Make the virtual environment if it is not there; None where check mode stops before."""
    args = ctx.args
    folder = args["virtualenv"]
    if not folder or os.path.exists(os.path.join(folder, "bin", "activate")):
        return False, ""
    if ctx.check:
        return None
    words = shlex.split(args["virtualenv_command"])
    words[0] = ctx.need(words[0])
    uses_venv = words[-2:] == ["-m", "venv"] or os.path.basename(words[0]).startswith("pyvenv")
    if args["virtualenv_site_packages"]:
        words.append("--system-site-packages")
    if args["virtualenv_python"]:
        if uses_venv:
            ctx.fail("virtualenv_python should not be used when using the venv module or pyvenv as virtualenv_command")
        words.append("-p" + args["virtualenv_python"])
    elif not uses_venv:
        words.append("-p" + sys.executable)
    done = ctx.run([*words, folder], cwd=args["chdir"], umask=_umask(ctx))
    if done.rc:
        ctx.fail("cannot make the virtual environment {}: {}".format(folder, done.error or done.text), cmd=words)
    return True, done.stdout.decode("utf-8", "replace")


def _umask(ctx: Context) -> int:
    text = ctx.args["umask"]
    if text is None:
        return -1
    try:
        return int(text, 8)
    except ValueError:
        ctx.fail("umask must be an octal integer", details=text)


def _pip(ctx: Context) -> list[str]:
    args = ctx.args
    if args["virtualenv"]:
        python = os.path.join(args["virtualenv"], "bin", "python")
        return [python, "-m", "pip"] if os.path.exists(python) else [os.path.join(args["virtualenv"], "bin", "pip")]
    if args["executable"]:
        return [ctx.need(args["executable"])]
    return [sys.executable, "-m", "pip"]


def _verb(ctx: Context) -> list[str]:
    verbs = {
        "present": ["install"],
        "absent": ["uninstall", "-y"],
        "latest": ["install", "-U"],
        "forcereinstall": ["install", "-U", "--force-reinstall"],
    }
    verb = verbs[ctx.args["state"]]
    return [*verb, "--break-system-packages"] if ctx.args["break_system_packages"] else verb


def _words(ctx: Context, names: list[str]) -> list[str]:
    args = ctx.args
    extra = shlex.split(args["extra_args"]) if args["extra_args"] else []
    if args["requirements"]:
        return [*extra, "-r", args["requirements"]]
    editable = ["-e"] if args["editable"] else []
    return [*extra, *(word for name in names for word in [*editable, name])]


def _described(ctx: Context, command: list[str]) -> dict[str, Any]:
    args = ctx.args
    told = () if ctx.check else ("name", "state", "version", "requirements", "virtualenv")
    return dict({name: args[name] for name in told}, cmd=command)


def _satisfied(ctx: Context, names: list[str]) -> bool:
    """Tell whether the metadata on disk proves that pip has nothing to do."""
    args = ctx.args
    if args["state"] not in ("present", "absent") or args["editable"] or args["executable"]:
        return False
    if args["extra_args"] and _FORCING.search(args["extra_args"]):
        return False
    if args["requirements"]:
        path = os.path.join(args["chdir"] or "", args["requirements"])
        wanted = pins_of_file(path)
    else:
        wanted = [pinned(name) for name in names]
    if not wanted or any(single is None for single in wanted):
        return False
    present = installed(search_path(args["virtualenv"]))
    pairs = [single for single in wanted if single is not None]
    if args["state"] == "absent":
        return all(normalized(name) not in present for name, _ in pairs)
    return all(satisfies(present.get(normalized(name)), version) for name, version in pairs)


def _run(ctx: Context, command: list[str], before: str, *, made: bool) -> dict[str, Any]:
    ctx.progress("pip {}".format(" ".join(command[command.index("pip") + 1 :] if "pip" in command else command[1:])))
    done = ctx.run(command, cwd=ctx.args["chdir"] or ctx.scratch(), umask=_umask(ctx), locale="C.UTF-8")
    stdout, stderr = (raw.decode("utf-8", "replace") for raw in (done.stdout, done.stderr))
    absent = ctx.args["state"] == "absent"
    if done.rc and not (absent and "not installed" in stderr):
        text = stderr.strip() or stdout.strip()
        more = {"stdout": before + stdout, "stderr": stderr, "rc": done.rc, "cmd": command}
        ctx.fail("pip failed: {}".format(text[-4000:]), **more)
    sign = "Successfully uninstalled" if absent else "Successfully installed"
    texts = {"stdout": before + stdout, "stderr": stderr}
    lines = {name + "_lines": text.splitlines() for name, text in texts.items()}
    return dict(texts, **lines, changed=made or sign in stdout)
