"""Draws recordings from a seed: the same seed makes the same recording.

A recording has devices that come and go at the edges of steps, gaps and days (walks), devices that
are inside for whole days of six weeks (habits), people with several devices whose logins, merges and
deletions arrive early, late and out of order (people), and devices of which routers report when they
join and leave (sessions). All days are around a change of clocks.
"""
import random
from datetime import datetime, timedelta, timezone

from inputs import Inputs
from visits import DAY, HOUR, MINUTE, SECOND, STEP

# The nights after these moments have a change of clocks, in Europe or in America.
BEFORE_CLOCK_CHANGES = ("2026-10-24T09:00", "2026-10-31T16:00", "2026-03-28T09:00", "2026-03-07T16:00")

WALK_RULES = {
    "default": {},
    "berlin": {"time_zone": "Europe/Berlin"},
    "los-angeles": {"time_zone": "America/Los_Angeles", "associated_gap": "20m0s", "gap": "40m0s"},
    "odd": {"dwell": "7m0s", "candidate_gap": "9m0s", "gap": "33m0s", "associated_gap": "11m0s", "min_strong_steps": 3},
    "at-once": {"min_strong_steps": 1, "dwell": "0s", "time_zone": "Asia/Tokyo"},
    "opening": {"time_zone": "Europe/Berlin", "resident_days": 2, "resident_hours": 4,
                "opening_hours": [{"days": "mon-fri", "open": "08:00", "close": "19:30"},
                                  {"days": "sat", "open": "10:00", "close": "01:00"}]},
}
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "America/New_York", "Asia/Kathmandu", "Asia/Tokyo",
         "Pacific/Chatham", "Australia/Lord_Howe")
HABIT_RULES = {
    "utc": {"opening_hours": [{"days": "mon-sat", "open": "08:00", "close": "20:00"}]},
    "berlin": {"time_zone": "Europe/Berlin", "resident_hours": 6, "resident_days": 2,
               "opening_hours": [{"days": "mon-fri", "open": "07:30", "close": "18:15"},
                                 {"days": "sat", "open": "20:00", "close": "04:00"}]},
    "kathmandu": {"time_zone": "Asia/Kathmandu", "resident_hours": 5, "resident_days": 4},
    "new-york": {"time_zone": "America/New_York", "resident_hours": 8, "resident_days": 3},
}

# Pauses of a device in minutes, near the spans of the rules and near whole steps, with their weights.
SHORT = (.2, 1, 1.9, 2, 2.1, 4, 5, 6)
CANDIDATE = (7.9, 8, 10, 10.1, 12, 14)
SESSION = (14.1, 16, 16.1, 18, 20, 28, 30, 30.1, 32, 32.1, 34, 40, 42, 60)
PAUSES = [(pause, 8) for pause in SHORT] + [(p, 5) for p in CANDIDATE] + [(p, 2) for p in SESSION] + [(200, 1)]


def drawn_rules(rng):
    """Returns rules with any values that the settings allow, in seconds that lie within steps too."""
    def text(seconds):
        return f"{seconds // 60}m{seconds % 60}s"

    entry, strong_steps = rng.randint(-75, -55), rng.choice((1, 2, 2, 3, 4))
    candidate_gap = rng.randint(120, 1200)
    associated_gap = rng.randint(candidate_gap, 2400)
    rules = {
        "entry_dbm": entry, "hold_dbm": entry - rng.choice((0, 5, 15)), "min_strong_steps": strong_steps,
        "dwell": text(rng.randint(0, 900)), "candidate_gap": text(candidate_gap),
        "associated_gap": text(associated_gap), "gap": text(rng.randint(associated_gap, 4800)),
        "lateness": text(rng.randint(240, 3600)),
        "time_zone": rng.choice(ZONES), "resident_hours": rng.randint(1, 12), "resident_days": rng.randint(0, 4),
        "max_session": text(rng.choice((0, 3600, rng.randint(600, 43200)))),
    }
    if rng.random() < .5:
        opening = rng.randrange(24 * 60)
        close = opening + rng.randint(120, 16 * 60)
        rules["opening_hours"] = [{"days": rng.choice(("mon-fri", "sat-mon", "mon-sun")),
                                   "open": f"{opening // 60:02}:{opening % 60:02}",
                                   "close": f"{close // 60 % 24:02}:{close % 60:02}"}]
    return rules


