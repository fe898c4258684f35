package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/recording"
)

const (
	hours = 60 // minutes
	days  = 24 * hours
)

// visitsOf returns the sightings of visits of the phone, of ten minutes each.
func visitsOf(randomised bool, minutes ...int) source {
	var items source
	for _, start := range minutes {
		for m := start; m <= start+10; m += 3 {
			at := noon.Add(time.Duration(m) * time.Minute)
			items = append(items, recording.Item{ArrivedAt: at, Sighting: events.Sighting{
				Business: "cafe", Sensor: "door", Device: "phone", RSSI: -60, SeenAt: at, Randomised: randomised,
			}})
		}
	}
	return items
}

// loginAt returns a login with the phone that arrives some minutes after its time.
func loginAt(minute, late int, contact events.ContactID, randomised bool) recording.Item {
	at := noon.Add(time.Duration(minute) * time.Minute)
	return crm(minute+late, events.CRMEvent{Login: &events.PortalLogin{Business: "cafe", Device: "phone", Contact: contact, At: at, Randomised: randomised}})
}

// The check follows the rules of the attribution: the binding of a randomised address
// expires, and an attribution is decided on the CRM events that have arrived by then.
// Logins may be older than the expiry, and may arrive after their walk-in in any
// order. A live login is a visit too.
func TestLoginsOutOfTheOrderOfTimeAreNoDifference(t *testing.T) {
	deletion := func(minute, late int, contact events.ContactID) recording.Item {
		return crm(minute+late, events.CRMEvent{Deleted: &events.ContactDeleted{Business: "cafe", Contact: contact, At: noon.Add(time.Duration(minute) * time.Minute)}})
	}
	merge := func(minute, late int, contact, into events.ContactID) recording.Item {
		return crm(minute+late, events.CRMEvent{Changed: &events.ContactChanged{Business: "cafe", Contact: contact, MergedInto: into, At: noon.Add(time.Duration(minute) * time.Minute)}})
	}
	for name, c := range map[string]struct {
		items source
		want  string // the counts by contact
	}{
		"a login older than the expiry, of a randomised address": {append(visitsOf(true, 46*days), loginAt(0, 0, "ann", true)), "ann 1"},
		"a login older than the expiry, of a fixed address":      {append(visitsOf(false, 46*days), loginAt(0, 0, "ann", false)), "ann 2"},
		"a login just younger than the expiry":                   {append(visitsOf(true, 45*days-5), loginAt(0, 0, "ann", true)), "ann 2"},
		"walk-ins renew the binding":                             {append(visitsOf(true, 10*days, 30*days, 50*days, 90*days), loginAt(0, 0, "ann", true)), "ann 5"},
		"a walk-in within a day of the login renews nothing":     {append(visitsOf(true, 23*hours, 45*days+hours), loginAt(0, 0, "ann", true)), "ann 2"},
		"a walk-in after a day renews":                           {append(visitsOf(true, 24*hours, 45*days+hours), loginAt(0, 0, "ann", true)), "ann 3"},
		"an expired binding and a login during the visit":        {append(visitsOf(true, 60*days), loginAt(0, 0, "ann", true), loginAt(60*days+8, 0, "bob", true)), "ann 1, bob 1"},
		"a merge begins the binding anew":                        {append(visitsOf(true, 80*days), loginAt(0, 0, "ann", true), merge(40*days, 0, "ann", "anna")), "ann 1, anna 1"},
		"a merge of an expired binding":                          {append(visitsOf(true, 80*days), loginAt(0, 0, "ann", true), merge(50*days, 0, "ann", "anna")), "ann 1"},
		"an old login from the backfill, already expired":        {append(visitsOf(true, 0, 10*days), loginAt(-50*days, 50*days-60, "ann", true)), ""},
		"an old login from the backfill, after its walk-ins":     {append(visitsOf(true, 10*days, 30*days, 50*days, 100*days), loginAt(0, 60*days, "ann", true)), "ann 3"},
		"an old login from the backfill, before another login": {
			append(visitsOf(true, 10*days, 30*days, 50*days), loginAt(60*days, 61, "bob", true), loginAt(0, 70*days, "ann", true)), "ann 3"},
		"an old login from the backfill, expired before another login": {
			append(visitsOf(true, 50*days, 61*days), loginAt(60*days, 61, "bob", true), loginAt(0, 70*days, "ann", true)), "bob 1"},
		"a backfilled login of another contact, after the walk-in": {
			append(visitsOf(false, 0, 5*hours), loginAt(-4*hours, 0, "ann", false), loginAt(-60, 3*hours, "bob", false)), "ann 2, bob 1"},
		"a backfilled login before the only walk-in, after it": {append(visitsOf(false, 0), loginAt(-60, 3*hours, "bob", false)), "bob 1"},
		"backfilled logins in the wrong order": {
			append(visitsOf(false, 0, 10*hours), loginAt(-60, 3*hours, "bob", false), loginAt(-90, 5*hours, "carl", false), loginAt(-30, 6*hours, "dora", false)), "bob 1, dora 1"},
		"a backfilled deletion after the walk-in":        {append(visitsOf(false, 0, 9*hours), loginAt(-120, 0, "ann", false), deletion(-60, 3*hours, "ann")), "ann 2"},
		"a backfilled merge after the walk-in":           {append(visitsOf(false, 0, 9*hours), loginAt(-120, 0, "ann", false), merge(-60, 3*hours, "ann", "anna")), "ann 2, anna 1"},
		"a login after the merge of its contact":         {append(visitsOf(false, 0), loginAt(-300, 0, "ann", false), merge(-200, 0, "ann", "anna"), loginAt(-100, 0, "ann", false)), "ann 3"},
		"a login after the deletion of its contact":      {append(visitsOf(false, 0), loginAt(-300, 0, "ann", false), deletion(-200, 0, "ann"), loginAt(-100, 0, "ann", false)), "ann 3"},
		"a login from before a merge, arriving after it": {append(visitsOf(false, 0), merge(-200, 0, "ann", "anna"), loginAt(-300, 120, "ann", false)), "anna 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.feed(c.items)
			r, err := Run(t.Context(), w.Sources)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Err(); err != nil {
				t.Error(err)
			}
			var got []string
			for _, one := range r.TopContacts {
				got = append(got, string(one.Contact)+" "+string(rune('0'+one.Total)))
			}
			slices.Sort(got)
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("got counts %q, want %q", text, c.want)
			}
		})
	}
}
