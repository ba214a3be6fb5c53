"""From bare hosts to hosts that can serve."""
