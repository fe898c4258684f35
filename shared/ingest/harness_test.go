package ingest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apigw "github.com/aws/aws-lambda-go/events"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/ingest/senders"
	"footfall/shared/invocation"
	"footfall/shared/kafka"
	"footfall/shared/pseudonym"
)

// The businesses of these tests. cafe accepts every kind from any router. gym
// accepts Footfall's own format, from the routers that its settings name.
const (
	cafe      = events.BusinessID("cafe-1")
	gym       = events.BusinessID("gym & spa")
	secret    = "secret of the present"
	oldSecret = "secret of the past"
	keyText   = `{"1": "master of the first key, quite at length", "2": "master of the second key, quite at length"}`
)

// noon is when most posts of these tests arrive.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// fakeBusinesses is settings that tests change while posts arrive.
type fakeBusinesses struct {
	mu        sync.Mutex
	entrances map[events.BusinessID]business.Entrance
	err       error
}

func (t *fakeBusinesses) Entrance(_ context.Context, b events.BusinessID) (business.Entrance, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.entrances[b]
	if t.err != nil {
		return e, false, fmt.Errorf("read %s: %w", b, t.err)
	}
	return e, ok, nil
}

// change changes the settings of cafe.
func (t *fakeBusinesses) change(how func(e *business.Entrance)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entrances[cafe]
	e.Senders = maps.Clone(e.Senders)
	how(&e)
	t.entrances[cafe] = e
}

func newFakeBusinesses() *fakeBusinesses {
	all := map[string]business.Sender{}
	for _, kind := range senders.Kinds() {
		all[kind] = business.Sender{Secrets: []string{secret, oldSecret}, PostsPerMinute: 1_000_000}
	}
	m := all[senders.Meraki]
	m.Validator = "validator-of-cafe-1"
	all[senders.Meraki] = m
	return &fakeBusinesses{entrances: map[events.BusinessID]business.Entrance{
		cafe: {Door: business.Door{Senders: all}, Zone: time.UTC, Hold: -85},
		gym: {Zone: berlin, Hold: -85, Door: business.Door{Key: "2", Senders: map[string]business.Sender{
			senders.Footfall: {Secrets: []string{secret}, Routers: map[string]events.SensorID{
				"A8-46-9D-00-00-63": "entrance", "bar router": "bar",
			}},
		}}},
	}}
}

var berlin = must(time.LoadLocation("Europe/Berlin"))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// lines collects the log of a handler.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// last returns the fields of the latest line.
func (l *lines) last(t testing.TB) map[string]any {
	t.Helper()
	all := strings.Split(strings.TrimSpace(l.String()), "\n")
	var fields map[string]any
	if err := json.Unmarshal([]byte(all[len(all)-1]), &fields); err != nil {
		t.Fatalf("the log: %v", err)
	}
	return fields
}

// harness is a handler that produces to a broker in memory.
type harness struct {
	*Handler
	businesses *fakeBusinesses
	cluster    *kfake.Cluster
	client     *kgo.Client
	log        *lines
	now        time.Time
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(8, events.Sightings, events.CRMEvents))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client, err := kafka.NewClient(kafka.Config{Brokers: c.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	h := &harness{businesses: newFakeBusinesses(), cluster: c, client: client, log: &lines{}, now: noon}
	h.Handler = New(Deps{
		Businesses: h.businesses, Keys: testKeys(t), Out: kafka.NewProducer(client),
		Log: invocation.NewLogger(h.log, slog.LevelInfo), Now: func() time.Time { return h.now },
	})
	return h
}

// reply is a decoded response.
type reply struct {
	status   int
	header   http.Header
	body     string
	code     string // of the rejection, "" if accepted
	message  string
	accepted int
	leftOut  map[string]int
}

// send passes a request to the handler, and checks the reply against the OpenAPI
// document.
func (h *harness) send(t testing.TB, method, path string, header map[string]string, body []byte) reply {
	t.Helper()
	r := apigw.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: path, Headers: map[string]string{}, Body: string(body)}
	for name, value := range header {
		r.Headers[strings.ToLower(name)] = value
	}
	r.RequestContext.Stage = "$default"
	r.RequestContext.HTTP.Method = method
	r.RequestContext.HTTP.Path = path
	return h.invoke(t, r)
}

func (h *harness) invoke(t testing.TB, r apigw.APIGatewayV2HTTPRequest) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return h.invokeIn(ctx, t, r)
}

func (h *harness) invokeIn(ctx context.Context, t testing.TB, r apigw.APIGatewayV2HTTPRequest) reply {
	t.Helper()
	a := h.invokeUnchecked(ctx, t, r)
	checkReply(t, r, a)
	return a
}

