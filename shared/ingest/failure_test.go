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

// many is a post of sightings of n devices.
func many(n int) (p ownPost) {
	for i := range n {
		s := near(fmt.Sprintf("00:1b:63:84:%02x:%02x", i/256, i%256))
		p.Sightings = append(p.Sightings, s)
	}
	return p
}

// within posts with that much time left for the invocation.
func (d *door) within(t testing.TB, left time.Duration, p ownPost) answered {
	t.Helper()
	text := body(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), left)
	defer cancel()
	return d.invokeIn(ctx, t, ask(http.MethodPost, pathOf(cafe, senders.Footfall), signed(senders.Footfall, secret, text), text))
}

// wantFailure is about a failure of ours, after which the sender tries again.
func wantFailure(t testing.TB, d *door, a answered, status int, code string) {
	t.Helper()
	if a.status != status || a.code != code || a.header.Get("Retry-After") != "5" {
		t.Errorf("answered %d %s %v, want %d %s", a.status, a.body, a.header, status, code)
	}
	if line := d.log.last(t); line["level"] != "ERROR" || line["error"] == "" || line["accepted"] != 0.0 {
		t.Errorf("logged %v", line)
	}
}

// Nothing is taken while no broker takes anything, and nothing remembered: the
// same post is taken once one does.
func TestBrokersThatTakeNothing(t *testing.T) {
	d := open(t)
	fault := d.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	p := many(40)
	for range 2 {
		wantFailure(t, d, d.within(t, time.Second, p), http.StatusServiceUnavailable, "not-stored")
	}
	d.nothing(t)
	if fault.Hits() == 0 {
		t.Error("the fault was never met")
	}
	fault.Remove()
	if a := d.within(t, 20*time.Second, p); a.status != http.StatusOK || a.accepted != 40 {
		t.Errorf("tried again: %d %s", a.status, a.body)
	}
	if got := d.sightings(t); len(got) != 40 {
		t.Errorf("%d sightings are stored", len(got))
	}
	if a := d.within(t, time.Second, p); a.status != http.StatusConflict || a.code != "already-taken" {
		t.Errorf("and once more: %d %s", a.status, a.body)
	}
}

func TestNoBrokerAtAll(t *testing.T) {
	gone := must(net.Listen("tcp", "127.0.0.1:0"))
	addr := gone.Addr().String()
	gone.Close()
	client := must(kafka.NewClient(kafka.Config{Brokers: []string{addr}}))
	t.Cleanup(client.Close)
	d := open(t)
	d.Out = kafka.NewProducer(client)
	wantFailure(t, d, d.within(t, time.Second, many(3)), http.StatusServiceUnavailable, "not-stored")
}

// A broker that refuses one partition: what the others took is there, the
// sender hears that not all of it is, and its next try makes it whole.
func TestOnePartitionFails(t *testing.T) {
	d := open(t)
	p := many(100)
	fault := d.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: events.Sightings, Partitions: []int32{3}, Err: kerr.InvalidRecord, Count: -1,
	})
	wantFailure(t, d, d.within(t, 20*time.Second, p), http.StatusServiceUnavailable, "not-stored")
	if fault.Hits() == 0 {
		t.Error("the fault was never met")
	}
	first := d.sightings(t)
	if len(first) == 0 || len(first) >= 100 {
		t.Fatalf("%d of 100 sightings are stored", len(first))
	}
	fault.Remove()
	if a := d.within(t, 20*time.Second, p); a.status != http.StatusOK || a.accepted != 100 {
		t.Errorf("tried again: %d %s", a.status, a.body)
	}
	all := d.sightings(t)
	if once := slices.Compact(slices.Clone(all)); len(once) != 100 || len(all) != 100+len(first) {
		t.Errorf("%d sightings are stored, %d of them different", len(all), len(once))
	}
}

// A broker that answers nothing must not keep the sender without an answer.
func TestAnswersBeforeTheInvocationEnds(t *testing.T) {
	d := open(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	d.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		d.cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	wantFailure(t, d, d.within(t, time.Second, many(3)), http.StatusServiceUnavailable, "not-stored")
}

// producerFunc is a stage.Producer.
type producerFunc func(ctx context.Context, records []stage.Record) error

func (f producerFunc) Produce(ctx context.Context, records []stage.Record) error {
	return f(ctx, records)
}

func TestFailuresOfOurs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		code   string
		fail   func(d *door)
		mend   func(d *door)
	}{
		{"the businesses cannot be read", 503, "not-stored",
			func(d *door) { d.town.failed = errors.New("no table") },
			func(d *door) { d.town.failed = nil }},
		{"nobody knows the business's key", 500, "internal",
			func(d *door) { d.town.change(func(e *business.Entrance) { e.Key = "9" }) },
			func(d *door) { d.town.change(func(e *business.Entrance) { e.Key = "1" }) }},
		{"a sensor is called what none can be", 500, "internal",
			func(d *door) { d.rename("\x00") }, func(d *door) { d.rename("door") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t)
			tt.fail(d)
			wantFailure(t, d, d.within(t, 20*time.Second, many(3)), tt.status, tt.code)
			d.nothing(t)
			tt.mend(d)
			if a := d.within(t, 20*time.Second, many(3)); a.status != http.StatusOK || a.accepted != 3 {
				t.Errorf("mended: %d %s", a.status, a.body)
			}
		})
	}
}

