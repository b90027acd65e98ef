"""`python -m training`: see `scripts/train --help`."""

from training.cli import main

raise SystemExit(main())
