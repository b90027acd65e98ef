"""Write settings given as section.key=value as TOML to standard output. Run by the device's own Python environment."""

from __future__ import annotations

import json
import sys

import msgspec

from edge.settings import Config

HEAD = "# Settings of this Mien device. All keys: docs/configuration.md. After a change: mien-edge check, then\n"
HEAD += "# systemctl reload mien-edge. Only root may write this file: it says what may run and leave the device.\n"


def main(arguments: list[str]) -> int:
    """Convert each value to its key's type and write the file; returns 1 with a line for each that is wrong."""
    sections = {field.name: msgspec.structs.fields(field.type) for field in msgspec.structs.fields(Config)}
    given = dict(argument.split("=", 1) for argument in arguments)
    lines, wrong = [HEAD], []
    for section, fields in sections.items():
        values = []
        for field in fields:
            text = given.pop(f"{section}.{field.name}", None)
            if text is None:
                continue
            try:
                value = msgspec.convert(text, field.type, strict=False)
            except msgspec.ValidationError as error:
                wrong.append(f"{section}.{field.name} = {text!r}: {error}")
                continue
            values.append(f"{field.name} = {json.dumps(value, ensure_ascii=False)}\n")  # JSON's literals are TOML's
        if values:
            lines += [f"\n[{section}]\n", *values]
    wrong += [f"there is no setting {key}; see docs/configuration.md" for key in given]
    for problem in wrong:
        print(f"mien: {problem}", file=sys.stderr)
    if not wrong:
        sys.stdout.write("".join(lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