// invokeUnchecked is invokeIn without a check against the document.
func (h *harness) invokeUnchecked(ctx context.Context, t testing.TB, r apigw.APIGatewayV2HTTPRequest) reply {
	t.Helper()
	payload, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Invoke(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Error("the answer came after the end of the invocation")
	}
	return readReply(t, out)
}

func readReply(t testing.TB, out []byte) reply {
	t.Helper()
	var got apigw.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	a := reply{status: got.StatusCode, header: http.Header{}, body: got.Body}
	for name, value := range got.Headers {
		a.header.Set(name, value)
	}
	if a.header.Get("Content-Type") == "application/json" {
		var body struct {
			Error    struct{ Code, Message string }
			Accepted int
			LeftOut  map[string]int `json:"left_out"`
		}
		if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
			t.Fatalf("got body %s: %v", got.Body, err)
		}
		a.code, a.message, a.accepted, a.leftOut = body.Error.Code, body.Error.Message, body.Accepted, body.LeftOut
	}
	return a
}

// stored returns all records of a topic.
func (h *harness) stored(t testing.TB, topic string) (records []*kgo.Record) {
	t.Helper()
	total := 0
	for _, p := range h.cluster.PartitionInfos(topic) {
		total += int(p.HighWatermark)
	}
	if total == 0 {
		return nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(h.cluster.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(records) < total {
		fetched := reader.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			t.Fatalf("%s, after %d of %d records: %v", topic, len(records), total, err)
		}
		records = append(records, fetched.Records()...)
	}
	return records
}

// sightings returns the sightings on the topic, ordered by time, device and sensor.
// It fails the test if detect would reject a record.
func (h *harness) sightings(t testing.TB) (all []events.Sighting) {
	t.Helper()
	for _, r := range h.stored(t, events.Sightings) {
		var s events.SightingsRecord
		if err := events.DecodeSightings(r.Key, r.Value, &s); err != nil {
			t.Errorf("topic sightings: %v", err)
		}
		all = append(all, s.Sighting)
	}
	slices.SortFunc(all, func(a, b events.Sighting) int {
		if c := a.SeenAt.Compare(b.SeenAt); c != 0 {
			return c
		}
		return strings.Compare(string(a.Device)+string(a.Sensor), string(b.Device)+string(b.Sensor))
	})
	return all
}

func (h *harness) logins(t testing.TB) (all []events.PortalLogin) {
	t.Helper()
	for _, r := range h.stored(t, events.CRMEvents) {
		e, err := events.DecodeCRM(r.Key, r.Value)
		if err != nil {
			t.Fatalf("topic crm-events: %v", err)
		}
		all = append(all, *e.Login)
	}
	return all
}

// wantNothingStored fails the test if either topic holds a record.
func (h *harness) wantNothingStored(t testing.TB) {
	t.Helper()
	for _, topic := range []string{events.Sightings, events.CRMEvents} {
		for _, p := range h.cluster.PartitionInfos(topic) {
			if p.HighWatermark > 0 {
				t.Errorf("%s/%d: got %d records, want none", topic, p.Partition, p.HighWatermark)
			}
		}
	}
}

// fixedKeys are keys that never change.
type fixedKeys struct{ pseudonym.Keys }

func (k fixedKeys) Business(_ context.Context, id string, b events.BusinessID) (*pseudonym.Key, error) {
	return k.Keys.Business(id, b)
}

func testKeys(t testing.TB) fixedKeys {
	t.Helper()
	return fixedKeys{must(pseudonym.ParseKeys([]byte(keyText)))}
}

// signature returns the hexadecimal HMAC-SHA-256 that most senders put into a header.
func signature(key string, body []byte) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// signatureHeader is the name of that header by kind; Meraki's secret is in the
// body.
var signatureHeader = map[string]string{
	senders.CloudTrax: "Signature", senders.Mist: "X-Mist-Signature-v2",
	senders.Hostapd: "X-Footfall-Signature", senders.Footfall: "X-Footfall-Signature",
}

// signed returns the headers of a post that is signed with key.
func signed(kind, key string, body []byte) map[string]string {
	header := map[string]string{"Content-Type": "application/json"}
	if kind == senders.Hostapd {
		header["Content-Type"] = "text/plain"
	}
	if name, ok := signatureHeader[kind]; ok {
		header[name] = signature(key, body)
	}
	return header
}

// post posts a body that is signed with secret.
func (h *harness) post(t testing.TB, b events.BusinessID, kind string, body []byte) reply {
	t.Helper()
	return h.send(t, http.MethodPost, pathTo(b, kind), signed(kind, secret, body), body)
}

func pathTo(b events.BusinessID, kind string) string {
	return "/v1/" + url.PathEscape(string(b)) + "/" + kind
}
