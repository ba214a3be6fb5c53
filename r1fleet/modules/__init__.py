"""What runs on hosts, one file per module; standard library only, Python 3.7 or newer."""
