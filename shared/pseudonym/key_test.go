package pseudonym

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"footfall/events"
)

const (
	secret1 = "an-example-master-key-of-34-bytes!"
	secret2 = "another-example-master-key-36-bytes!"
)

var mac = [6]byte{0x02, 0x00, 0x5e, 0x00, 0x53, 0x2a}

func exampleKeys(t testing.TB) Keys {
	t.Helper()
	k, err := ParseKeys([]byte(`{"1": "` + secret1 + `", "b2": "` + secret2 + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func businessKey(t testing.TB, id string, b events.BusinessID) *Key {
	t.Helper()
	k, err := exampleKeys(t).Business(id, b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The expected pseudonyms were computed with Python's hmac module:
//
//	H = lambda k, m: hmac.new(k, m, hashlib.sha256).digest()
//	key = H(master, b"business\0" + business)
//	stable = urlsafe_b64encode(H(key, business + b"\0" + mac)[:16])
//	daily = urlsafe_b64encode(H(H(key, b"day\0" + day), business + b"\0" + mac)[:16])
func TestKeyMatchesPythonsHMAC(t *testing.T) {
	for _, c := range []struct {
		id, business, day string
		stable, daily     events.DeviceID
	}{
		{"1", "shop", "2026-11-21", "1-rS_JZ_s5lx6i9hBXljr4ZQ", "1d-nRVIDjdLmWGNvWnDGhWvsg"},
		{"", "shop", "2026-11-22", "1-rS_JZ_s5lx6i9hBXljr4ZQ", "1d-MJdpOj6Azpq9B7_CCPzTgw"},
		{"b2", "café-1", "2024-02-29", "b2-jIIw0keJZTKpGrk5wdHi1w", "b2d-1KNT3ouSLND4QA7xeoj8UQ"},
	} {
		k := businessKey(t, c.id, events.BusinessID(c.business))
		for range 2 { // the second time with the hashers that the first time put into the pool
			if got := k.Device(mac); got != c.stable {
				t.Errorf("key %q, %s: Device = %s, want %s", c.id, c.business, got, c.stable)
			}
			if got := k.Daily(mac, c.day); got != c.daily {
				t.Errorf("key %q, %s: Daily(%s) = %s, want %s", c.id, c.business, c.day, got, c.daily)
			}
		}
	}
}

// The expected name is H(key, b"router\0" + name)[:4].hex() in the words of
// TestKeyMatchesPythonsHMAC.
func TestRouterMatchesPythonsHMAC(t *testing.T) {
	if got := businessKey(t, "1", "shop").Router("00:00:5e:00:53:f1"); got != "r-3514c581" {
		t.Errorf("Router = %s, want r-3514c581", got)
	}
	if businessKey(t, "1", "shop").Router("till") == businessKey(t, "1", "shop2").Router("till") {
		t.Error("a router has the same name at two businesses")
	}
}

func TestPseudonymsDependOnEveryInput(t *testing.T) {
	base, seen := businessKey(t, "1", "shop"), map[string]string{}
	other := mac
	other[5]++
	for why, d := range map[string]events.DeviceID{
		"the base":             base.Device(mac),
		"another address":      base.Device(other),
		"another key":          businessKey(t, "b2", "shop").Device(mac),
		"another business":     businessKey(t, "1", "shop2").Device(mac),
		"a day":                base.Daily(mac, "2026-11-21"),
		"the day after":        base.Daily(mac, "2026-11-22"),
		"another address' day": base.Daily(other, "2026-11-21"),
		"another key's day":    businessKey(t, "b2", "shop").Daily(mac, "2026-11-21"),
		"a business' day":      businessKey(t, "1", "shop2").Daily(mac, "2026-11-21"),
		"without derivation":   "1-" + Device([]byte(secret1), "shop", mac[:]),
	} {
		prefix, digest, _ := strings.Cut(string(d), "-")
		if b, err := base64.RawURLEncoding.DecodeString(digest); err != nil || len(digest) != 22 || len(b) != digestBytes {
			t.Errorf("%s: %q is not a prefix and 16 bytes in 22 characters of base64url (%v)", why, d, err)
		}
		if day := strings.Contains(why, "day"); strings.HasSuffix(prefix, "d") != day {
			t.Errorf("%s: %q has the wrong kind of prefix", why, d)
		}
		if strings.Contains(strings.ToLower(string(d)), "02005e00532a") {
			t.Errorf("%s: %q shows the address", why, d)
		}
		if same, ok := seen[digest]; ok {
			t.Errorf("%s has the same pseudonym as %s", why, same)
		}
		seen[digest] = why
	}
}

func TestDaysBeyondMaxDaysUnderConcurrency(t *testing.T) {
	k, fresh := businessKey(t, "", "shop"), map[string]events.DeviceID{}
	for n := range 3 * maxDays {
		day := fmt.Sprintf("2026-11-%02d", n+1)
		fresh[day] = businessKey(t, "", "shop").Daily(mac, day)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for day, want := range fresh {
				if got := k.Daily(mac, day); got != want {
					t.Errorf("%s: %s, want %s", day, got, want)
				}
				k.Device(mac)
			}
		})
	}
	wg.Wait()
	if len(k.daily) > maxDays {
		t.Errorf("the key keeps %d days, want at most %d", len(k.daily), maxDays)
	}
}

// A pseudonym allocates its own string and nothing else.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector a sync.Pool drops items at random")
	}
	k := businessKey(t, "1", "shop")
	for what, f := range map[string]func() events.DeviceID{
		"Device": func() events.DeviceID { return k.Device(mac) },
		"Daily":  func() events.DeviceID { return k.Daily(mac, "2026-11-21") },
	} {
		var d events.DeviceID
		if n := testing.AllocsPerRun(1000, func() { d = f() }); n > 1 {
			t.Errorf("%s makes %v allocations for %s, want at most 1", what, n, d)
		}
	}
}

func BenchmarkDevice(b *testing.B) {
	k := businessKey(b, "1", "shop")
	b.ReportAllocs()
	for b.Loop() {
		k.Device(mac)
	}
}

func BenchmarkDaily(b *testing.B) {
	k := businessKey(b, "1", "shop")
	b.ReportAllocs()
	for b.Loop() {
		k.Daily(mac, "2026-11-21")
	}
}
