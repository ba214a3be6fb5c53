"""What keeps a process alive on a host: systemd or docker."""
