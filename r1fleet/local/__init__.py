"""The transport to the controller itself: the agent as a subprocess."""