def draw(seed):
    """Returns the Inputs of a seed."""
    rng, inputs = random.Random(seed), Inputs()
    moment = datetime.strptime(rng.choice(BEFORE_CLOCK_CHANGES), "%Y-%m-%dT%H:%M").replace(tzinfo=timezone.utc)
    walks = inputs.group("walks", moment)
    walk_rules = WALK_RULES | {f"drawn-{letter}": drawn_rules(rng) for letter in "abcd"}
    for name, rules in walk_rules.items():
        walks.rules(name, rules)
    for i in range(90):
        walk(rng, walks, rng.choice(list(walk_rules)), f"walker-{i}", disorder=1.999 * MINUTE if i % 2 else 0)
    habits = inputs.group("habits", moment.replace(hour=0) - timedelta(days=14))
    habit_rules = HABIT_RULES | {"drawn": drawn_rules(rng)}
    for name, rules in habit_rules.items():
        habits.rules(name, rules)
    for i in range(25):
        habit(rng, habits, rng.choice(list(habit_rules)), f"resident-{i}")
    people(rng, inputs.group("people", moment), 40)
    sessions = inputs.group("sessions", moment)
    session_rules = ("default", "berlin", "los-angeles", "odd", "drawn-a", "drawn-b")
    for name in session_rules:
        sessions.rules(name, walk_rules[name])
    for i in range(40):
        session(rng, sessions, rng.choice(session_rules), f"phone-{i}",
                disorder=1.999 * MINUTE if i % 2 else 0)
    return inputs


def whole(milliseconds):
    return int(round(milliseconds))


def walk(rng, group, business, device, disorder):
    """Adds 30 hours of a device that arrives up to disorder late."""
    at, randomised = rng.uniform(0, HOUR), rng.random() < .4
    often_associated = rng.choice((0, 0, .05, .3, .9, 1))
    while at < 30 * HOUR:
        rssi = rng.choice((-60, -60, -60, -70, -70, -71, -78, -85, -85, -86, -95))
        associated = rng.random() < often_associated
        for _ in range(2 if rng.random() < .1 else 1):  # some arrive twice
            group.heard(device, whole(at), rssi, associated, randomised, arrives=whole(at + rng.uniform(0, disorder)),
                        business=business)
        pause, = rng.choices([p for p, _ in PAUSES], [weight for _, weight in PAUSES])
        if rng.random() < .5:
            at = at // STEP * STEP
        at += pause * MINUTE
        if rng.random() < .3:  # at the beginning of a step, or a millisecond before
            at = round(at / STEP) * STEP - rng.choice((0, 0, 1))


