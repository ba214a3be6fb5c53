"""What process serves a model: pure functions from a plan to a command."""
