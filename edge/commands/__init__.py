"""The commands of `mien-edge`, a module each; `execute` takes the parsed options and returns the exit status."""
