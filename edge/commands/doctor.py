"""`mien-edge doctor`: is this device fit to work, and what to do where it is not."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from edge.doctor.examine import examine
from edge.doctor.ground import survey
from edge.doctor.report import CHECKS, EXIT_STATUS, Line, as_json, as_text, summary, worst


def execute(options: argparse.Namespace) -> int:
    """Examine the device, telling each line as soon as it is known; see EXIT_HELP for the result."""
    logging.getLogger().setLevel(logging.DEBUG if options.verbose else logging.ERROR)  # the report says it better
    ground = survey(options.config, listen_s=options.listen, look_s=options.look)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    lines: list[Line] = []
    for line in examine(ground, [each for each in options.only or CHECKS if each not in options.skip]):
        lines.append(line)
        if not options.json:
            print(as_text(line, colour=colour), flush=True)
    if options.json:
        print(as_json(lines, config=ground.loaded.config if ground.loaded else None))
    else:
        print(summary(lines))
    sys.stdout.flush()
    return EXIT_STATUS[worst(lines)]
