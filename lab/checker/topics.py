"""Decodes what topicdump has read from the topics, by the published schemas alone.

Values are Avro in single-object framing (docs/design.md, "The graph"): C3 01, the CRC-64-AVRO
fingerprint of the schema's canonical form, the body. The decoder knows what the schemas use:
strings, ints, longs, booleans.
"""
import base64
import json
import struct
from collections import defaultdict
from pathlib import Path

SCHEMAS = Path(__file__).resolve().parents[2] / "events" / "schemas" / "published"
TOPICS = ("sightings", "walk-ins", "visits-ended", "enriched-walk-ins", "walk-in-counts", "device-contacts",
          "sightings-dead-letters", "crm-events-dead-letters", "crm-events-backfill-dead-letters")
EMPTY = 0xC15D213AA4D7A795  # the fingerprint of no bytes, Avro specification, "Schema Fingerprints"


def _fingerprints():
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (EMPTY if i & 1 else 0)
        table.append(i)
    return table


FINGERPRINTS = _fingerprints()


def fingerprint(data):
    """Returns the CRC-64-AVRO of data."""
    value = EMPTY
    for byte in data:
        value = (value >> 8) ^ FINGERPRINTS[(value ^ byte) & 0xFF]
    return value


def field_type(field):
    """Returns the Avro type of a field without its logical type."""
    kind = field["type"]
    return kind["type"] if isinstance(kind, dict) else kind


def canonical(schema):
    """Returns the parsing canonical form of a record of plain fields."""
    fields = ",".join(f'{{"name":"{f["name"]}","type":"{field_type(f)}"}}' for f in schema["fields"])
    return f'{{"name":"{schema["namespace"]}.{schema["name"]}","type":"record","fields":[{fields}]}}'


def load_schemas():
    """Returns the fields of all published schemas, (name, type), by the bytes that frame their records."""
    schemas = {}
    for path in SCHEMAS.glob("*.avsc"):
        schema = json.loads(path.read_text())
        frame = b"\xc3\x01" + struct.pack("<Q", fingerprint(canonical(schema).encode()))
        schemas[frame] = [(field["name"], field_type(field)) for field in schema["fields"]]
    return schemas


def decode(schemas, value):
    """Returns the fields of a record; fields that its version lacks are absent."""
    schema = schemas.get(value[:10])
    if schema is None:
        raise ValueError(f"a record of no published schema: {value[:10].hex()}")
    at, fields = 10, {}
    for name, kind in schema:
        if kind == "boolean":
            fields[name] = value[at] == 1
            at += 1
            continue
        # A number; of a string its length.
        result = shift = 0
        while True:
            byte = value[at]
            at += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        number = (result >> 1) ^ -(result & 1)  # zigzag
        if kind == "string":
            fields[name] = value[at:at + number].decode()
            at += number
        elif kind in ("int", "long"):
            fields[name] = number
        else:
            raise ValueError(f"{name} is of type {kind}, which this decoder does not know")
    if at != len(value):
        raise ValueError(f"{len(value) - at} bytes after the last field")
    return fields


def read(lines):
    """Returns by topic the records of topicdump's lines as (partition, key, fields), in order of
    partition and offset. Fields are None for a null, and for dead letters, whose values are as they came."""
    schemas, topics = load_schemas(), defaultdict(list)
    for line in lines:
        record = json.loads(line)
        value, fields = record["value"], None
        if value is not None and not record["topic"].endswith("-dead-letters"):
            fields = decode(schemas, base64.b64decode(value))
        key = base64.b64decode(record["key"] or "").decode()
        topics[record["topic"]].append((record["partition"], record["offset"], key, fields))
    for records in topics.values():
        records.sort(key=lambda record: record[:2])
    return {topic: [(partition, key, fields) for partition, _, key, fields in records]
            for topic, records in topics.items()}
