"""What to use instead of modules that others have and r1fleet has not."""

from __future__ import annotations

_OWN = "write it as `command`, or as a module of your own: docs/modules.md"
_DATABASE = "use `command` with the database's own client"
_SELINUX = "use `command` with semanage, setsebool or restorecon"
_DISK = "use `command` behind a look at the disk (blkid, lvs, lsblk)"
_FIREWALL = "write the rules by `template` and load them in a handler, or use `command`"
_CONTAINER = "use `command` with docker or podman, or a unit by `template` and `systemd`"
_CRYPTO = "use `command` with openssl and `creates`"
_PACKAGES = "use `command` with `creates`, or `package`"

_INSTEAD = {
    "acl": "use `command` with setfacl",
    "archive": "use `command` with tar and `creates`",
    "at": "use a systemd timer by `template`",
    "capabilities": "use `command` with setcap",
    "expect": "use `command` with `stdin`",
    "htpasswd": "use `copy` with `content` and the filter password_hash",
    "locale_gen": "use `lineinfile` on /etc/locale.gen, then `command` locale-gen in a handler",
    "mail": "send mail with `command`",
    "pam_limits": "use `template` on /etc/security/limits.d/",
    "patch": "bring the whole file by `template` or `copy`",
    "subversion": "use `command` with `creates`",
    "sysvinit": "use `service`",
    "xml": "bring the whole file by `template`",
    **dict.fromkeys(("firewalld", "iptables", "nftables", "ufw"), _FIREWALL),
    **dict.fromkeys(("filesystem", "lvg", "lvol", "parted", "crypttab", "open_iscsi"), _DISK),
    **dict.fromkeys(("seboolean", "sefcontext", "selinux", "seport", "selogin"), _SELINUX),
    **dict.fromkeys(("bundler", "composer", "cpanm", "gem", "npm", "snap", "zypper", "pacman", "homebrew"), _PACKAGES),
}
_FAMILIES = (
    (("mysql_", "postgresql_", "mongodb_", "influxdb_", "redis", "proxysql_"), _DATABASE),
    (("docker_", "podman_", "containerd_"), _CONTAINER),
    (("openssl_", "x509_", "acme_", "certificate_"), _CRYPTO),
    (("win_",), "r1fleet's hosts run Linux"),
    (("k8s", "helm", "kubectl"), "use `command` with kubectl or helm"),
)


def instead_of(name: str) -> str:
    """Return what to use instead of a module."""
    stem = name.rpartition(".")[2]
    found = _INSTEAD.get(stem) or next((hint for starts, hint in _FAMILIES if stem.startswith(starts)), None)
    return found or _OWN


def is_foreign(name: str) -> bool:
    """Tell a well-known module, for which a name that happens to be near is no help."""
    return instead_of(name) != _OWN
