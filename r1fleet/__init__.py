"""r1fleet: from bare SSH hosts to an answering LLM endpoint."""

__version__ = "0.1.0"
