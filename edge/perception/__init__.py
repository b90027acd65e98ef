"""From frames and sound to calibrated distributions over emotions."""
