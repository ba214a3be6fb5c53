"""The agent: one process per host that runs modules; standard library only, Python 3.7 or newer."""
