"""Real hosts on one machine to rehearse on."""
