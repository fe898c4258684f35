"""Attributes walk-ins to contacts and counts them, by docs/design.md, "Attribution" and "Counting".

Attributions are decided in the order in which CRM events and walk-ins arrive: an attribution is
written once, on the events known at that time.
"""
import bisect
from collections import Counter, defaultdict

from recording import Change, Deletion, Login, text
from visits import DAY, HOUR, MINUTE, STEP

EXPIRY = 45 * DAY  # of the binding of a randomised address
RENEWAL = DAY  # a walk-in renews a binding if it begins this long after the latest login or renewal
LATE_LOGIN = 3 * HOUR  # the first login within this span after the start takes an unattributed walk-in


class Identities:
    """The contacts of the devices, as far as CRM events have arrived."""

    def __init__(self):
        self.logins = defaultdict(list)  # by (business, device): (at, contact), by time
        self.randomised = set()  # devices of which a login says so
        self.walk_ins = defaultdict(list)  # by (business, device): starts of those attributed by a binding
        self.deleted, self.merged = {}, {}  # by (business, contact); the first counts

    def add(self, event):
        """Takes note of a CRM event."""
        if isinstance(event, Login):
            device = event.business, event.device
            if (event.at, event.contact) not in self.logins[device]:
                bisect.insort(self.logins[device], (event.at, event.contact))
            if event.randomised:
                self.randomised.add(device)
        elif isinstance(event, Deletion):
            self.deleted.setdefault((event.business, event.contact), event.at)
        elif isinstance(event, Change) and event.merged_into:
            self.merged.setdefault((event.business, event.contact), (event.at, event.merged_into))

    def holder(self, business, contact, since, moment):
        """Returns who has at a moment what the contact got at since, as (contact, since when), or None."""
        passed = set()
        while contact not in passed:  # two contacts may be merged into each other
            passed.add(contact)
            changes = []
            merged_at, into = self.merged.get((business, contact), (None, None))
            if into and since < merged_at <= moment:
                changes.append((merged_at, 0, into))
            deleted_at = self.deleted.get((business, contact))
            if deleted_at is not None and since < deleted_at <= moment:
                changes.append((deleted_at, 1, None))
            if not changes:
                break
            since, _, contact = min(changes)
            if contact is None:
                return None
        return contact, since

    def owner(self, business, device, moment):
        """Returns the contact that owns the device at a moment, as (contact, since when), or None."""
        logins = [login for login in self.logins[business, device] if login[0] <= moment]
        if not logins:
            return None
        at, contact = logins[-1]
        held = self.holder(business, contact, at, moment)
        if held and (business, device) in self.randomised:
            renewed = at
            for start in sorted(start for start in self.walk_ins[business, device] if at <= start < moment):
                if start - renewed >= RENEWAL:
                    renewed = start
            if moment - max(renewed, held[1]) > EXPIRY:
                return None
        return held

    def attribution(self, visit):
        """Returns the contact of a visit as (contact, since when), or None: the owner when it began, or
        else the first login within three hours."""
        business, device, start = visit.business, visit.device, visit.started_at
        found = self.owner(business, device, start)
        if found is None:
            for at, contact in self.logins[business, device]:
                if start < at <= start + LATE_LOGIN:
                    return self.holder(business, contact, at, at)
        return found

    def attribute(self, visit):
        """Writes the contact into a visit, if one is known, and reports whether it is."""
        found = self.attribution(visit)
        if found is None:
            return False
        visit.contact, visit.bound_at = found
        visit.late = visit.bound_at > visit.started_at
        return True


def attribute_all(visits, events):
    """Writes the contacts into the visits. events are the CRM events by arrival. Returns the
    Identities of the end."""
    identities, waiting = Identities(), []
    # The watermark never passes a CRM event before it is processed, so the minute of arrival orders
    # events and walk-ins. Within a minute the order does not matter.
    arrivals = [(event.arrived_at // MINUTE * MINUTE, 0, event) for event in events]
    arrivals += [(v.confirmed_by.watermark, 1, v) for v in visits if not v.resident]
    for _, is_walk_in, record in sorted(arrivals, key=lambda arrival: arrival[:2]):
        if not is_walk_in:
            identities.add(record)
            waiting = [v for v in waiting if not identities.attribute(v)]
            continue
        if not identities.attribute(record):
            waiting.append(record)
        elif not record.late:
            identities.walk_ins[record.business, record.device].append(record.started_at)
    return identities


def decided_later(visit, events, contact, bound_at):
    """Reports whether the CRM events known at some time after the walk-in call for the contact.

    enrich and identify read their topics in no order to each other: enrich may decide on an event that
    arrived after the walk-in. If so, the visit gets that contact.
    """
    identities = Identities()
    for event in sorted(events, key=lambda event: event.arrived_at):
        identities.add(event)
        if event.arrived_at < visit.confirmed_by.watermark or event.business != visit.business:
            continue
        found = identities.attribution(visit)
        if found == (contact, bound_at):
            visit.contact, visit.bound_at = found
            visit.late = bound_at > visit.started_at
            return True
    return False


def mark_companions(visits):
    """Marks the visits of one contact that another device of the contact covers."""
    for visit in visits:
        begin = visit.started_at // STEP
        for other in visits:
            other_begin = other.started_at // STEP
            earlier = other_begin < begin or other_begin == begin and other.id < visit.id
            if other.device != visit.device and earlier and other.last >= begin:
                visit.companion = True
                break


def count(visits):
    """Returns the counted visits of each contact by month (UTC), {(business, contact): Counter}."""
    contacts = defaultdict(list)
    for visit in visits:
        if visit.contact is not None:
            contacts[visit.business, visit.contact].append(visit)
    counts = {}
    for contact, own in contacts.items():
        mark_companions(own)
        counts[contact] = Counter(text(v.started_at)[:7] for v in own if not v.companion)
    return counts
