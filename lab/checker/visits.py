"""Decides the visits of a device from all its sightings, by docs/design.md, "Deciding a visit",
and docs/settings.md.

This is written from the documents, apart from the Go code, and looks at the whole input: where
Footfall keeps candidates apart until a late sighting could no longer join them, this sorts the
sightings into steps and walks over the steps once.
"""
import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
STEP = 2 * MINUTE  # steps count from 1970
QUARTER = 15 * MINUTE  # offsets of time zones are multiples of it

DISORDER = 1  # input may be this many steps out of order
WEAK_FROM = 2  # a weak sighting counts from this step of a stay on: the third
RESIDENT_LOOKBACK = 28  # days before the day of the visit
SPEAKING_HOURS = 3  # a visit adds to the days if it touches this many clock hours
PORTAL = "portal"  # the sensor of logins, which always count
AHEAD = DAY  # a sighting further ahead of the watermark is a dead letter

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK = 7 * 24 * 60  # minutes


def duration(value):
    """Returns a duration such as 1h30m0s in milliseconds."""
    units = {"h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1}
    return round(sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+)(ms|h|m|s)", value)))


def steps(gap):
    """Returns a gap in steps, rounded up."""
    return -(-duration(gap) // STEP)


class Settings:
    """The rules of a business, from its document; a missing field has its default."""

    def __init__(self, document=None):
        rules = (document or {}).get("rules") or {}
        self.entry_dbm = rules.get("entry_dbm", -70)
        self.hold_dbm = rules.get("hold_dbm", -85)
        self.min_strong_steps = rules.get("min_strong_steps", 2)
        # The dwell is compared to the millisecond; gaps are in whole steps, never shorter than they say.
        self.dwell = duration(rules.get("dwell", "5m"))
        self.candidate_gap = steps(rules.get("candidate_gap", "10m"))
        self.gap = steps(rules.get("gap", "30m"))
        self.associated_gap = steps(rules.get("associated_gap", "15m"))
        self.max_session = steps(rules.get("max_session", "12h"))
        self.lateness = duration(rules.get("lateness", "15m"))
        self.zone = ZoneInfo(rules.get("time_zone") or "UTC")
        self.resident_hours = rules.get("resident_hours", 10)
        self.resident_days = rules.get("resident_days", 3)
        self.sensors = set(rules.get("sensors") or ())
        self.listed = set(rules.get("static") or ()) | set(rules.get("employees") or ())
        self.open = opening_minutes(rules["opening_hours"]) if rules.get("opening_hours") else None
        self._local = {}

    def local(self, moment):
        """Returns the local day (a number), hour and weekday of a moment."""
        quarter = moment // QUARTER
        if quarter not in self._local:
            at = datetime.fromtimestamp(quarter * QUARTER // SECOND, self.zone)
            self._local[quarter] = at.toordinal(), at.hour, at.weekday()
        return self._local[quarter]

    def day(self, step):
        """Returns the local day of the moment at which a step begins."""
        return self.local(step * STEP)[0]

    def closed(self, step):
        """Reports whether the store is closed throughout the clock hour in which a step begins."""
        if self.open is None:
            return False
        _, hour, weekday = self.local(step * STEP)
        begin = weekday * 24 * 60 + hour * 60
        return not any(begin < close + week and opening + week < begin + 60
                       for opening, close in self.open for week in (-WEEK, 0, WEEK))


def opening_minutes(opening_hours):
    """Returns the opening hours as minutes of the week, from and to, an hour longer at both ends."""
    spans = []
    for entry in opening_hours:
        opening, close = (int(clock[:2]) * 60 + int(clock[3:5]) for clock in (entry["open"], entry["close"]))
        if close <= opening:  # on the day after
            close += 24 * 60
        for part in entry["days"].split(","):
            first, _, last = part.strip().partition("-")
            day, last = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
            while True:
                spans.append((day * 24 * 60 + opening - 60, day * 24 * 60 + close + 60))
                if day == last:
                    break
                day = (day + 1) % 7
    return spans


@dataclass(slots=True)
class Heard:
    """A sighting of the device."""
    watermark: int  # at its arrival
    seen_at: int
    rssi_dbm: int
    associated: bool
    randomised: bool
    sensor: str
    session: str = ""  # joined, alive or left, if a router reports that

    def strong(self, settings):
        """Reports whether the sighting can open a stay: polls and disassociations cannot."""
        return self.rssi_dbm >= settings.entry_dbm and self.session not in ("alive", "left")

    def counts(self, settings):
        return self.rssi_dbm >= settings.hold_dbm or self.session in ("alive", "left")



@dataclass(slots=True)
class Cell:
    """The sightings of one step that are strong or at least at the hold threshold."""
    first_strong: int = None  # the earliest
    last_strong: int = None  # the latest
    strong_associated: bool = False
    strong_unassociated: bool = False
    randomised: bool = False  # a strong one; weak ones do not count
    joined: tuple = ()  # the latest association: moment and router
    weak: list = field(default_factory=list)  # the other sightings


@dataclass(slots=True)
class Stay:
    """A candidate or a visit."""
    first: int  # step
    started_at: int
    last: int  # step
    last_seen: int
    last_strong: int  # step
    day: int
    strong_steps: int = 0
    visit: bool = False
    randomised: bool = False
    associated: bool = False
    all_associated: bool = True
    joined: tuple = ()  # the latest association: moment and router
    left_at: int = None  # the first moment at which the device left that router

    @property
    def anonymous(self):
        return self.randomised and not self.associated

    def reach(self, settings):
        """Returns the last step whose sighting belongs to the stay."""
        if not self.visit:
            return self.last_strong + settings.candidate_gap
        reach = self.last + (settings.associated_gap if self.all_associated else settings.gap)
        if self.joined and self.left_at is None:
            reach = max(reach, self.session_until(settings))
        return reach

    def session_until(self, settings):
        """Returns the last step in which an open session holds the visit open."""
        return self.joined[0] // STEP + settings.max_session

    def follow_session(self, cell):
        """The latest association opens the session, and its router alone closes it."""
        if cell.joined > self.joined:
            self.joined, self.left_at = cell.joined, None
        for heard in cell.weak:
            if heard.session == "left" and self.of_session(heard) and heard.seen_at > self.joined[0]:
                self.left_at = heard.seen_at if self.left_at is None else min(self.left_at, heard.seen_at)

    def of_session(self, heard):
        """Reports whether a sighting is of the router of the session, and not from before it."""
        return self.joined and heard.sensor == self.joined[1] and heard.seen_at >= self.joined[0]

    def takes(self, heard, settings):
        """Reports whether a sighting that is not strong counts, if it lies within the reach."""
        step = heard.seen_at // STEP
        if heard.session == "alive":
            if not self.joined or not self.joined[0] // STEP <= step <= self.session_until(settings):
                return False
            if self.left_at is not None and step > self.left_at // STEP + 1:
                return False
        return step >= self.first + WEAK_FROM


@dataclass(slots=True)
class Visit:
    """A visit as the topics should have it."""
    business: str
    device: str
    started_at: int  # as first produced
    last_seen: int
    first: int  # step
    last: int  # step
    anonymous: bool
    anonymous_at_first: bool  # when it was confirmed
    resident: bool
    confirmed_by: Heard  # the sighting after which the visit was certain
    id: str
    contact: str = None
    bound_at: int = None
    late: bool = False
    companion: bool = False


def add(cells, heard, settings):
    """Puts a sighting into its step."""
    if not heard.counts(settings):
        return
    cell = cells.setdefault(heard.seen_at // STEP, Cell())
    if not heard.strong(settings):
        cell.weak.append(heard)
        return
    if cell.first_strong is None:
        cell.first_strong = cell.last_strong = heard.seen_at
    cell.first_strong = min(cell.first_strong, heard.seen_at)
    cell.last_strong = max(cell.last_strong, heard.seen_at)
    cell.strong_associated |= heard.associated
    cell.strong_unassociated |= not heard.associated
    cell.randomised |= heard.randomised
    if heard.session == "joined":
        cell.joined = max(cell.joined, (heard.seen_at, heard.sensor))


def stays(cells, settings):
    """Returns the stays of a device, candidates included, in their order."""
    found, stay = [], None
    for step in sorted(cells):
        cell = cells[step]
        strong = cell.first_strong is not None
        if stay is not None and (step > stay.reach(settings) or stay.anonymous and settings.day(step) != stay.day):
            stay = None
        if stay is None:
            if not strong:
                continue  # a passer-by
            stay = Stay(step, cell.first_strong, step, cell.last_strong, step, settings.day(step))
            found.append(stay)
        if strong:
            stay.strong_steps += 1
            stay.last = stay.last_strong = step
            stay.last_seen = max(stay.last_seen, cell.last_strong)
            stay.randomised |= cell.randomised
            stay.associated |= cell.strong_associated
            stay.all_associated &= not cell.strong_unassociated
            long_enough = stay.last_seen - stay.started_at >= settings.dwell
            stay.visit |= stay.associated or stay.strong_steps >= settings.min_strong_steps and long_enough
        stay.follow_session(cell)
        for heard in cell.weak:
            if stay.takes(heard, settings):
                stay.all_associated &= heard.associated
                if stay.visit:
                    stay.last = step
                    stay.last_seen = max(stay.last_seen, heard.seen_at)
    return found


def mark_residents(visits, settings):
    """Returns for each stay of a device whether its visit is one of a resident device."""
    hours, counting, marks = defaultdict(set), set(), []
    for stay in visits:
        day = settings.day(stay.first)
        learnt = sum(day - RESIDENT_LOOKBACK <= d <= day for d in counting) >= settings.resident_days > 0
        marks.append(learnt or settings.closed(stay.first))
        if stay.anonymous:
            continue
        # A visit adds to the days once it is over.
        touched, closed_days = hours_of(stay, settings)
        if len(touched) >= SPEAKING_HOURS or closed_days:
            for d, hour in touched:
                hours[d].add(hour)
                if len(hours[d]) > settings.resident_hours:
                    counting.add(d)
            counting |= closed_days
    return marks


def hours_of(stay, settings):
    """Returns the (day, hour) that a visit touches, and the days on which an hour of it is closed."""
    touched, closed_days = set(), set()
    moment, end = stay.first * STEP, stay.last * STEP
    while True:
        day, hour, _ = settings.local(moment)
        touched.add((day, hour))
        if settings.closed(moment // STEP):
            closed_days.add(day)
        if moment >= end:
            return touched, closed_days
        moment = min((moment // QUARTER + 1) * QUARTER, end)


def decide(business, device, sightings, settings, tallies):
    """Returns the visits of a device. sightings are in the order of arrival; tallies is a Counter."""
    tallies["sightings"] += len(sightings)
    if device in settings.listed:
        tallies["excluded"] += len(sightings)
        return []
    # Sort the sightings that count into steps.
    cells, counted = {}, []
    for heard in sightings:
        if settings.sensors and heard.sensor not in settings.sensors | {PORTAL}:
            tallies["excluded"] += 1
        elif heard.seen_at > heard.watermark + AHEAD:
            tallies["dead letters"] += 1
        elif heard.seen_at < heard.watermark - settings.lateness and not in_open_visit(cells, heard, settings):
            tallies["late"] += 1
        else:
            counted.append(heard)
            add(cells, heard, settings)
    confirmed = [stay for stay in stays(cells, settings) if stay.visit]
    visits = []
    for stay, resident in zip(confirmed, mark_residents(confirmed, settings)):
        known, confirmed_by = confirmation(stay, counted, settings)
        started_at = known.started_at
        visits.append(Visit(business, device, started_at, stay.last_seen, stay.first, stay.last, stay.anonymous,
                            known.anonymous, resident, confirmed_by, visit_id(business, device, started_at)))
    return visits


def visit_id(business, device, started_at):
    """Returns the id of a visit, see docs/design.md, "Deciding a visit"."""
    data = b"".join(len(part).to_bytes(4, "big") + part for part in (business.encode(), device.encode()))
    return hashlib.sha256(data + started_at.to_bytes(8, "big")).hexdigest()[:32]


def in_open_visit(cells, heard, settings):
    """Reports whether a sighting that is too late falls into a visit whose end is not produced yet."""
    if not heard.counts(settings):
        return False
    step, now = heard.seen_at // STEP, heard.watermark // STEP
    return any(stay.visit and stay.first <= step <= stay.reach(settings) and now < stay.reach(settings) + 2 * DISORDER
               for stay in stays(cells, settings))


def confirmation(stay, counted, settings):
    """Returns the stay as it was when the sightings that had arrived made it a visit, and the last of them."""
    cells = {}
    for heard in counted:
        if not stay.first <= heard.seen_at // STEP <= stay.last:
            continue
        add(cells, heard, settings)
        if not heard.strong(settings):
            continue
        if heard.associated or len(cells) >= settings.min_strong_steps:
            for known in stays(cells, settings):
                if known.visit:
                    return known, heard
    raise AssertionError("a visit without the sighting that confirms it")


def decide_all(devices, settings):
    """Returns the visits of all devices, {(business, device): sightings by arrival}, and the tallies."""
    tallies, visits = Counter(), []
    for (business, device), sightings in devices.items():
        visits += decide(business, device, sightings, settings[business], tallies)
    return visits, tallies
