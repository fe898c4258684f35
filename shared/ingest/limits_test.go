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

// newPost returns a post that was not accepted before, as long as h.now moves.
func (h *harness) newPost() ownPost {
	s := sightingOf(vendorMAC)
	s.SeenAt = h.now
	return ownPost{Sightings: []ownSighting{s}}
}

// Rates and repetitions use a clock that goes on while Lambda has the environment
// frozen, which the monotonic clock does not.
func TestHandlerUsesTheWallClock(t *testing.T) {
	if now := New(Deps{Log: slog.New(slog.DiscardHandler)}).Now(); strings.Contains(now.String(), "m=") {
		t.Errorf("%v has a reading of the monotonic clock", now)
	}
}

func TestRateLimit(t *testing.T) {
	h := newHarness(t)
	slow := func(perMinute int) {
		h.businesses.change(func(e *business.Entrance) {
			s := e.Senders[senders.Footfall]
			s.PostsPerMinute = perMinute
			e.Senders[senders.Footfall] = s
		})
	}
	slow(3)
	for range 5 { // posts with a wrong secret do not count against the rate
		text := body(t, h.newPost())
		a := h.send(t, http.MethodPost, pathTo(cafe, senders.Footfall), signed(senders.Footfall, "a wrong secret", text), text)
		if a.status != http.StatusUnauthorized {
			t.Fatalf("with a wrong secret: got %d %s, want 401", a.status, a.body)
		}
	}
	for i := range 3 {
		h.now = h.now.Add(time.Millisecond)
		if a := h.postOwn(t, cafe, h.newPost()); a.status != http.StatusOK {
			t.Fatalf("post %d: got %d %s, want 200", i, a.status, a.body)
		}
	}
	for range 3 { // rejected posts do not count against the rate
		if a := h.postOwn(t, cafe, h.newPost()); a.status != http.StatusTooManyRequests || a.code != "too-many-posts" || a.header.Get("Retry-After") != "20" {
			t.Fatalf("one post too many: got %d %s %v, want 429 with Retry-After 20", a.status, a.body, a.header)
		}
	}
	if a := h.post(t, cafe, senders.Mist, validBody(senders.Mist)); a.status != http.StatusOK {
		t.Errorf("another sender: got %d %s, want 200", a.status, a.body)
	}
	if a := h.postOwn(t, gym, h.newPost()); a.status != http.StatusOK {
		t.Errorf("another business: got %d %s, want 200", a.status, a.body)
	}
	h.now = h.now.Add(20 * time.Second)
	if a := h.postOwn(t, cafe, h.newPost()); a.status != http.StatusOK {
		t.Errorf("20 s later: got %d %s, want 200", a.status, a.body)
	}
	if a := h.postOwn(t, cafe, h.newPost()); a.status != http.StatusTooManyRequests {
		t.Errorf("at once again: got %d %s, want 429", a.status, a.body)
	}
	slow(600) // in force from the next post on
	h.postOwn(t, cafe, h.newPost())
	h.now = h.now.Add(100 * time.Millisecond)
	if a := h.postOwn(t, cafe, h.newPost()); a.status != http.StatusOK {
		t.Errorf("at a higher rate: got %d %s, want 200", a.status, a.body)
	}
}

// A sender without a configured rate has the default rate.
func TestDefaultRate(t *testing.T) {
	h := newHarness(t)
	n := 0
	for ; n < 2*defaultPostsPerMinute; n++ {
		if a := h.post(t, gym, senders.Footfall, []byte("{")); a.status == http.StatusTooManyRequests {
			break
		}
	}
	if n != defaultPostsPerMinute {
		t.Errorf("got %d posts at once, want %d", n, defaultPostsPerMinute)
	}
}

// While the settings hold two secrets, both are valid. A removed secret is not.
func TestTwoSecrets(t *testing.T) {
	h := newHarness(t)
	try := func(key string) int {
		h.now = h.now.Add(time.Second)
		text := body(t, h.newPost())
		return h.send(t, http.MethodPost, pathTo(cafe, senders.Footfall), signed(senders.Footfall, key, text), text).status
	}
	secrets := func(s ...string) {
		h.businesses.change(func(e *business.Entrance) { e.Senders[senders.Footfall] = business.Sender{Secrets: s} })
	}
	for _, tt := range []struct {
		name               string
		secrets            []string
		old, current, none int
	}{
		{"before", []string{oldSecret}, 200, 401, 401},
		{"both", []string{oldSecret, secret}, 200, 200, 401},
		{"both, in the other order", []string{secret, oldSecret}, 200, 200, 401},
		{"after", []string{secret}, 401, 200, 401},
		{"none", nil, 401, 401, 401},
		{"an empty one", []string{""}, 401, 401, 401},
	} {
		secrets(tt.secrets...)
		if o, c, n := try(oldSecret), try(secret), try(""); o != tt.old || c != tt.current || n != tt.none {
			t.Errorf("%s: got %d with the old secret, %d with the current, %d with an empty one", tt.name, o, c, n)
		}
	}
}

