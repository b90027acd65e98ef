"""What the device's whole way costs beside that of the systems it grew out of: behind `scripts/bench edge`."""
