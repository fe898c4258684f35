package ingest

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/business"
)

// overheard returns a sighting of randomMAC by the till, which it is not associated
// with.
func overheard(at time.Time) ownSighting {
	return ownSighting{Router: "till", MAC: randomMAC, RSSI: -63, SeenAt: at}
}

// associated returns a sighting of randomMAC by the door, which it is associated
// with.
func associated(at time.Time) ownSighting {
	return ownSighting{Router: "door", MAC: randomMAC, RSSI: -52, SeenAt: at, Associated: true}
}

// randomDevices returns the stable pseudonym of randomMAC in cafe, and that of a day.
func randomDevices(t *testing.T, h *harness, day string) (stable, daily events.DeviceID) {
	t.Helper()
	key := must(h.Keys.Business(t.Context(), "", cafe))
	mac := [6]byte{0xda, 0xa1, 0x19, 0, 0, 1}
	return key.Device(mac), key.Daily(mac, day)
}

// devices returns the device of each sighting, by time.
func (h *harness) devices(t *testing.T) (all []events.DeviceID) {
	t.Helper()
	for _, s := range h.sightings(t) {
		all = append(all, s.Device)
	}
	return all
}

// Within a post, a device that is associated at one router has the stable pseudonym
// at every other router too, also before the association.
func TestOverheardInOnePost(t *testing.T) {
	for name, p := range map[string]ownPost{
		"associated last":  {Sightings: []ownSighting{overheard(noon.Add(-2 * time.Second)), associated(noon)}},
		"associated first": {Sightings: []ownSighting{associated(noon.Add(-2 * time.Second)), overheard(noon)}},
		"logged in": {
			Sightings: []ownSighting{overheard(noon.Add(-2 * time.Second)), overheard(noon)},
			Logins:    []ownLogin{{randomMAC, "contact-1", noon}},
		},
	} {
		h := newHarness(t)
		h.postOwn(t, cafe, p)
		stable, _ := randomDevices(t, h, "2026-11-20")
		if got := h.devices(t); !slices.Equal(got, []events.DeviceID{stable, stable}) {
			t.Errorf("%s: got devices %q, want %q twice", name, got, stable)
		}
	}
}

// In later posts of the day the device keeps the stable pseudonym. What was
// overheard before the association stays anonymous, and so does the next day.
func TestOverheardInLaterPosts(t *testing.T) {
	h := newHarness(t)
	h.now = time.Date(2026, 11, 20, 23, 50, 0, 0, time.UTC)
	stable, today := randomDevices(t, h, "2026-11-20")
	_, tomorrow := randomDevices(t, h, "2026-11-21")
	for _, s := range []ownSighting{
		overheard(h.now.Add(-3 * time.Minute)),
		associated(h.now.Add(-2 * time.Minute)),
		overheard(h.now.Add(-time.Minute)),
		overheard(h.now.Add(11 * time.Minute)),
	} {
		h.now = s.SeenAt
		if a := h.postOwn(t, cafe, ownPost{Sightings: []ownSighting{s}}); a.status != http.StatusOK {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	}
	if got, want := h.devices(t), []events.DeviceID{today, stable, stable, tomorrow}; !slices.Equal(got, want) {
		t.Errorf("got devices %q, want %q", got, want)
	}
}

// An association that is left out, because of its router, its time or the opt-out
// list, is not remembered. Nor does an association count at another business.
func TestAssociationsThatAreNotRemembered(t *testing.T) {
	h := newHarness(t)
	stable, _ := randomDevices(t, h, "2026-11-20")

	unlisted := associated(noon)
	h.postOwn(t, gym, ownPost{Sightings: []ownSighting{unlisted}})
	old := associated(noon.Add(-maxAge - time.Second))
	h.postOwn(t, cafe, ownPost{Sightings: []ownSighting{old}, Logins: []ownLogin{{randomMAC, "contact-1", old.SeenAt}}})
	h.businesses.change(func(e *business.Entrance) { e.OptOut = []events.DeviceID{stable} })
	h.postOwn(t, cafe, ownPost{Sightings: []ownSighting{associated(noon)}})
	if n := len(h.joined.known); n != 0 {
		t.Errorf("%d devices are remembered, want none", n)
	}

	h.businesses.change(func(e *business.Entrance) { e.OptOut = nil })
	listed := associated(noon)
	listed.Router = "bar router"
	h.postOwn(t, gym, ownPost{Sightings: []ownSighting{listed}})
	h.postOwn(t, cafe, ownPost{Sightings: []ownSighting{overheard(noon)}})
	_, daily := randomDevices(t, h, "2026-11-20")
	if got := h.devices(t); !slices.Contains(got, daily) {
		t.Errorf("got devices %q, want %q among them", got, daily)
	}

	// The list is checked before the memory.
	h.postOwn(t, cafe, ownPost{Sightings: []ownSighting{associated(noon.Add(-time.Second))}})
	h.businesses.change(func(e *business.Entrance) { e.OptOut = []events.DeviceID{stable} })
	if a := h.postOwn(t, cafe, ownPost{Sightings: []ownSighting{overheard(noon.Add(-2 * time.Second))}}); a.leftOut["opted-out"] != 1 {
		t.Errorf("got %s, want 1 opted-out", a.body)
	}
}

// The memory is bounded: the oldest devices are dropped.
func TestJoinedDevicesAreBounded(t *testing.T) {
	j := newJoinedDevices()
	device := func(n int) joinedDevice { return joinedDevice{events.DeviceID(strconv.Itoa(n)), "2026-11-20"} }
	const more = 10
	for n := range maxJoined + more {
		j.add(device(n))
		j.add(device(n)) // again changes nothing
	}
	if len(j.known) != maxJoined || len(j.order) != maxJoined {
		t.Errorf("got %d devices in order of %d, want %d", len(j.known), len(j.order), maxJoined)
	}
	for n, want := range map[int]bool{0: false, more - 1: false, more: true, maxJoined + more - 1: true} {
		if got := j.has(device(n)); got != want {
			t.Errorf("device %d: got %t, want %t", n, got, want)
		}
	}
}
