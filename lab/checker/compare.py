"""Compares the topics of a run with a recount of its input."""
from collections import Counter, defaultdict

import contacts
from recording import Login, Sighting, text
from visits import HOUR, MINUTE, PORTAL, STEP, Heard, Settings, decide_all, visit_id

SHOWN = 5  # differences of one kind that are printed
KEYS = {
    "sightings": ("business", "device"), "walk-ins": ("business", "device"), "visits-ended": ("business", "device"),
    "device-contacts": ("business", "device"), "enriched-walk-ins": ("business", "contact"),
    "walk-in-counts": ("business", "contact"),
}
WAIT = 6 * MINUTE  # how long a candidate waits at most: four minutes, and two until the next tick


def recount(records, documents, sightings):
    """Returns the visits, identities and tallies of a recording.

    documents holds the documents of the businesses by id. sightings are the records of the topic: a
    login may become a sighting before or after what else arrives in its minute, and the rules follow
    the order of the topic.
    """
    settings = defaultdict(Settings, {business: Settings(d) for business, d in documents.items()})
    devices, watermarks = defaultdict(list), Counter()
    for partition, _, fields in sightings:
        if "device" not in fields:  # a tick
            watermarks[partition] = max(watermarks[partition], fields["at"])
            continue
        devices[fields["business"], fields["device"]].append(
            Heard(watermarks[partition], fields["seen_at"], fields["rssi_dbm"], fields["associated"],
                  fields["randomised"], fields["sensor"], fields.get("session", "")))
    visits, tallies = decide_all(devices, settings)
    identities = contacts.attribute_all(visits, [record for record in records if not isinstance(record, Sighting)])
    return visits, identities, tallies


def as_fed(records):
    """Returns the sightings that the topic should hold: those of the recording, and a live login as a
    sighting of 0 dBm by the sensor of logins."""
    for record in records:
        if isinstance(record, Sighting):
            yield (record.business, record.sensor, record.device, record.rssi_dbm, record.seen_at, record.associated,
                   record.randomised, record.session)
        elif isinstance(record, Login) and record.arrived_at - record.at <= HOUR:
            yield record.business, PORTAL, record.device, 0, record.at, True, record.randomised, ""


class Produced:
    """What the topics say: per visit its walk-in, its end and its records for the contact."""

    def __init__(self, topics):
        self.walk_ins, self.ends, self.enriched = {}, {}, defaultdict(list)
        self.counts, self.owners = {}, {}
        self.dead_letters = sum(len(records) for topic, records in topics.items() if topic.endswith("-dead-letters"))
        for _, _, fields in topics.get("walk-ins", ()):
            self.walk_ins[fields["id"]] = fields
        for _, _, fields in topics.get("visits-ended", ()):
            before = self.ends.get(fields["id"])
            if before is None or fields["last_seen_at"] >= before["last_seen_at"]:
                self.ends[fields["id"]] = fields
        for _, _, fields in topics.get("enriched-walk-ins", ()):
            self.enriched[fields["id"]].append(fields)
        # Of two records of a count the higher version is right; a null removes a count or an owner.
        for _, key, fields in topics.get("walk-in-counts", ()):
            if fields is None:
                self.counts.pop(key, None)
            elif key not in self.counts or fields["version"] >= self.counts[key]["version"]:
                self.counts[key] = fields
        for _, key, fields in topics.get("device-contacts", ()):
            self.owners[key] = fields
        self.by_device = defaultdict(list)
        for visit in self.walk_ins.keys() | self.ends.keys():
            fields = self.walk_ins.get(visit) or self.ends[visit]
            self.by_device[fields["business"], fields["device"]].append(fields)

    def last_enriched(self, visit):
        """Returns the record of a visit that counts: the one with the highest version."""
        return max(reversed(self.enriched.get(visit, [])), key=lambda fields: fields.get("version", 0), default=None)


