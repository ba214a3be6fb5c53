"""Facts about the running system: names, kernel, Python, user, time, environment."""

from __future__ import annotations

import configparser
import datetime
import glob
import importlib.machinery
import json
import os
import pwd
import shlex
import socket
import sys
import time
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._proc import read

_INTEL32 = ("i386", "i486", "i586", "i686")


def platform(ctx: Context) -> dict[str, Any]:
    """Tell kernel, architecture and names."""
    names = os.uname()
    fqdn = socket.getfqdn()
    architecture = "i386" if names.machine in _INTEL32 else names.machine
    bits = "64" if sys.maxsize > 2**32 else "32"
    facts = {
        "system": names.sysname,
        "kernel": names.release,
        "kernel_version": names.version,
        "machine": names.machine,
        "architecture": architecture,
        "userspace_bits": bits,
        "userspace_architecture": architecture if bits == "64" or architecture != "x86_64" else "i386",
        "nodename": names.nodename,
        "hostname": names.nodename.split(".")[0],
        "fqdn": fqdn,
        "domain": ".".join(fqdn.split(".")[1:]),
        "python_version": "{}.{}.{}".format(*sys.version_info[:3]),
    }
    identity = read("/var/lib/dbus/machine-id") or read("/etc/machine-id")
    return dict(facts, machine_id=identity) if identity else facts


def python(ctx: Context) -> dict[str, Any]:
    """Tell which Python runs the agent."""
    info = sys.version_info
    version: dict[str, Any] = {"major": info.major, "minor": info.minor, "micro": info.micro}
    version.update(releaselevel=info.releaselevel, serial=info.serial)
    facts = {
        "version": version,
        "version_info": list(info),
        "executable": sys.executable,
        "has_sslcontext": importlib.machinery.PathFinder.find_spec("_ssl") is not None,
        "type": sys.implementation.name,
    }
    return {"python": facts}


def user(ctx: Context) -> dict[str, Any]:
    """Tell whom the agent runs as."""
    account = pwd.getpwuid(os.geteuid())
    return {
        "user_id": account.pw_name,
        "user_uid": account.pw_uid,
        "user_gid": account.pw_gid,
        "user_gecos": account.pw_gecos,
        "user_dir": account.pw_dir,
        "user_shell": account.pw_shell,
        "real_user_id": os.getuid(),
        "effective_user_id": os.geteuid(),
        "real_group_id": os.getgid(),
        "effective_group_id": os.getegid(),
    }


def environment(ctx: Context) -> dict[str, Any]:
    """Tell the environment, with what the task adds to it."""
    return {"env": dict(os.environ, **ctx.environment)}


def date_time(ctx: Context) -> dict[str, Any]:
    """Tell the host's time in many spellings."""
    epoch = time.time()
    now = datetime.datetime.fromtimestamp(epoch)
    utc = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    local = time.localtime(epoch)
    facts = {name: now.strftime(layout) for name, layout in _LAYOUTS.items()}
    facts.update(
        epoch=str(int(epoch)),
        epoch_int=str(int(epoch)),
        iso8601=utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        iso8601_micro=utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        tz=time.strftime("%Z", local),
        tz_dst=time.tzname[1],
        tz_offset=time.strftime("%z", local),
    )
    return {"date_time": facts}


_LAYOUTS = {
    "year": "%Y",
    "month": "%m",
    "weekday": "%A",
    "weekday_number": "%w",
    "weeknumber": "%W",
    "day": "%d",
    "hour": "%H",
    "minute": "%M",
    "second": "%S",
    "date": "%Y-%m-%d",
    "time": "%H:%M:%S",
    "iso8601_basic": "%Y%m%dT%H%M%S%f",
    "iso8601_basic_short": "%Y%m%dT%H%M%S",
}


def command_line(ctx: Context) -> dict[str, Any]:
    """Tell how the kernel was started; ``proc_cmdline`` keeps all values of a repeated name."""
    try:
        words = shlex.split(read("/proc/cmdline"), posix=False)
    except ValueError:
        words = read("/proc/cmdline").split()
    last: dict[str, Any] = {}
    every: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        found: Any = value if sign else True
        last[name] = found
        if name in every and sign:
            every[name] = every[name] + [found] if isinstance(every[name], list) else [every[name], found]
        else:
            every[name] = found
    return {"cmdline": last, "proc_cmdline": every}