// rename gives the one router of cafe another sensor.
func (d *door) rename(s events.SensorID) {
	d.town.change(func(e *business.Entrance) {
		f := e.Senders[senders.Footfall]
		f.Routers = map[string]events.SensorID{doorMAC: s}
		e.Senders[senders.Footfall] = f
	})
}

// A panic is answered and logged without what it was about.
func TestPanic(t *testing.T) {
	for name, value := range map[string]any{
		"a text": "marked text", "an error": errors.New("marked error"), "a body": []byte("marked body"),
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			d.Out = producerFunc(func(context.Context, []stage.Record) error { panic(value) })
			wantFailure(t, d, d.within(t, time.Second, many(3)), http.StatusInternalServerError, "internal")
			if log := d.log.String(); strings.Contains(log, "marked") || !strings.Contains(log, "failure_test.go") {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// Marks of people and secrets: whatever is posted with them, in whatever way it
// is refused or fails, they are in no line, no answer and no record.
func TestNothingPrivateGetsOut(t *testing.T) {
	const email, phone, host, person = "marked.person@example.com", "+49 170 55501234", "Marked-Phone-of-M", "marked-user-4711"
	const markedMAC, markedSecret = "00:00:5e:c0:ff:ee", "marked secret of the sender"
	private := func(kind string) []byte {
		text := string(good(kind))
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
	d := open(t)
	see := func(a answered) answered { out.WriteString(a.body + fmt.Sprint(a.header) + "\n"); return a }
	try := func(status int) {
		t.Helper()
		for _, kind := range senders.Kinds() {
			text := private(kind)
			if a := see(d.send(t, http.MethodPost, pathOf(cafe, kind), signed(kind, markedSecret, text), text)); a.status != status {
				t.Errorf("%s: answered %d %s, want %d", kind, a.status, a.body, status)
			}
		}
	}
	try(http.StatusUnauthorized)
	d.town.change(func(e *business.Entrance) {
		for kind := range maps.Clone(e.Senders) {
			e.Senders[kind] = business.Sender{Secrets: []string{markedSecret}}
		}
	})
	d.Out = producerFunc(func(context.Context, []stage.Record) error { panic(markedMAC + email + phone) })
	try(http.StatusInternalServerError)
	gone := must(kafka.NewClient(kafka.Config{Brokers: []string{"127.0.0.1:1"}, Logger: invocation.NewLogger(d.log, slog.LevelDebug)}))
	t.Cleanup(gone.Close)
	d.Out = producerFunc(func(ctx context.Context, records []stage.Record) error {
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		return kafka.NewProducer(gone).Produce(ctx, records)
	})
	try(http.StatusServiceUnavailable)
	d.Out = kafka.NewProducer(d.client)
	try(http.StatusOK)
	try(http.StatusConflict)
	for _, kind := range senders.Kinds() {
		text := private(kind)
		for cut := 1; cut < len(text); cut += len(text)/40 + 1 { // parsers fail at every place
			see(d.send(t, http.MethodPost, pathOf(cafe, kind), signed(kind, markedSecret, text[:cut]), text[:cut]))
		}
		see(d.send(t, http.MethodPost, pathOf(markedMAC, kind), nil, text))
		see(d.send(t, http.MethodPost, pathOf(cafe, markedMAC), nil, text))
	}
	d.town.failed = errors.New("no table")
	try(http.StatusServiceUnavailable)
	see(d.send(t, http.MethodPost, pathOf(markedMAC, senders.Mist), nil, nil))
	if !strings.Contains(d.log.String(), "no table") {
		t.Error("the log does not say what failed")
	}
	out.WriteString(d.log.String())
	for _, topic := range []string{events.Sightings, events.CRMEvents} {
		for _, r := range d.stored(t, topic) {
			fmt.Fprintf(&out, "%s %s %v\n", r.Key, r.Value, r.Headers)
		}
	}
	if len(d.stored(t, events.Sightings)) < len(senders.Kinds()) {
		t.Error("nothing was stored")
	}
	text := strings.ToLower(out.String())
	for _, mark := range []string{email, "marked", "example.com", phone, "55501234", host, "192.0.2.77", markedMAC, "00005ec0ffee", "c0:ff:ee", "c0ffee", "00:00:5e:de:ad:00", "00005edead00", "\x00\x00\x5e\xc0\xff\xee"} {
		if i := strings.Index(text, strings.ToLower(mark)); i >= 0 {
			t.Errorf("%q got out: ...%s...", mark, text[max(0, i-100):min(len(text), i+100)])
		}
	}
}
