"""A working day of the daemon in fast time: does its memory stay flat? The package behind `scripts/bench load`."""
