"""Make a small wheelhouse, of some packages of a lock file, and say where: PYTHON MACHINE NAME..."""

import json
import sys

from r1fleet.provision import pip
from r1fleet.provision.lock import Lock, packaged_lock, packaged_locks
from r1fleet.provision.target import Target
from r1fleet.provision.wheelhouse import build

GLIBC = 28

python, machine, *names = sys.argv[1:]
pins = tuple(pin for pin in packaged_lock(packaged_locks()[-1]).pins if pin.name in names)
if len(pins) != len(names):
    sys.exit(f"not all of {', '.join(names)} are in the lock file")
house = build(Lock("molecule", pins), Target(python, machine, GLIBC), pip.download)
sys.stdout.write(json.dumps({"path": str(house.path), "digest": house.digest}))
