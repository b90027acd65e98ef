"""Other machines in software: Mien on arm64 without a Raspberry Pi.

`emulated` runs single programs of a Debian for arm64 (qemu-user); `python -m virtual_pi` boots a whole one, with a
camera and a sound card (qemu-system). `debian` and `wheels` make what both need, and the tests' booted container.
"""
