"""Reads the recordings that `footfall replay` reads: NDJSON and CSV, gzipped or not.

Times are milliseconds since 1970, UTC. A record of a recording is a Sighting, or one of the
CRM events Login, Change and Deletion. Records are returned in the order of their arrival.
"""
import base64
import csv
import gzip
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(slots=True)
class Sighting:
    arrived_at: int
    business: str
    device: str
    seen_at: int
    rssi_dbm: int
    associated: bool = False
    randomised: bool = False
    sensor: str = ""
    session: str = ""  # joined, alive, left: what the router reports of a session


@dataclass(slots=True)
class Login:
    arrived_at: int
    business: str
    device: str
    contact: str
    at: int
    randomised: bool


@dataclass(slots=True)
class Change:
    arrived_at: int
    business: str
    contact: str
    merged_into: str  # "" if only details changed
    at: int


@dataclass(slots=True)
class Deletion:
    arrived_at: int
    business: str
    contact: str
    at: int


def milliseconds(moment):
    """Returns a time of a recording, RFC 3339 or a number, as milliseconds since 1970."""
    if isinstance(moment, (int, float)):
        return int(moment)
    return (datetime.fromisoformat(moment.replace("Z", "+00:00")) - EPOCH) // timedelta(milliseconds=1)


def text(moment):
    """Returns milliseconds since 1970 as readable UTC, or - for None."""
    if moment is None:
        return "-"
    return (EPOCH + timedelta(milliseconds=moment)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def pseudonym(business, mac, key=b"footfall-replay"):
    """Returns the device of a MAC address, see docs/privacy.md, "Pseudonyms"."""
    address = bytes.fromhex(mac.replace(":", "").replace("-", ""))
    digest = hmac.new(key, business.encode() + b"\0" + address, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


def read(path, business="store"):
    """Returns the records of a recording by arrival. Rows without a business are of business."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt") as lines:
        if path.removesuffix(".gz").endswith(".csv"):
            records = csv_records(lines, business)
        else:
            records = [ndjson_record(json.loads(line), business) for line in lines if line.strip()]
    records.sort(key=lambda r: r.arrived_at)  # stable: equal arrivals keep the order of the file
    return records


def csv_records(lines, business):
    """Returns the sightings of rows seen_at_ms,sensor,mac,rssi_dbm. Multicast senders are left out."""
    devices, records = {}, []
    for row in csv.DictReader(lines):
        mac = row["mac"]
        first_octet = int(mac[:2], 16)
        if first_octet & 1:
            continue
        if mac not in devices:
            devices[mac] = pseudonym(business, mac)
        seen_at = int(row["seen_at_ms"])
        records.append(Sighting(seen_at, business, devices[mac], seen_at, int(row["rssi_dbm"]),
                                randomised=bool(first_octet & 2), sensor=row["sensor"]))
    return records


def ndjson_record(fields, business):
    """Returns the record of one object: a sighting, unless it has the type of a CRM event."""
    business = fields.get("business", business)
    kind = fields.get("type", "sighting")
    at = milliseconds(fields["seen_at" if kind == "sighting" else "at"])
    arrived_at = milliseconds(fields["arrived_at"]) if "arrived_at" in fields else at
    if kind == "sighting":
        return Sighting(arrived_at, business, fields["device"], at, fields["rssi_dbm"], fields.get("associated", False),
                        fields.get("randomised", False), fields["sensor"], fields.get("session", ""))
    if kind == "portal-login":
        return Login(arrived_at, business, fields["device"], fields["contact"], at, fields.get("randomised", False))
    if kind == "contact-changed":
        return Change(arrived_at, business, fields["contact"], fields.get("merged_into", ""), at)
    if kind == "contact-deleted":
        return Deletion(arrived_at, business, fields["contact"], at)
    raise ValueError(f"a record of an unknown type: {kind}")
