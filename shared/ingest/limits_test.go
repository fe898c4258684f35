package ingest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/ingest/senders"
)

// fresh is a post that was not taken before.
func (d *door) fresh() ownPost {
	s := near(vendorMAC)
	s.SeenAt = d.now
	return ownPost{Sightings: []ownSighting{s}}
}

// Rates and what was taken go by a clock that goes on while Lambda has the
// environment frozen, as the monotonic one does not.
func TestClockOfTheHandler(t *testing.T) {
	if now := New(Deps{Log: slog.New(slog.DiscardHandler)}).Now(); strings.Contains(now.String(), "m=") {
		t.Errorf("%v has a reading of the monotonic clock", now)
	}
}

func TestRateLimit(t *testing.T) {
	d := open(t)
	slow := func(perMinute int) {
		d.town.change(func(e *business.Entrance) {
			s := e.Senders[senders.Footfall]
			s.PostsPerMinute = perMinute
			e.Senders[senders.Footfall] = s
		})
	}
	slow(3)
	for range 5 { // a stranger uses up nobody's rate
		text := body(t, d.fresh())
		a := d.send(t, http.MethodPost, pathOf(cafe, senders.Footfall), signed(senders.Footfall, "what a stranger guesses", text), text)
		if a.status != http.StatusUnauthorized {
			t.Fatalf("a stranger: %d %s", a.status, a.body)
		}
	}
	for i := range 3 {
		d.now = d.now.Add(time.Millisecond)
		if a := d.give(t, cafe, d.fresh()); a.status != http.StatusOK {
			t.Fatalf("post %d: %d %s", i, a.status, a.body)
		}
	}
	for range 3 { // what is refused counts for nothing
		if a := d.give(t, cafe, d.fresh()); a.status != http.StatusTooManyRequests || a.code != "too-many-posts" || a.header.Get("Retry-After") != "20" {
			t.Fatalf("one too many: %d %s %v", a.status, a.body, a.header)
		}
	}
	if a := d.post(t, cafe, senders.Mist, good(senders.Mist)); a.status != http.StatusOK {
		t.Errorf("another sender: %d %s", a.status, a.body)
	}
	if a := d.give(t, gym, d.fresh()); a.status != http.StatusOK {
		t.Errorf("another business: %d %s", a.status, a.body)
	}
	d.now = d.now.Add(20 * time.Second)
	if a := d.give(t, cafe, d.fresh()); a.status != http.StatusOK {
		t.Errorf("20 s on: %d %s", a.status, a.body)
	}
	if a := d.give(t, cafe, d.fresh()); a.status != http.StatusTooManyRequests {
		t.Errorf("and at once again: %d %s", a.status, a.body)
	}
	slow(600) // holds from the next post on
	d.give(t, cafe, d.fresh())
	d.now = d.now.Add(100 * time.Millisecond)
	if a := d.give(t, cafe, d.fresh()); a.status != http.StatusOK {
		t.Errorf("at a higher rate: %d %s", a.status, a.body)
	}
}

// A sender without a rate of its own has the default one.
func TestDefaultRate(t *testing.T) {
	d := open(t)
	n := 0
	for ; n < 2*defaultPostsPerMinute; n++ {
		if a := d.post(t, gym, senders.Footfall, []byte("{")); a.status == http.StatusTooManyRequests {
			break
		}
	}
	if n != defaultPostsPerMinute {
		t.Errorf("%d posts are let in at once", n)
	}
}

// Both secrets are good while a sender is changed over; then the former is not.
func TestTwoSecrets(t *testing.T) {
	d := open(t)
	try := func(key string) int {
		d.now = d.now.Add(time.Second)
		text := body(t, d.fresh())
		return d.send(t, http.MethodPost, pathOf(cafe, senders.Footfall), signed(senders.Footfall, key, text), text).status
	}
	secrets := func(s ...string) {
		d.town.change(func(e *business.Entrance) { e.Senders[senders.Footfall] = business.Sender{Secrets: s} })
	}
	for _, tt := range []struct {
		name                     string
		secrets                  []string
		former, present, another int
	}{
		{"before", []string{former}, 200, 401, 401},
		{"both", []string{former, secret}, 200, 200, 401},
		{"both, the other way round", []string{secret, former}, 200, 200, 401},
		{"after", []string{secret}, 401, 200, 401},
		{"none", nil, 401, 401, 401},
		{"an empty one", []string{""}, 401, 401, 401},
	} {
		secrets(tt.secrets...)
		if f, p, a := try(former), try(secret), try(""); f != tt.former || p != tt.present || a != tt.another {
			t.Errorf("%s: the former %d, the present %d, none %d", tt.name, f, p, a)
		}
	}
}

