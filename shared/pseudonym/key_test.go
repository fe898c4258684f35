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

func someKeys(t testing.TB) Keys {
	t.Helper()
	k, err := ParseKeys([]byte(`{"1": "` + secret1 + `", "b2": "` + secret2 + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keyOf(t testing.TB, id string, b events.BusinessID) *Key {
	t.Helper()
	k, err := someKeys(t).Business(id, b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The pseudonyms wanted were computed with Python's hmac module:
//
//	H = lambda k, m: hmac.new(k, m, hashlib.sha256).digest()
//	key = H(master, b"business\0" + business)
//	stable = urlsafe_b64encode(H(key, business + b"\0" + mac)[:16])
//	daily = urlsafe_b64encode(H(H(key, b"day\0" + day), business + b"\0" + mac)[:16])
func TestKeyFollowsTheRule(t *testing.T) {
	for _, c := range []struct {
		id, business, day string
		stable, daily     events.DeviceID
	}{
		{"1", "shop", "2026-11-21", "1-rS_JZ_s5lx6i9hBXljr4ZQ", "1d-nRVIDjdLmWGNvWnDGhWvsg"},
		{"", "shop", "2026-11-22", "1-rS_JZ_s5lx6i9hBXljr4ZQ", "1d-MJdpOj6Azpq9B7_CCPzTgw"},
		{"b2", "café-1", "2024-02-29", "b2-jIIw0keJZTKpGrk5wdHi1w", "b2d-1KNT3ouSLND4QA7xeoj8UQ"},
	} {
		k := keyOf(t, c.id, events.BusinessID(c.business))
		for range 2 { // the second time with what the first left behind
			if got := k.Device(mac); got != c.stable {
				t.Errorf("key %q, %s: Device = %s, want %s", c.id, c.business, got, c.stable)
			}
			if got := k.Daily(mac, c.day); got != c.daily {
				t.Errorf("key %q, %s: Daily(%s) = %s, want %s", c.id, c.business, c.day, got, c.daily)
			}
		}
	}
}

// TestRouterFollowsTheRule, with H(key, b"router\0" + name)[:4].hex().
func TestRouterFollowsTheRule(t *testing.T) {
	if got := keyOf(t, "1", "shop").Router("00:00:5e:00:53:f1"); got != "r-3514c581" {
		t.Errorf("Router = %s", got)
	}
	if keyOf(t, "1", "shop").Router("till") == keyOf(t, "1", "shop2").Router("till") {
		t.Error("a router has the same name at two businesses")
	}
}

func TestPseudonymsDependOnEveryInput(t *testing.T) {
	base, seen := keyOf(t, "1", "shop"), map[string]string{}
	other := mac
	other[5]++
	for why, d := range map[string]events.DeviceID{
		"the base":             base.Device(mac),
		"another address":      base.Device(other),
		"another key":          keyOf(t, "b2", "shop").Device(mac),
		"another business":     keyOf(t, "1", "shop2").Device(mac),
		"a day":                base.Daily(mac, "2026-11-21"),
		"the day after":        base.Daily(mac, "2026-11-22"),
		"another address' day": base.Daily(other, "2026-11-21"),
		"another key's day":    keyOf(t, "b2", "shop").Daily(mac, "2026-11-21"),
		"a business' day":      keyOf(t, "1", "shop2").Daily(mac, "2026-11-21"),
		"without derivation":   "1-" + Device([]byte(secret1), "shop", mac[:]),
	} {
		prefix, digest, _ := strings.Cut(string(d), "-")
		if b, err := base64.RawURLEncoding.DecodeString(digest); err != nil || len(digest) != 22 || len(b) != digestBytes {
			t.Errorf("%s: %q is not a prefix and 16 bytes in 22 characters of base64url (%v)", why, d, err)
		}
		if day := strings.Contains(why, "day"); strings.HasSuffix(prefix, "d") != day {
			t.Errorf("%s: %q has a prefix of the wrong sort", why, d)
		}
		if strings.Contains(strings.ToLower(string(d)), "02005e00532a") {
			t.Errorf("%s: %q shows the address", why, d)
		}
		if same, ok := seen[digest]; ok {
			t.Errorf("%s gives the same pseudonym as %s", why, same)
		}
		seen[digest] = why
	}
}

func TestManyDaysAtOnce(t *testing.T) {
	k, fresh := keyOf(t, "", "shop"), map[string]events.DeviceID{}
	for n := range 3 * maxDays {
		day := fmt.Sprintf("2026-11-%02d", n+1)
		fresh[day] = keyOf(t, "", "shop").Daily(mac, day)
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
		t.Errorf("%d days are kept, %d should be at most", len(k.daily), maxDays)
	}
}

// TestAllocations holds that a pseudonym allocates its own string alone.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what a pool keeps")
	}
	k := keyOf(t, "1", "shop")
	for what, f := range map[string]func() events.DeviceID{
		"Device": func() events.DeviceID { return k.Device(mac) },
		"Daily":  func() events.DeviceID { return k.Daily(mac, "2026-11-21") },
	} {
		var d events.DeviceID
		if n := testing.AllocsPerRun(1000, func() { d = f() }); n > 1 {
			t.Errorf("%s makes %v allocations for %s", what, n, d)
		}
	}
}

func BenchmarkDevice(b *testing.B) {
	k := keyOf(b, "1", "shop")
	b.ReportAllocs()
	for b.Loop() {
		k.Device(mac)
	}
}

func BenchmarkDaily(b *testing.B) {
	k := keyOf(b, "1", "shop")
	b.ReportAllocs()
	for b.Loop() {
		k.Daily(mac, "2026-11-21")
	}
}