def name_servers(ctx: Context) -> dict[str, Any]:
    """Read the resolver's configuration."""
    facts: dict[str, Any] = {}
    for line in read("/etc/resolv.conf").splitlines():
        words = line.split()
        if not words or line.startswith(("#", ";")) or len(words) < 2:
            continue
        if words[0] == "nameserver":
            facts.setdefault("nameservers", []).extend(words[1:])
        elif words[0] == "domain":
            facts["domain"] = words[1]
        elif words[0] in ("search", "sortlist"):
            facts[words[0]] = words[1:]
        elif words[0] == "options":
            pairs = (word.partition(":") for word in words[1:])
            facts["options"] = {name: value if sign else True for name, sign, value in pairs}
    return {"dns": facts}


def selinux(ctx: Context) -> dict[str, Any]:
    """Tell SELinux's state."""
    mounted = "/sys/fs/selinux"
    if not os.path.exists(mounted + "/enforce"):
        return {"selinux": {"status": "disabled"}, "selinux_python_present": True}
    settings = dict(
        line.split("=", 1) for line in read("/etc/selinux/config").splitlines() if "=" in line and line[:1] != "#"
    )
    facts = {
        "status": "enabled",
        "mode": "enforcing" if read(mounted + "/enforce") == "1" else "permissive",
        "policyvers": int(read(mounted + "/policyvers", "0") or 0),
        "config_mode": settings.get("SELINUX", "unknown").strip(),
        "type": settings.get("SELINUXTYPE", "unknown").strip(),
    }
    return {"selinux": facts, "selinux_python_present": True}


def apparmor(ctx: Context) -> dict[str, Any]:
    """Tell whether AppArmor is on."""
    return {"apparmor": {"status": "enabled" if os.path.exists("/sys/kernel/security/apparmor") else "disabled"}}


def fips(ctx: Context) -> dict[str, Any]:
    """Tell whether the kernel allows approved algorithms only."""
    return {"fips": read("/proc/sys/crypto/fips_enabled") == "1"}


def capabilities(ctx: Context) -> dict[str, Any]:
    """Tell the capabilities of the agent's process, as a mask: names would need a program."""
    status = dict(line.split(":\t", 1) for line in read("/proc/self/status").splitlines() if ":\t" in line)
    effective, bounding = int(status.get("CapEff", "0"), 16), int(status.get("CapBnd", "0"), 16)
    full = bool(effective) and effective == bounding
    return {"system_capabilities_enforced": "False" if full and bounding + 1 & bounding == 0 else "True"}


def ssh_host_keys(ctx: Context) -> dict[str, Any]:
    """Read the host's public keys."""
    facts = {}
    for kind in ("dsa", "rsa", "ecdsa", "ed25519"):
        for folder in ("/etc/ssh", "/etc/openssh", "/etc"):
            words = read("{}/ssh_host_{}_key.pub".format(folder, kind)).split()
            if len(words) > 1:
                facts["ssh_host_key_{}_public".format(kind)] = words[1]
                facts["ssh_host_key_{}_public_keytype".format(kind)] = words[0]
                break
    return facts


def load(ctx: Context) -> dict[str, Any]:
    """Tell the load averages."""
    return {"loadavg": dict(zip(("1m", "5m", "15m"), os.getloadavg()))}


def local(ctx: Context) -> dict[str, Any]:
    """Read or run what administrators put into the fact folder."""
    folder = ctx.args["fact_path"]
    facts = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.fact"))) if folder else []:
        name = os.path.basename(path)[: -len(".fact")]
        facts[name] = _local_fact(ctx, path)
    return {"local": facts}


def _local_fact(ctx: Context, path: str) -> Any:
    """Return a file's facts, or the text that says why it has none."""
    if not os.path.exists(path):
        return _lost(ctx, "Could not stat fact ({})".format(path))
    if os.access(path, os.X_OK):
        done = ctx.run([path])
        if done.rc:
            said = done.stderr.decode("utf-8", "replace").strip()
            return _lost(ctx, "Failure executing fact script ({}), rc: {}, err: {}".format(path, done.rc, said))
        return _parsed(ctx, path, done.text)
    return _parsed(ctx, path, read(path))


def _lost(ctx: Context, text: str) -> str:
    ctx.warn(text)
    return text


def _parsed(ctx: Context, path: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        return _lost(ctx, "error loading facts as JSON or ini - please check content: {}: {}".format(path, error))
    return {section: dict(parser.items(section)) for section in parser.sections()}