def session(rng, group, business, device, disorder):
    """Adds three days of a device that joins routers, is silent or answers polls, roams and leaves."""
    at, router, randomised, reports = rng.uniform(0, HOUR), None, rng.random() < .3, []

    def report(kind, sensor, delay=0, rssi=None):
        reports.append((whole(at + delay), kind, sensor, rng.choice((0, -60, -72, -85, -90)) if rssi is None else rssi))

    while at < 3 * DAY:
        kind = rng.choice(("joined", "joined", "alive", "alive", "", "left", "roams", "gone"))
        other = rng.choice(("door", "till", "yard"))
        if kind == "roams" and router:
            # The former router may notice it before or after the new one.
            report("left", router, rng.choice((-5, -1, 1, 20, 130)) * SECOND, rssi=-85)
            kind = "joined"
        if kind == "joined":
            router = other
            report(kind, router, rssi=rng.choice((0, 0, -60, -75)))
        elif kind in ("alive", "left") and rng.random() < .9 and router:
            report(kind, router)
            router = None if kind == "left" else router
        elif kind == "left":
            report(kind, other)
        elif kind == "gone":
            at += rng.choice((100, 400, 710, 719, 720, 721, 722, 740, 800)) * MINUTE
        else:
            report("", other)
        pause, = rng.choices([p for p, _ in PAUSES], [weight for _, weight in PAUSES])
        at += pause * MINUTE
        if rng.random() < .3:
            at = round(at / STEP) * STEP - rng.choice((0, 0, 1))
    arrived = {}
    for seen_at, kind, sensor, rssi in sorted(reports):
        # The reports of one router arrive in their order.
        arrived[sensor] = max(whole(seen_at + rng.uniform(0, disorder)), arrived.get(sensor, 0))
        group.heard(device, seen_at, rssi, associated=kind != "", randomised=randomised, arrives=arrived[sensor],
                    business=business, sensor=sensor, **{"session": kind} if kind else {})


def habit(rng, group, business, device):
    """Adds 40 days of a device, on most of which it is inside for hours."""
    how = dict(associated=rng.random() < .2, randomised=rng.random() < .25, business=business)
    for day in range(40):
        if rng.random() < .45:
            continue
        for _ in range(rng.choice((1, 1, 2, 3))):
            begin = rng.choice((300, 420, 480, 540, 600, 660, 720, 900, 1080, 1200, 1260, 1320))
            begin += rng.choice((-60, -1, 0, 0, 1, 2, 30, 59))
            length = rng.choice((6, 40, 118, 119, 121, 240, 300, 360, 421, 600, 720))
            if rng.random() < .02:
                length = 2000
            group.stay(device, day * DAY + begin * MINUTE, length * MINUTE, 12 * MINUTE, **how)


def people(rng, group, number):
    """Adds 80 hours of people with one to three devices. Their CRM events arrive at a few moments:
    a replay waits at each of them until the event is processed."""
    group.rules("utc", {})
    group.rules("new-york", {"time_zone": "America/New_York"})
    moments = sorted(rng.sample(range(1, 80 * 60), 30))
    for i in range(number):
        business = rng.choice(("utc", "new-york"))
        contacts = [f"contact-{i}{letter}" for letter in "xyz"]
        for j in range(rng.choice((1, 2, 2, 3))):
            come_and_log_in(rng, group, business, f"device-{i}-{j}", contacts, rng.sample(moments, 12))
        merged_at, deleted_at = (rng.choice(moments) * MINUTE + rng.randrange(50 * SECOND) for _ in range(2))
        if rng.random() < .5:
            group.merge(contacts[0], contacts[1], merged_at, business=business)
        if rng.random() < .4:
            group.delete(rng.choice(contacts), deleted_at, business=business)


def come_and_log_in(rng, group, business, device, contacts, moments):
    """Adds visits and logins of a device around the moments."""
    randomised = rng.random() < .3
    for minute in moments:
        at = minute * MINUTE + rng.randrange(50 * SECOND)
        kind = rng.choice(("visit", "visit", "login", "archive", "visit and login", "visit and login"))
        if kind != "login" and kind != "archive":
            begin = at - rng.choice((-30, -1, 0, 1, 5, 10, 30, 100, 170)) * MINUTE
            group.stay(device, begin, rng.choice((6, 20, 60, 200)) * MINUTE, rng.choice((6, 10)) * MINUTE,
                       randomised=randomised, business=business)
        if kind == "login" or kind == "visit and login":
            group.login(device, at, rng.choice(contacts), randomised=randomised, business=business)
        if kind == "archive":
            age = rng.choice((61, 100, 179, 180, 181)) * MINUTE
            group.login(device, at - age, rng.choice(contacts), arrives=at, randomised=randomised, business=business)