class Comparison:
    """The figures and the differences of one run."""

    def __init__(self, records, documents, topics):
        self.sightings = sum(isinstance(r, Sighting) for r in records)
        self.events = [r for r in records if not isinstance(r, Sighting)]
        self.visits, self.identities, self.tallies = recount(records, documents, topics["sightings"])
        self.produced = Produced(topics)
        self.differences, self.early_ends, self.decided_later = [], [], 0
        self._keys(topics)
        self._feed(records, topics["sightings"])
        self._visits()
        # After a cold start an end may be early within its step; that is rare.
        if len(self.early_ends) > max(3, len(self.visits) // 50):
            self.differences += [("end", *difference) for difference in self.early_ends]
        self.counts = contacts.count(self.visits)
        self._counts()
        self._owners()
        if self.produced.dead_letters != self.tallies["dead letters"]:
            self._differ("dead letters", "all", self.produced.dead_letters, self.tallies["dead letters"])

    @property
    def walk_ins(self):
        return sum(not v.resident for v in self.visits)

    @property
    def counted(self):
        return sum(sum(months.values()) for months in self.counts.values())

    def _differ(self, kind, where, produced, expected):
        self.differences.append((kind, where, produced, expected))

    def _keys(self, topics):
        """Compares the keys of the records with their fields."""
        for topic, names in KEYS.items():
            for _, key, fields in topics.get(topic, ()):
                if fields and "business" in fields and key != "/".join(fields[name] for name in names):
                    self._differ(f"key on {topic}", key, key, "/".join(fields[name] for name in names))

    def _feed(self, records, sightings):
        """Compares the sightings of the topic with the recording: none is missing or there twice."""
        names = ("business", "sensor", "device", "rssi_dbm", "seen_at", "associated", "randomised", "session")
        produced = Counter(tuple(f.get(name, "") for name in names) for _, _, f in sightings if "device" in f)
        expected = Counter(as_fed(records))
        for sighting in (produced - expected).keys() | (expected - produced).keys():
            self._differ("sighting", "/".join(map(str, sighting)), produced[sighting], expected[sighting])

    def _visits(self):
        mine = defaultdict(list)
        for visit in self.visits:
            mine[visit.business, visit.device].append(visit)
        for device in sorted(mine.keys() | self.produced.by_device.keys()):
            left = sorted(self.produced.by_device.get(device, ()), key=lambda f: f["started_at"])
            for visit in sorted(mine.get(device, ()), key=lambda v: v.started_at):
                # Disorder may move a start by a step.
                near = [f for f in left if abs(f["started_at"] // STEP - visit.started_at // STEP) <= 1]
                where = f"{visit.business}/{visit.device} {text(visit.started_at)}"
                if not near:
                    self._differ("visit", where, "none", f"one until {text(visit.last_seen)}")
                    continue
                best = min(near, key=lambda f: abs(f["started_at"] - visit.started_at))
                left.remove(best)
                self._visit(where, best, visit)
            for fields in left:
                self._differ("visit", f"{device[0]}/{device[1]} {text(fields['started_at'])}", "one", "none")
        for visit in self.produced.enriched.keys() - self.produced.walk_ins.keys():
            self._differ("enriched walk-in", visit, "one", "none: there is no such walk-in")

    def _visit(self, where, fields, visit):
        """Compares one visit, of which fields is the walk-in or else the end."""
        id_, start = fields["id"], fields["started_at"]
        if id_ != visit_id(visit.business, visit.device, start):
            self._differ("id", where, id_, visit_id(visit.business, visit.device, start))
        walk_in, end = self.produced.walk_ins.get(id_), self.produced.ends.get(id_)
        if (walk_in is None) != visit.resident:
            self._differ("walk-in", where, "none" if walk_in is None else "one", "none" if visit.resident else "one")
        if walk_in is not None:
            self._confirmed_at(where, walk_in, visit)
            if walk_in["anonymous"] not in (visit.anonymous, visit.anonymous_at_first):
                self._differ("anonymous of the walk-in", where, walk_in["anonymous"], visit.anonymous)
        # The end.
        if end is None:
            self._differ("end", where, "none", text(visit.last_seen))
        else:
            early = visit.last_seen - end["last_seen_at"]
            if 0 < early and visit.last == end["last_seen_at"] // STEP:
                self.early_ends.append((where, text(end["last_seen_at"]), text(visit.last_seen)))
            elif early:
                self._differ("end", where, text(end["last_seen_at"]), text(visit.last_seen))
            for name, expected in (("resident", visit.resident), ("anonymous", visit.anonymous),
                                   ("started_at", start), ("dwell_ms", end["last_seen_at"] - start)):
                if end[name] != expected:
                    self._differ(f"{name} of the end", where, end[name], expected)
        self._enriched(where, id_, start, visit, end)

    def _confirmed_at(self, where, walk_in, visit):
        """Compares the moment of confirmation: the later of the sighting that confirmed the visit and
        the watermark. If the candidate had to wait, it is a few minutes after that."""
        expected = max(visit.confirmed_by.seen_at, visit.confirmed_by.watermark)
        if not 0 <= walk_in["confirmed_at"] - expected <= WAIT:
            self._differ("confirmed_at", where, text(walk_in["confirmed_at"]), text(expected))

    def _enriched(self, where, id_, start, visit, end):
        """Compares the records for the contact of a visit."""
        last = self.produced.last_enriched(id_)
        contact = last["contact"] if last else None
        if last and (contact, last["bound_at"]) != (visit.contact, visit.bound_at):
            self.decided_later += contacts.decided_later(visit, self.events, contact, last["bound_at"])
        if contact != visit.contact:
            self._differ("contact", where, contact, visit.contact)
        if last is None or visit.contact is None:
            return
        if any(fields["contact"] != contact for fields in self.produced.enriched[id_]):
            self._differ("contacts of one visit", where, "several", contact)
        for name, expected in (("device", visit.device), ("started_at", start), ("bound_at", visit.bound_at),
                               ("late", visit.late), ("ended", True)):
            if last[name] != expected:
                self._differ(f"{name} of the last record", where, last[name], expected)
        if end is not None and last["dwell_ms"] != end["dwell_ms"]:
            self._differ("dwell_ms of the last record", where, last["dwell_ms"], end["dwell_ms"])

    def _counts(self):
        for contact in sorted({"/".join(c) for c in self.counts} | self.produced.counts.keys()):
            months = self.counts.get(tuple(contact.split("/", 1)), Counter())
            fields = self.produced.counts.get(contact)
            total = fields["total"] if fields else 0
            if total != sum(months.values()):
                self._differ("total", contact, total, sum(months.values()))
            if fields and fields["month_total"] != months[fields["month"]]:
                self._differ(f"total of {fields['month']}", contact, fields["month_total"], months[fields["month"]])

    def _owners(self):
        crm_until = max((event.at for event in self.events), default=0)
        for (business, device), logins in sorted(self.identities.logins.items()):
            if not logins:
                continue
            at, contact = logins[-1]
            expected = self.identities.holder(business, contact, at, crm_until)
            fields = self.produced.owners.get(f"{business}/{device}")
            produced = (fields["contact"], fields["bound_at"]) if fields else None
            if produced != expected:
                self._differ("owner", f"{business}/{device}", produced, expected)

    def lines(self):
        """Returns the differences as lines, a few of each kind."""
        kinds, lines = Counter(), []
        if self.early_ends:
            lines.append(f"  {len(self.early_ends)} ends early within their step, after a cold start")
        if self.decided_later:
            lines.append(f"  {self.decided_later} attributions on CRM events that arrived after the walk-in")
        for kind, where, produced, expected in self.differences:
            kinds[kind] += 1
            if kinds[kind] <= SHOWN:
                lines += [f"  {kind} of {where}", f"    on the topic {produced}, recounted {expected}"]
        lines += [f"  … {n} differences of kind {kind} in all" for kind, n in kinds.items() if n > SHOWN]
        return lines
