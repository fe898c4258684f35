"""Tests of the checker itself: it finds planted differences, and knows the examples of the documents."""
import copy
import sys
import unittest

sys.dont_write_bytecode = True

import compare
from recording import Login, Sighting, milliseconds
from visits import MINUTE, Settings, visit_id

NOON = milliseconds("2026-11-10T12:00:00Z")


def at(minutes):
    return NOON + round(minutes * MINUTE)


def example():
    """Returns the records of a visit of ann's phone, 12:00 to 12:41, and the topics that they call for."""
    records = [Sighting(at(m), "cafe", "phone", at(m), -60, sensor="door") for m in (0, 6, 20, 41)]
    records.insert(2, Login(at(9), "cafe", "phone", "ann", at(9), False))
    sightings = []
    for fields in compare.as_fed(records):
        business, sensor, device, rssi_dbm, seen_at, associated, randomised, session = fields
        sightings.append((0, "tick", {"at": seen_at}))
        sightings.append((0, "cafe/phone", dict(
            business=business, sensor=sensor, device=device, rssi_dbm=rssi_dbm, seen_at=seen_at, associated=associated,
            randomised=randomised, session=session)))
    visit = dict(id=visit_id("cafe", "phone", at(0)), business="cafe", device="phone", started_at=at(0))
    enriched = dict(visit, contact="ann", bound_at=at(9), late=True)
    topics = {
        "sightings": sightings,
        "walk-ins": [(0, "cafe/phone", dict(visit, confirmed_at=at(6), anonymous=False))],
        "visits-ended": [(0, "cafe/phone", dict(visit, last_seen_at=at(41), dwell_ms=41 * MINUTE, anonymous=False,
                                                resident=False))],
        "enriched-walk-ins": [(0, "cafe/ann", dict(enriched, ended=False, dwell_ms=0, version=1)),
                              (0, "cafe/ann", dict(enriched, ended=True, dwell_ms=41 * MINUTE, version=2))],
        "walk-in-counts": [(0, "cafe/ann", dict(business="cafe", contact="ann", version=1, total=1, month="2026-11",
                                                month_total=1))],
        "device-contacts": [(0, "cafe/phone", dict(business="cafe", device="phone", contact="ann", bound_at=at(9)))],
    }
    return records, topics


def differences(records, topics):
    return compare.Comparison(records, {}, topics).differences


class PlantedDifferences(unittest.TestCase):
    def test_example_is_equal(self):
        self.assertEqual(differences(*example()), [])

    def test_every_changed_field_is_found(self):
        records, topics = example()
        for topic, contents in topics.items():
            for number, (_, _, fields) in enumerate(contents):
                for name, value in fields.items():
                    # Of the records of a visit the last decides, and any has the contact.
                    overtaken = topic == "enriched-walk-ins" and not fields["ended"] and name not in ("id", "contact")
                    if name in ("at", "version", "month") or overtaken:
                        continue
                    changed = copy.deepcopy(topics)
                    changed[topic][number][2][name] = self.other(value)
                    with self.subTest(topic=topic, field=name):
                        self.assertNotEqual(differences(records, changed), [])

    @staticmethod
    def other(value):
        if isinstance(value, bool):
            return not value
        return value + 10 * MINUTE if isinstance(value, int) else value + "x"

    def test_a_lost_or_added_record_is_found(self):
        records, topics = example()
        for topic, contents in topics.items():
            if topic == "enriched-walk-ins":
                continue  # of two records only the last must be there
            lost, twice = copy.deepcopy(topics), copy.deepcopy(topics)
            lost[topic].pop()
            with self.subTest(topic=topic):
                self.assertNotEqual(differences(records, lost), [])
            other = copy.deepcopy(contents[-1])
            if "id" in other[2]:
                other[2].update(id="another", device="another")
                twice[topic].append(other)
                with self.subTest(topic=topic, added=True):
                    self.assertNotEqual(differences(records, twice), [])

    def test_a_visit_whose_last_record_has_no_end_is_found(self):
        records, topics = example()
        del topics["enriched-walk-ins"][1]
        self.assertIn("ended of the last record", [kind for kind, *_ in differences(records, topics)])

    def test_a_dead_letter_is_found(self):
        records, topics = example()
        topics["sightings-dead-letters"] = [(0, "cafe/phone", None)]
        self.assertEqual([kind for kind, *_ in differences(records, topics)], ["dead letters"])


class Documents(unittest.TestCase):
    def test_spans_on_the_grid(self):
        settings = Settings()
        self.assertEqual((settings.candidate_gap, settings.gap, settings.associated_gap), (5, 15, 8))

    def test_opening_hours_reach_over_midnight_and_the_week(self):
        settings = Settings({"rules": {"opening_hours": [{"days": "sun", "open": "20:00", "close": "02:00"}]}})
        monday = milliseconds("2026-11-09T00:00:00Z") // (2 * MINUTE)
        closed = [hour for hour in range(24) if settings.closed(monday + hour * 30)]
        self.assertEqual(closed, list(range(3, 24)))  # the hour after closing does not count as closed


if __name__ == "__main__":
    unittest.main()
