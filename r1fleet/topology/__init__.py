"""How a model is divided over the accelerators of a fleet."""
