"""The lab's hosts for pyinfra, from the table that the benchmark writes for it."""

import json
import os
from pathlib import Path

lab = json.loads(Path(os.environ["BENCH_HOSTS"]).read_text(encoding="utf-8"))
nodes = [
    (
        f"bench-{name}",
        {
            "inventory_name": name,
            "ssh_hostname": address,
            "ssh_user": lab["user"],
            "ssh_key": lab["key"],
            "ssh_known_hosts_file": lab["known_hosts"],
            "ssh_strict_host_key_checking": "yes",
            "ssh_allow_agent": False,
            "ssh_look_for_keys": False,
        },
    )
    for name, address in lab["hosts"].items()
]
