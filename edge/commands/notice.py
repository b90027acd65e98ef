"""`mien-edge notice`: the sign for the door."""

from __future__ import annotations

import argparse

from edge.clock import SystemClock
from edge.config import load_config
from edge.notice import compose
from edge.notice_pdf import write_pdf
from edge.policy import decide


def execute(options: argparse.Namespace) -> int:
    """Write the sign and say what it is about. Raises ConfigError or NoticeError."""
    config = load_config(options.config)
    now = SystemClock().wall()
    allowed = decide(config.declared_site(), now=now)
    write_pdf(compose(config, allowed, lang=options.lang, now=now), options.out, lang=options.lang, font=options.font)
    print(f"{options.out}: {allowed.why}")
    for name in ("operator", "contact"):
        if not getattr(config.site, name):
            print(f"site.{name} is empty: the sign has a blank to fill in by hand")
    return 0
