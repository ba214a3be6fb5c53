"""What the controller does itself, or does before a module runs on the host."""