func TestAlreadyTaken(t *testing.T) {
	d := open(t)
	post := func(b events.BusinessID, kind string, text []byte) string {
		t.Helper()
		a := d.post(t, b, kind, text)
		return fmt.Sprint(a.status, " ", a.code)
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	text := good(senders.Footfall)
	want("the first", post(cafe, senders.Footfall, text), "200 ")
	want("the same", post(cafe, senders.Footfall, text), "409 already-taken")
	zip := with(signed(senders.Footfall, secret, text), "Content-Encoding", "gzip")
	a := d.invoke(t, inBase64(ask(http.MethodPost, pathOf(cafe, senders.Footfall), zip, packed(text))))
	want("the same, packed", a.code, "already-taken")
	want("at another business", post(gym, senders.Footfall, text), "200 ")
	bluetooth := []byte(fmt.Sprintf(`{"secret":%q,"version":"3.0","type":"Bluetooth","data":{"observations":[{}]}}`, secret))
	want("of Bluetooth", post(cafe, senders.Meraki, bluetooth), "200 ")
	want("the same of Bluetooth, which holds nothing", post(cafe, senders.Meraki, bluetooth), "200 ")
	nobody := []byte(`{"network_id":1,"node_mac":"00:00:5e:00:53:f1","version":1,"probe_requests":[]}`)
	want("of CloudTrax, without anybody", post(cafe, senders.CloudTrax, nobody), "200 ")
	want("the same of CloudTrax, a minute on", post(cafe, senders.CloudTrax, nobody), "200 ")
	quiet := good(senders.Mist)
	want("of Mist", post(cafe, senders.Mist, quiet), "200 ")
	d.now = noon.Add(rememberBrief - time.Second)
	want("of Mist, within a minute", post(cafe, senders.Mist, quiet), "409 already-taken")
	d.now = noon.Add(rememberBrief)
	want("of Mist, a minute on", post(cafe, senders.Mist, quiet), "200 ")
	d.now = noon.Add(rememberFor - time.Second)
	want("within the hour", post(cafe, senders.Footfall, text), "409 already-taken")
	d.now = noon.Add(rememberFor)
	want("an hour on", post(cafe, senders.Footfall, text), "422 clock-skew")
}

// Packed bodies are taken, and the limit holds for what they unpack to.
func TestPacked(t *testing.T) {
	d := open(t)
	for _, kind := range senders.Kinds() {
		text := good(kind)
		header := with(signed(kind, secret, text), "Content-Encoding", " GZIP ")
		if a := d.invoke(t, inBase64(ask(http.MethodPost, pathOf(cafe, kind), header, packed(text)))); a.status != http.StatusOK || a.accepted != 1 {
			t.Errorf("%s: %d %s", kind, a.status, a.body)
		}
	}
	full := append([]byte(`{"sightings":[]}`), make([]byte, maxUnpacked-16)...)
	for i := 16; i < len(full); i++ {
		full[i] = ' '
	}
	header := with(signed(senders.Footfall, secret, full), "Content-Encoding", "gzip")
	if a := d.invoke(t, inBase64(ask(http.MethodPost, pathOf(cafe, senders.Footfall), header, packed(full)))); a.status != http.StatusOK {
		t.Errorf("just small enough: %d %s", a.status, a.body)
	}
}

// An environment of Lambda has one request at a time; on one machine a process
// may be given several.
func TestManyAtOnce(t *testing.T) {
	d := open(t)
	const workers, posts = 8, 25
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range posts {
				text, err := json.Marshal(ownPost{Sightings: []ownSighting{
					{doorMAC, fmt.Sprintf("00:1b:63:84:%02x:%02x", w, i), -50, noon, false},
					{doorMAC, fmt.Sprintf("da:1b:63:84:%02x:%02x", w, i), -50, noon, false},
				}})
				if err != nil {
					t.Error(err)
				}
				if a := d.post(t, cafe, senders.Footfall, text); a.status != http.StatusOK || a.accepted != 2 {
					t.Errorf("answered %d %s", a.status, a.body)
				}
				if a := d.post(t, cafe, senders.Footfall, text); a.status != http.StatusConflict {
					t.Errorf("again: %d %s", a.status, a.body)
				}
			}
		})
	}
	wg.Wait()
	devices := map[events.DeviceID]bool{}
	for _, s := range d.sightings(t) {
		devices[s.Device] = true
	}
	if len(devices) != 2*workers*posts {
		t.Errorf("%d devices are stored", len(devices))
	}
}

// Of a bomb no more is unpacked than the limit, whatever it would be.
func TestBombTakesLittleMemory(t *testing.T) {
	packed := bomb()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, refusal := unpack(packed); refusal == nil || refusal.Code != "too-large" {
		t.Errorf("got %+v", refusal)
	}
	runtime.ReadMemStats(&after)
	// A slice that grows to the limit was copied some times on the way.
	if took := after.TotalAlloc - before.TotalAlloc; took > 10*maxUnpacked {
		t.Errorf("%d MB were allocated for %d MB", took>>20, maxUnpacked>>20)
	}
}
