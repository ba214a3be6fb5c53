"""Events, rendered for people and for programs."""
