package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/ingest/senders"
	"footfall/shared/invocation"
	"footfall/shared/kafka"
	"footfall/shared/stage"
)

// postOfDevices returns a post with sightings of n devices.
func postOfDevices(n int) (p ownPost) {
	for i := range n {
		s := sightingOf(fmt.Sprintf("00:1b:63:84:%02x:%02x", i/256, i%256))
		p.Sightings = append(p.Sightings, s)
	}
	return p
}

// postWithin posts in an invocation that ends after left.
func (h *harness) postWithin(t testing.TB, left time.Duration, p ownPost) reply {
	t.Helper()
	text := body(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), left)
	defer cancel()
	return h.invokeIn(ctx, t, newRequest(http.MethodPost, pathTo(cafe, senders.Footfall), signed(senders.Footfall, secret, text), text))
}

// wantFailure fails the test if a reply is not a failure of ingest, after which the
// sender posts again.
func wantFailure(t testing.TB, h *harness, a reply, status int, code string) {
	t.Helper()
	if a.status != status || a.code != code || a.header.Get("Retry-After") != "5" {
		t.Errorf("got %d %s %v, want %d %s with Retry-After 5", a.status, a.body, a.header, status, code)
	}
	if line := h.log.last(t); line["level"] != "ERROR" || line["error"] == "" || line["accepted"] != 0.0 {
		t.Errorf("logged %v, want an error and nothing accepted", line)
	}
}

// While no broker acknowledges anything, the post is not accepted and not
// remembered. The same post is accepted once a broker acknowledges it.
func TestBrokersThatAcknowledgeNothing(t *testing.T) {
	h := newHarness(t)
	fault := h.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	p := postOfDevices(40)
	for range 2 {
		wantFailure(t, h, h.postWithin(t, time.Second, p), http.StatusServiceUnavailable, "not-stored")
	}
	h.wantNothingStored(t)
	if fault.Hits() == 0 {
		t.Error("no request met the fault")
	}
	fault.Remove()
	if a := h.postWithin(t, 20*time.Second, p); a.status != http.StatusOK || a.accepted != 40 {
		t.Errorf("posted again: got %d %s, want 200 and 40 accepted", a.status, a.body)
	}
	if got := h.sightings(t); len(got) != 40 {
		t.Errorf("got %d sightings, want 40", len(got))
	}
	if a := h.postWithin(t, time.Second, p); a.status != http.StatusConflict || a.code != "already-taken" {
		t.Errorf("posted after it was accepted: got %d %s, want 409 already-taken", a.status, a.body)
	}
}

func TestNoBrokerAtAll(t *testing.T) {
	gone := must(net.Listen("tcp", "127.0.0.1:0"))
	addr := gone.Addr().String()
	gone.Close()
	client := must(kafka.NewClient(kafka.Config{Brokers: []string{addr}}))
	t.Cleanup(client.Close)
	h := newHarness(t)
	h.Out = kafka.NewProducer(client)
	wantFailure(t, h, h.postWithin(t, time.Second, postOfDevices(3)), http.StatusServiceUnavailable, "not-stored")
}

// A broker rejects the records of one partition. The records of the others are
// stored, the answer is 503, and the repetition stores all records.
func TestOnePartitionFails(t *testing.T) {
	h := newHarness(t)
	p := postOfDevices(100)
	fault := h.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: events.Sightings, Partitions: []int32{3}, Err: kerr.InvalidRecord, Count: -1,
	})
	wantFailure(t, h, h.postWithin(t, 20*time.Second, p), http.StatusServiceUnavailable, "not-stored")
	if fault.Hits() == 0 {
		t.Error("no request met the fault")
	}
	first := h.sightings(t)
	if len(first) == 0 || len(first) >= 100 {
		t.Fatalf("got %d of 100 sightings, want some and not all", len(first))
	}
	fault.Remove()
	if a := h.postWithin(t, 20*time.Second, p); a.status != http.StatusOK || a.accepted != 100 {
		t.Errorf("posted again: got %d %s, want 200 and 100 accepted", a.status, a.body)
	}
	all := h.sightings(t)
	if once := slices.Compact(slices.Clone(all)); len(once) != 100 || len(all) != 100+len(first) {
		t.Errorf("got %d sightings, %d of them different, want all 100 and the first %d twice", len(all), len(once), len(first))
	}
}

// If a broker never answers, the sender is answered before the invocation ends.
func TestAnswersBeforeTheInvocationEnds(t *testing.T) {
	h := newHarness(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	h.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		h.cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	wantFailure(t, h, h.postWithin(t, time.Second, postOfDevices(3)), http.StatusServiceUnavailable, "not-stored")
}

// producerFunc is a stage.Producer that is one function.
type producerFunc func(ctx context.Context, records []stage.Record) error

func (f producerFunc) Produce(ctx context.Context, records []stage.Record) error {
	return f(ctx, records)
}

// After a failure of ingest nothing is stored, and the same post is accepted once
// the cause is mended.
func TestFailuresOfIngest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		code   string
		fail   func(h *harness)
		mend   func(h *harness)
	}{
		{"the settings cannot be read", 503, "not-stored",
			func(h *harness) { h.businesses.err = errors.New("no table") },
			func(h *harness) { h.businesses.err = nil }},
		{"the key of the business does not exist", 500, "internal",
			func(h *harness) { h.businesses.change(func(e *business.Entrance) { e.Key = "9" }) },
			func(h *harness) { h.businesses.change(func(e *business.Entrance) { e.Key = "1" }) }},
		{"the name of a sensor is no id", 500, "internal",
			func(h *harness) { h.setSensor("\x00") }, func(h *harness) { h.setSensor("door") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			tt.fail(h)
			wantFailure(t, h, h.postWithin(t, 20*time.Second, postOfDevices(3)), tt.status, tt.code)
			h.wantNothingStored(t)
			tt.mend(h)
			if a := h.postWithin(t, 20*time.Second, postOfDevices(3)); a.status != http.StatusOK || a.accepted != 3 {
				t.Errorf("after the cause was mended: got %d %s, want 200", a.status, a.body)
			}
		})
	}
}

