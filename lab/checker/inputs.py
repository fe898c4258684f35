"""Makes recordings: sightings and CRM events of invented devices."""
import json
from datetime import datetime, timedelta, timezone

from visits import MINUTE

STRONG, WEAK = -60, -80  # dBm, by the default settings


class Group:
    """Records of some businesses of a recording. Moments are milliseconds after the group's own."""

    def __init__(self, inputs, name, moment):
        self.inputs, self.name, self.moment = inputs, name, moment

    def business(self, name=""):
        """Returns the id of a business of the group; the group's name without a name."""
        business = f"{self.name}-{name}" if name else self.name
        self.inputs.documents.setdefault(business, {"rules": {}})
        return business

    def rules(self, name, rules):
        """Sets the rules of a business of the group."""
        self.inputs.documents[self.business(name)] = {"rules": rules}

    def _text(self, at):
        moment = self.moment + timedelta(milliseconds=at)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"

    def _add(self, at, arrives, fields):
        arrives = at if arrives is None else arrives
        fields["arrived_at"] = self._text(arrives)
        self.inputs.records.append((self.moment + timedelta(milliseconds=arrives), fields))

    def heard(self, device, at, rssi=STRONG, associated=False, randomised=False, arrives=None, business="",
              sensor="door", **more):
        self._add(at, arrives, dict(business=self.business(business), sensor=sensor, device=device, rssi_dbm=rssi,
                                    seen_at=self._text(at), associated=associated, randomised=randomised, **more))

    def stay(self, device, begin, length, every, **how):
        """Adds a visit: heard at the beginning, after 6 minutes, each so many milliseconds, and at the end."""
        moments = {begin, begin + 6 * MINUTE, begin + length}
        moments.update(range(begin + 6 * MINUTE + every, begin + length, every))
        for at in sorted(moments):
            self.heard(device, at, **how)

    def login(self, device, at, contact, arrives=None, randomised=False, business=""):
        self._add(at, arrives, dict(type="portal-login", business=self.business(business), device=device,
                                    contact=contact, at=self._text(at), randomised=randomised))

    def merge(self, contact, into, at, arrives=None, business=""):
        self._add(at, arrives, dict(type="contact-changed", business=self.business(business), contact=contact,
                                    merged_into=into, at=self._text(at)))

    def delete(self, contact, at, arrives=None, business=""):
        self._add(at, arrives, dict(type="contact-deleted", business=self.business(business), contact=contact,
                                    at=self._text(at)))


class Inputs:
    """A recording and the documents of its businesses."""

    def __init__(self):
        self.records, self.documents = [], {}

    def group(self, name, moment):
        """Returns a new group; moment is a datetime with a time zone, or text such as 2026-11-10T12:00Z."""
        if isinstance(moment, str):
            moment = datetime.strptime(moment, "%Y-%m-%dT%H:%MZ").replace(tzinfo=timezone.utc)
        return Group(self, name, moment)

    def write(self, recording, businesses):
        """Writes the recording by arrival, and the documents."""
        with open(recording, "w") as out:
            for _, fields in sorted(self.records, key=lambda record: record[0]):
                out.write(json.dumps(fields) + "\n")
        with open(businesses, "w") as out:
            json.dump(self.documents, out)
