package events

import (
	"strings"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

// Generators of valid records: ids as in practice, ids of any allowed characters,
// and times over the whole range.

func genID() *rapid.Generator[string] {
	anyText := rapid.Map(rapid.StringN(1, 40, MaxIDBytes), func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return 'x'
			}
			return r
		}, strings.ToValidUTF8(s, "x"))
	})
	longest := rapid.Just(strings.Repeat("ü", MaxIDBytes/2))
	return rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9_-]{22}`), anyText, longest)
}

func genBusiness() *rapid.Generator[BusinessID] {
	return rapid.Map(genID(), func(s string) BusinessID {
		return BusinessID(strings.ReplaceAll(s, "/", "-"))
	})
}

func genTime() *rapid.Generator[time.Time] {
	return rapid.Map(rapid.Int64Range(firstTime.UnixMilli(), endTime.UnixMilli()-1), func(ms int64) time.Time {
		return time.UnixMilli(ms).UTC()
	})
}

func draw[T any](t *rapid.T, g *rapid.Generator[T], label string) T { return g.Draw(t, label) }

func drawID[T ~string](t *rapid.T, label string) T { return T(draw(t, genID(), label)) }

func drawSighting(t *rapid.T) *Sighting {
	return &Sighting{
		Business: draw(t, genBusiness(), "business"), Sensor: drawID[SensorID](t, "sensor"),
		Device: drawID[DeviceID](t, "device"), RSSI: RSSI(draw(t, rapid.Int32Range(-127, 0), "rssi")),
		SeenAt: draw(t, genTime(), "seen_at"), Associated: draw(t, rapid.Bool(), "associated"),
		Randomised: draw(t, rapid.Bool(), "randomised"),
		Session:    draw(t, rapid.SampledFrom([]Session{SessionNone, SessionJoined, SessionAlive, SessionLeft}), "session"),
	}
}

func drawCRM(t *rapid.T) CRMEvent {
	b, c, at := draw(t, genBusiness(), "business"), drawID[ContactID](t, "contact"), draw(t, genTime(), "at")
	switch draw(t, rapid.IntRange(0, 2), "record") {
	case 0:
		return CRMEvent{Login: &PortalLogin{
			Business: b, Device: drawID[DeviceID](t, "device"), Contact: c, At: at, Randomised: draw(t, rapid.Bool(), "randomised"),
		}}
	case 1:
		into := draw(t, rapid.OneOf(rapid.Just(""), genID()), "merged_into")
		return CRMEvent{Changed: &ContactChanged{Business: b, Contact: c, MergedInto: ContactID(into), At: at}}
	default:
		return CRMEvent{Deleted: &ContactDeleted{Business: b, Contact: c, At: at}}
	}
}

// drawOther draws a record of a topic that accepts Avro only.
func drawOther(t *rapid.T) (topic string, e keyed) {
	b, d, c := draw(t, genBusiness(), "business"), drawID[DeviceID](t, "device"), drawID[ContactID](t, "contact")
	id, from, to := drawID[WalkInID](t, "id"), draw(t, genTime(), "from"), draw(t, genTime(), "to")
	flag, n := draw(t, rapid.Bool(), "flag"), draw(t, rapid.Int64Min(0), "n")
	switch draw(t, rapid.SampledFrom([]string{DeviceContacts, WalkIns, VisitsEnded, EnrichedWalkIns, WalkInCounts}), "topic") {
	case DeviceContacts:
		return DeviceContacts, &DeviceContact{Business: b, Device: d, Contact: c, BoundAt: from}
	case WalkIns:
		return WalkIns, &WalkIn{ID: id, Business: b, Device: d, StartedAt: from, ConfirmedAt: to, Anonymous: flag}
	case VisitsEnded:
		return VisitsEnded, &VisitEnded{ID: id, Business: b, Device: d, StartedAt: from, LastSeenAt: to, DwellMillis: n, Anonymous: flag, Resident: !flag}
	case EnrichedWalkIns:
		return EnrichedWalkIns, &EnrichedWalkIn{ID: id, Business: b, Device: d, Contact: c, StartedAt: from, BoundAt: to, Late: flag, Ended: !flag, DwellMillis: n, Version: draw(t, rapid.Int64Min(0), "version")}
	default:
		return WalkInCounts, &WalkInCount{
			Business: b, Contact: c, WalkIn: id, WalkInAt: from, Month: from.Format("2006-01"),
			MonthTotal: n, Total: draw(t, rapid.Int64Min(0), "total"), Base: draw(t, rapid.Int64Min(0), "base"), Version: draw(t, rapid.Int64Min(0), "version"),
		}
	}
}

// keyOf returns the key that the record's value calls for.
func keyOf(e keyed) []byte {
	b, rest := e.keyParts()
	if rest == "" {
		return BusinessKey(b)
	}
	return append(append([]byte(b), '/'), rest...)
}