// setSensor changes the sensor of cafe's router in the settings.
func (h *harness) setSensor(s events.SensorID) {
	h.businesses.change(func(e *business.Entrance) {
		f := e.Senders[senders.Footfall]
		f.Routers = map[string]events.SensorID{doorMAC: s}
		e.Senders[senders.Footfall] = f
	})
}

// A panic is answered and logged, with its stack and without its value.
func TestPanic(t *testing.T) {
	for name, value := range map[string]any{
		"a text": "marked text", "an error": errors.New("marked error"), "a body": []byte("marked body"),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.Out = producerFunc(func(context.Context, []stage.Record) error { panic(value) })
			wantFailure(t, h, h.postWithin(t, time.Second, postOfDevices(3)), http.StatusInternalServerError, "internal")
			if log := h.log.String(); strings.Contains(log, "marked") || !strings.Contains(log, "failure_test.go") {
				t.Errorf("logged %s, want the stack and not the value", log)
			}
		})
	}
}

// Personal data and secrets of a post are in no log line, no response and no
// record, in whatever way the post is rejected, fails or is accepted.
func TestNothingPrivateGetsOut(t *testing.T) {
	const email, phone, host, person = "marked.person@example.com", "+49 170 55501234", "Marked-Phone-of-M", "marked-user-4711"
	const markedMAC, markedSecret = "00:00:5e:c0:ff:ee", "marked secret of the sender"
	private := func(kind string) []byte {
		text := string(validBody(kind))
		text = strings.ReplaceAll(text, vendorMAC, markedMAC)
		text = strings.ReplaceAll(text, doorMAC, "00:00:5e:de:ad:00")
		text = strings.ReplaceAll(text, secret, markedSecret)
		extra := fmt.Sprintf(`"userId":%q,"phone":%q,"hostname":%q,"user":%q,"ipv4":"192.0.2.77",`, email, phone, host, person)
		switch kind {
		case senders.Hostapd:
			return []byte(text + "host " + email + " " + phone + " " + host + " " + markedMAC + "\n")
		default:
			return []byte(strings.ReplaceAll(text, "[{", "[{"+extra))
		}
	}
	var out strings.Builder
	h := newHarness(t)
	see := func(a reply) reply { out.WriteString(a.body + fmt.Sprint(a.header) + "\n"); return a }
	try := func(status int) {
		t.Helper()
		for _, kind := range senders.Kinds() {
			text := private(kind)
			if a := see(h.send(t, http.MethodPost, pathTo(cafe, kind), signed(kind, markedSecret, text), text)); a.status != status {
				t.Errorf("%s: got %d %s, want %d", kind, a.status, a.body, status)
			}
		}
	}
	try(http.StatusUnauthorized)
	h.businesses.change(func(e *business.Entrance) {
		for kind := range maps.Clone(e.Senders) {
			e.Senders[kind] = business.Sender{Secrets: []string{markedSecret}}
		}
	})
	h.Out = producerFunc(func(context.Context, []stage.Record) error { panic(markedMAC + email + phone) })
	try(http.StatusInternalServerError)
	gone := must(kafka.NewClient(kafka.Config{Brokers: []string{"127.0.0.1:1"}, Logger: invocation.NewLogger(h.log, slog.LevelDebug)}))
	t.Cleanup(gone.Close)
	h.Out = producerFunc(func(ctx context.Context, records []stage.Record) error {
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		return kafka.NewProducer(gone).Produce(ctx, records)
	})
	try(http.StatusServiceUnavailable)
	h.Out = kafka.NewProducer(h.client)
	try(http.StatusOK)
	try(http.StatusConflict)
	for _, kind := range senders.Kinds() {
		text := private(kind)
		for cut := 1; cut < len(text); cut += len(text)/40 + 1 { // so that parsers fail at every position
			see(h.send(t, http.MethodPost, pathTo(cafe, kind), signed(kind, markedSecret, text[:cut]), text[:cut]))
		}
		see(h.send(t, http.MethodPost, pathTo(markedMAC, kind), nil, text))
		see(h.send(t, http.MethodPost, pathTo(cafe, markedMAC), nil, text))
	}
	h.businesses.err = errors.New("no table")
	try(http.StatusServiceUnavailable)
	see(h.send(t, http.MethodPost, pathTo(markedMAC, senders.Mist), nil, nil))
	if !strings.Contains(h.log.String(), "no table") {
		t.Error("the log does not hold the cause of the failure")
	}
	out.WriteString(h.log.String())
	for _, topic := range []string{events.Sightings, events.CRMEvents} {
		for _, r := range h.stored(t, topic) {
			fmt.Fprintf(&out, "%s %s %v\n", r.Key, r.Value, r.Headers)
		}
	}
	if len(h.stored(t, events.Sightings)) < len(senders.Kinds()) {
		t.Error("no sightings were stored, so that no record was looked at")
	}
	text := strings.ToLower(out.String())
	for _, mark := range []string{email, "marked", "example.com", phone, "55501234", host, "192.0.2.77", markedMAC, "00005ec0ffee", "c0:ff:ee", "c0ffee", "00:00:5e:de:ad:00", "00005edead00", "\x00\x00\x5e\xc0\xff\xee"} {
		if i := strings.Index(text, strings.ToLower(mark)); i >= 0 {
			t.Errorf("%q got out: ...%s...", mark, text[max(0, i-100):min(len(text), i+100)])
		}
	}
}
