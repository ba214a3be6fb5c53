"""The repository that the rpm modules are tried on: versions to pin, dependencies, streams, groups, advisories."""

from __future__ import annotations

from tests.standins.rpmrepo import Advisory, Group, Repository, Rpm, Stream

_FIXED = Rpm("patched", "1.2")

SHELF = Repository(
    "shelf",
    rpms=(
        *(
            Rpm("tool", version, files={"/usr/local/bin/tool": f"#!/bin/sh\necho {version}"})
            for version in ("1.0", "1.5", "2.0")
        ),
        Rpm("needy", "1.0", requires=("wanted >= 1",), recommends=("pleasant",)),
        Rpm("wanted", "1.0"),
        Rpm("pleasant", "1.0"),
        Rpm("epochal", "3.0", epoch=2),
        Rpm("renamed-new", "2.0", provides=("renamed = 2.0",), obsoletes=("renamed < 2",)),
        Rpm("provider", "1.0", provides=("mail-agent", "/usr/sbin/mail-agent"), files={"/opt/standin/agent": "agent"}),
        Rpm("plug-a", "1.0"),
        Rpm("plug-b", "1.0"),
        Rpm("plug-b", "1.1"),
        Rpm("rival", "1.0", conflicts=("wanted",)),
        Rpm("impossible", "1.0", requires=("nowhere-to-be-found",)),
        Rpm("unsigned", "1.0", signed=False),
        Rpm("patched", "1.0"),
        _FIXED,
        Rpm("featured", "1.0"),
        Rpm("featured", "1.1"),
        Rpm("kit-one", "1.0"),
        Rpm("kit-two", "1.0"),
        Rpm("driver", "570.86", epoch=3, release="1.el9", arch="x86_64", stream="driver:570"),
        Rpm("driver", "580.65", epoch=3, release="1.el9", arch="x86_64", stream="driver:580"),
        Rpm("driver-extra", "570.86", epoch=3, arch="x86_64", stream="driver:570"),
        Rpm("driver-extra", "580.65", epoch=3, arch="x86_64", stream="driver:580"),
    ),
    streams=tuple(
        Stream("driver", name, {"default": ("driver",), "full": ("driver", "driver-extra")}, is_default=name == "580")
        for name in ("570", "580")
    ),
    groups=(Group("kit", "The Kit", ("kit-one", "kit-two")),),
    advisories=(Advisory("STANDIN-2026:1", "security", _FIXED),),
)
