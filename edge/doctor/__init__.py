"""`mien-edge doctor`: looks at everything a device needs, and says what to do where it is not right.

`report` holds what a finding is, `ground` what the checks know, `daemon` whether the daemon runs, `examine` runs the
checks with a time limit each; the checks are in `software`, `sources`, `broker`, `board` and `access`.
"""