// An equal body of the same sender is rejected for an hour, and a body of Mist for a
// minute. Bodies without records are never rejected as repetitions.
func TestRepeatedBody(t *testing.T) {
	h := newHarness(t)
	post := func(b events.BusinessID, kind string, text []byte) string {
		t.Helper()
		a := h.post(t, b, kind, text)
		return fmt.Sprint(a.status, " ", a.code)
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	text := validBody(senders.Footfall)
	want("the first post", post(cafe, senders.Footfall, text), "200 ")
	want("the same body", post(cafe, senders.Footfall, text), "409 already-taken")
	zip := withHeader(signed(senders.Footfall, secret, text), "Content-Encoding", "gzip")
	a := h.invoke(t, inBase64(newRequest(http.MethodPost, pathTo(cafe, senders.Footfall), zip, gzipped(text))))
	want("the same body, packed", a.code, "already-taken")
	want("the same body for another business", post(gym, senders.Footfall, text), "200 ")
	bluetooth := []byte(fmt.Sprintf(`{"secret":%q,"version":"3.0","type":"Bluetooth","data":{"observations":[{}]}}`, secret))
	want("a body of Bluetooth", post(cafe, senders.Meraki, bluetooth), "200 ")
	want("the same body of Bluetooth, without records", post(cafe, senders.Meraki, bluetooth), "200 ")
	empty := []byte(`{"network_id":1,"node_mac":"00:00:5e:00:53:f1","version":1,"probe_requests":[]}`)
	want("a body of CloudTrax, without records", post(cafe, senders.CloudTrax, empty), "200 ")
	want("the same body of CloudTrax", post(cafe, senders.CloudTrax, empty), "200 ")
	mist := validBody(senders.Mist)
	want("a body of Mist", post(cafe, senders.Mist, mist), "200 ")
	h.now = noon.Add(repeatWindowMist - time.Second)
	want("the same body of Mist, within a minute", post(cafe, senders.Mist, mist), "409 already-taken")
	h.now = noon.Add(repeatWindowMist)
	want("the same body of Mist, after a minute", post(cafe, senders.Mist, mist), "200 ")
	h.now = noon.Add(repeatWindow - time.Second)
	want("the first body again, within the hour", post(cafe, senders.Footfall, text), "409 already-taken")
	h.now = noon.Add(repeatWindow)
	want("the first body again, after an hour", post(cafe, senders.Footfall, text), "422 clock-skew")
}

// Packed bodies are accepted, and the limit applies to their unpacked size.
func TestPackedBody(t *testing.T) {
	h := newHarness(t)
	for _, kind := range senders.Kinds() {
		text := validBody(kind)
		header := withHeader(signed(kind, secret, text), "Content-Encoding", " GZIP ")
		if a := h.invoke(t, inBase64(newRequest(http.MethodPost, pathTo(cafe, kind), header, gzipped(text)))); a.status != http.StatusOK || a.accepted != 1 {
			t.Errorf("%s: got %d %s, want 200 and 1 accepted", kind, a.status, a.body)
		}
	}
	full := append([]byte(`{"sightings":[]}`), make([]byte, maxUnpacked-16)...)
	for i := 16; i < len(full); i++ {
		full[i] = ' '
	}
	header := withHeader(signed(senders.Footfall, secret, full), "Content-Encoding", "gzip")
	if a := h.invoke(t, inBase64(newRequest(http.MethodPost, pathTo(cafe, senders.Footfall), header, gzipped(full)))); a.status != http.StatusOK {
		t.Errorf("at the limit: got %d %s, want 200", a.status, a.body)
	}
}

// An environment of Lambda handles one request at a time, a process of the local
// stack several at the same time.
func TestConcurrentPosts(t *testing.T) {
	h := newHarness(t)
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
				if a := h.post(t, cafe, senders.Footfall, text); a.status != http.StatusOK || a.accepted != 2 {
					t.Errorf("got %d %s, want 200 and 2 accepted", a.status, a.body)
				}
				if a := h.post(t, cafe, senders.Footfall, text); a.status != http.StatusConflict {
					t.Errorf("the same post again: got %d %s, want 409", a.status, a.body)
				}
			}
		})
	}
	wg.Wait()
	devices := map[events.DeviceID]bool{}
	for _, s := range h.sightings(t) {
		devices[s.Device] = true
	}
	if len(devices) != 2*workers*posts {
		t.Errorf("got %d devices, want %d", len(devices), 2*workers*posts)
	}
}

// Unpacking a bomb of gzip stops at the limit.
func TestBombTakesLittleMemory(t *testing.T) {
	packed := gzipBomb()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, rejected := unpack(packed); rejected == nil || rejected.Code != "too-large" {
		t.Errorf("got %+v, want too-large", rejected)
	}
	runtime.ReadMemStats(&after)
	// A slice that grows to the limit is copied several times on the way.
	if took := after.TotalAlloc - before.TotalAlloc; took > 10*maxUnpacked {
		t.Errorf("got %d MB allocated for a limit of %d MB, want at most ten times the limit", took>>20, maxUnpacked>>20)
	}
}
