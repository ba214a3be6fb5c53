"""What runs where, read from the hosts."""
