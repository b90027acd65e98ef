"""Reference pages made from the code: protocol, configuration, JSON Schemas, golden samples.

scripts/docs runs this; tests/test_docs.py fails where a file is not what it would write.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import msgspec
from golden import GOLDEN

from edge import protocol, settings
from edge.expected import expected
from edge.protocol import CLOUD_TOPIC, TOPICS, Evidence, TopicSpec, encode

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "provisioning" / "edge.example.toml"

PROTOCOL_HEAD = f"""\
# The protocol

*Made from `edge/protocol.py` by `scripts/docs`; do not edit.*

Topics are `{protocol.PREFIX}/{{site}}/{{device}}/{{kind}}`, some with one more level. Site and device match
`[a-z0-9-]{{1,36}}`; no device is called `cloud`. A payload has at most {protocol.MAX_PAYLOAD // 1024} KiB. Payloads are
JSON, evidence is MessagePack of the same kind of object. Readers ignore unknown keys and reject another major version
of `schema`. Messages may come twice and out of order: `id` tells duplicates, (`session`, `seq`) the order in which one
device made them. A device writes only below its own site and name, and never a verdict or a command.

JSON Schemas are in [schemas/](schemas), samples of every message in [tests/golden](../tests/golden).

## Topics

| topic | direction | QoS | retained | outbox | message | what |
|---|---|---|---|---|---|---|
"""

CONFIGURATION_HEAD = """\
# Configuration

*Made from `edge/settings.py` by `scripts/docs`; do not edit.*

A TOML file, by default `/etc/mien/edge.toml`. Each key may be overridden by an environment variable
`MIEN__SECTION__KEY`, e.g. `MIEN__MQTT__BROKER`, except those of `[site]` and `[privacy]`: the policy stands in the file
alone, and a variable that says otherwise is an error. Keys marked **required** have no default. *Advanced* keys are not
in [edge.example.toml](../provisioning/edge.example.toml): most devices do without them.

`mien-edge check` names everything that is wrong at once: file, line, key, value, what the value may be, and the nearest
key that exists. If nothing is wrong it says what the policy allows, and warns of settings that do less than they seem.
`mien-edge config show` prints the settings in effect and where each comes from, without secrets.

## The last good settings

Once the daemon has started it keeps the settings in effect as `last-good-*.json` in its state directory
(`$STATE_DIRECTORY`, else `/var/lib/mien`), readable by its user only. If the file is wrong at a later start, the daemon
goes on with them, logs an error and publishes the event `config-invalid`. What may run and leave never comes from such
a copy alone: all that the file itself says in `[site]` and `[privacy]` must be readable and be what the copy says.
Where anything there is missing, unknown, unreadable or different, perhaps because somebody just tightened it, or a
variable wants to say it, the device starts in mode `off`: camera and microphone closed, but connected and saying why.
A file that does not exist, and a first start, are refused.
"""


def main() -> int:
    """Write the files, or with --check name those that differ."""
    parser = argparse.ArgumentParser(prog="scripts/docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    options = parser.parse_args()
    stale = [path for path, content in pages().items() if not path.exists() or path.read_bytes() != content]
    for path in stale:
        print(path.relative_to(ROOT), file=sys.stderr)
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pages()[path])
    return 1 if options.check and stale else 0


def pages() -> dict[Path, bytes]:
    """Return each made file and what it holds."""
    files = {
        ROOT / "docs" / "protocol.md": protocol_page().encode(),
        ROOT / "docs" / "configuration.md": configuration_page().encode(),
    }
    for spec in (*TOPICS, CLOUD_TOPIC):
        name = spec.message.__name__
        schema = json.dumps(msgspec.json.schema(spec.message), indent=2) + "\n"
        files[ROOT / "docs" / "schemas" / f"{name}.json"] = schema.encode()
    for name, message in GOLDEN.items():
        payload = encode(message)
        readable = payload if isinstance(message, Evidence) else msgspec.json.format(payload, indent=2) + b"\n"
        ending = "msgpack" if isinstance(message, Evidence) else "json"
        files[ROOT / "tests" / "golden" / f"{name}.{ending}"] = readable
    return files


def protocol_page() -> str:
    """Return docs/protocol.md."""
    documented = _classes(protocol)
    text = PROTOCOL_HEAD
    text += "".join(_topic_row(spec) for spec in (*TOPICS, CLOUD_TOPIC))
    text += "\n## Messages\n"
    shared = [field.name for field in msgspec.structs.fields(protocol.Message)]
    for name in ("Message", *(spec.message.__name__ for spec in (*TOPICS, CLOUD_TOPIC))):
        kind = getattr(protocol, name)
        also = name != "Message" and issubclass(kind, protocol.Message)
        text += _struct(name, kind, documented, leave_out=shared if also else [])
    text += "\n## Parts of messages\n"
    for name in ("Distribution", "ModelInfo", "SourceHealth", "Percentiles"):
        text += _struct(name, getattr(protocol, name), documented, leave_out=[])
    return text


def configuration_page() -> str:
    """Return docs/configuration.md."""
    documented = _classes(settings)
    text, shown = CONFIGURATION_HEAD, example_keys()
    for section in msgspec.structs.fields(settings.Config):
        kind = section.type
        doc, fields = documented[kind.__name__]
        text += f"\n## [{section.name}]\n\n{doc}\n\n| key | default | may be | what |\n|---|---|---|---|\n"
        for field in msgspec.structs.fields(kind):
            default = "**required**" if field.required else f"`{json.dumps(field.default)}`"
            advanced = "" if (section.name, field.name) in shown else " *Advanced.*"
            may_be = _one_line(expected(field.type))
            text += f"| `{field.name}` | {default} | {may_be} | {fields[field.name][1]}{advanced} |\n"
    return text


def example_keys() -> set[tuple[str, str]]:
    """Return the sections and keys in provisioning/edge.example.toml, those that are commented out included."""
    found, section = set(), ""
    for line in EXAMPLE.read_text().splitlines():
        header, key = re.match(r"\[(\w+)\]", line), re.match(r"(?:# ?)?(\w+) = ", line)
        section = header.group(1) if header else section
        if key:
            found.add((section, key.group(1)))
    return found


def _topic_row(spec: TopicSpec) -> str:
    device = "cloud" if spec is CLOUD_TOPIC else "{device}"
    last = {"event": "/{type}", "command": "/{verb}", "reply": "/{verb}"}.get(spec.kind, "")
    topic = f"{{site}}/{device}/{spec.kind}{last}"
    name = spec.message.__name__
    return (
        f"| `{topic}` | {spec.direction} | {spec.qos} | {_yes(spec.retained)} | {_yes(spec.spooled)} "
        f"| [{name}](#{name.lower()}) | {spec.what} |\n"
    )


def _yes(value: bool) -> str:
    return "yes" if value else ""


Documented = dict[str, tuple[str, dict[str, tuple[str, str]]]]


def _struct(name: str, kind: type[msgspec.Struct], documented: Documented, *, leave_out: list[str]) -> str:
    doc, fields = documented[name]
    base = " Carries the fields of [Message](#message), too." if leave_out else ""
    rows = ""
    for field in msgspec.structs.fields(kind):
        if field.name in leave_out:
            continue
        annotation, text = fields[field.name]
        rows += f"| `{field.name}` | `{annotation}` | {text} |\n"
    table = f"\n| field | type | what |\n|---|---|---|\n{rows}" if rows else ""
    return f"\n### {name}\n\n{doc}{base}\n{table}"


def _classes(module: ModuleType) -> Documented:
    """Return docstring and fields (type as written, docstring) of each class of `module`, by reading its source."""
    found: Documented = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = (_one_line(ast.get_docstring(node) or ""), _fields(node))
    return found


def _fields(node: ast.ClassDef) -> dict[str, tuple[str, str]]:
    fields: dict[str, tuple[str, str]] = {}
    last = ""
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            last = line.target.id
            fields[last] = (_plain_type(ast.unparse(line.annotation)), "")
        elif isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and last:
            fields[last] = (fields[last][0], _one_line(str(line.value.value)))
            last = ""
    return fields


def _plain_type(annotation: str) -> str:
    return annotation.replace("|", "or").replace("'", '"')


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
