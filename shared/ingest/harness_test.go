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

// The businesses of these tests. cafe takes every kind from any router; gym
// takes Footfall's own format, from the routers that it names.
const (
	cafe    = events.BusinessID("cafe-1")
	gym     = events.BusinessID("gym & spa")
	secret  = "secret of the present"
	former  = "secret of the past"
	keyText = `{"1": "master of the first key, quite at length", "2": "master of the second key, quite at length"}`
)

// noon is when most posts of these tests arrive.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// town is businesses that tests change while posts come in.
type town struct {
	mu     sync.Mutex
	doors  map[events.BusinessID]business.Entrance
	failed error
}

func (t *town) Entrance(_ context.Context, b events.BusinessID) (business.Entrance, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.doors[b]
	if t.failed != nil {
		return e, false, fmt.Errorf("read %s: %w", b, t.failed)
	}
	return e, ok, nil
}

// change gives cafe another door.
func (t *town) change(how func(e *business.Entrance)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.doors[cafe]
	e.Senders = maps.Clone(e.Senders)
	how(&e)
	t.doors[cafe] = e
}

func newTown() *town {
	all := map[string]business.Sender{}
	for _, kind := range senders.Kinds() {
		all[kind] = business.Sender{Secrets: []string{secret, former}, PostsPerMinute: 1_000_000}
	}
	m := all[senders.Meraki]
	m.Validator = "validator-of-cafe-1"
	all[senders.Meraki] = m
	return &town{doors: map[events.BusinessID]business.Entrance{
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

// lines takes what a handler logs.
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

// last is the fields of the latest line.
func (l *lines) last(t testing.TB) map[string]any {
	t.Helper()
	all := strings.Split(strings.TrimSpace(l.String()), "\n")
	var fields map[string]any
	if err := json.Unmarshal([]byte(all[len(all)-1]), &fields); err != nil {
		t.Fatalf("the log: %v", err)
	}
	return fields
}

// door is a handler that produces to brokers in memory.
type door struct {
	*Handler
	town    *town
	cluster *kfake.Cluster
	client  *kgo.Client
	log     *lines
	now     time.Time
}

func open(t testing.TB) *door {
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
	d := &door{town: newTown(), cluster: c, client: client, log: &lines{}, now: noon}
	d.Handler = New(Deps{
		Businesses: d.town, Keys: testKeys(t), Out: kafka.NewProducer(client),
		Log: invocation.NewLogger(d.log, slog.LevelInfo), Now: func() time.Time { return d.now },
	})
	return d
}

// answered is the answer to a request.
type answered struct {
	status   int
	header   http.Header
	body     string
	code     string // of the error, "" for none
	message  string
	accepted int
	left     map[string]int
}

// send hands the handler a request, and holds request and answer against the
// OpenAPI document.
func (d *door) send(t testing.TB, method, path string, header map[string]string, body []byte) answered {
	t.Helper()
	r := apigw.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: path, Headers: map[string]string{}, Body: string(body)}
	for name, value := range header {
		r.Headers[strings.ToLower(name)] = value
	}
	r.RequestContext.Stage = "$default"
	r.RequestContext.HTTP.Method = method
	r.RequestContext.HTTP.Path = path
	return d.invoke(t, r)
}

func (d *door) invoke(t testing.TB, r apigw.APIGatewayV2HTTPRequest) answered {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return d.invokeIn(ctx, t, r)
}

func (d *door) invokeIn(ctx context.Context, t testing.TB, r apigw.APIGatewayV2HTTPRequest) answered {
	t.Helper()
	a := d.answer(ctx, t, r)
	checkAnswer(t, r, a)
	return a
}

// answer is invokeIn without a look into the document.
func (d *door) answer(ctx context.Context, t testing.TB, r apigw.APIGatewayV2HTTPRequest) answered {
	t.Helper()
	payload, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.Invoke(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Error("the answer came after the end of the invocation")
	}
	return readAnswer(t, out)
}

func readAnswer(t testing.TB, out []byte) answered {
	t.Helper()
	var got apigw.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	a := answered{status: got.StatusCode, header: http.Header{}, body: got.Body}
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
			t.Fatalf("answered %s: %v", got.Body, err)
		}
		a.code, a.message, a.accepted, a.left = body.Error.Code, body.Error.Message, body.Accepted, body.LeftOut
	}
	return a
}

// stored reads all records of a topic.
func (d *door) stored(t testing.TB, topic string) (records []*kgo.Record) {
	t.Helper()
	total := 0
	for _, p := range d.cluster.PartitionInfos(topic) {
		total += int(p.HighWatermark)
	}
	if total == 0 {
		return nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(d.cluster.ListenAddrs()...), kgo.ConsumeTopics(topic))
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

// sightings reads what is on the topic, in the order of time and device; every
// record must be one that detect takes.
func (d *door) sightings(t testing.TB) (all []events.Sighting) {
	t.Helper()
	for _, r := range d.stored(t, events.Sightings) {
		var s events.SightingsRecord
		if err := events.DecodeSightings(r.Key, r.Value, &s); err != nil {
			t.Errorf("on sightings: %v", err)
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

func (d *door) logins(t testing.TB) (all []events.PortalLogin) {
	t.Helper()
	for _, r := range d.stored(t, events.CRMEvents) {
		e, err := events.DecodeCRM(r.Key, r.Value)
		if err != nil {
			t.Fatalf("on crm-events: %v", err)
		}
		all = append(all, *e.Login)
	}
	return all
}

// nothing wants both topics empty.
func (d *door) nothing(t testing.TB) {
	t.Helper()
	for _, topic := range []string{events.Sightings, events.CRMEvents} {
		for _, p := range d.cluster.PartitionInfos(topic) {
			if p.HighWatermark > 0 {
				t.Errorf("%s/%d holds %d records", topic, p.Partition, p.HighWatermark)
			}
		}
	}
}

// fixedKeys are keys that are read once.
type fixedKeys struct{ pseudonym.Keys }

func (k fixedKeys) Business(_ context.Context, id string, b events.BusinessID) (*pseudonym.Key, error) {
	return k.Keys.Business(id, b)
}

func testKeys(t testing.TB) fixedKeys {
	t.Helper()
	return fixedKeys{must(pseudonym.ParseKeys([]byte(keyText)))}
}

// signature is the hexadecimal HMAC-SHA-256 that most senders put into a header.
func signature(key string, body []byte) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// signatureHeader names that header by kind; Meraki's secret is in the body.
var signatureHeader = map[string]string{
	senders.CloudTrax: "Signature", senders.Mist: "X-Mist-Signature-v2",
	senders.Hostapd: "X-Footfall-Signature", senders.Footfall: "X-Footfall-Signature",
}

// signed is the headers of a post by somebody who knows key.
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

// post sends a body with the present secret.
func (d *door) post(t testing.TB, b events.BusinessID, kind string, body []byte) answered {
	t.Helper()
	return d.send(t, http.MethodPost, pathOf(b, kind), signed(kind, secret, body), body)
}

func pathOf(b events.BusinessID, kind string) string {
	return "/v1/" + url.PathEscape(string(b)) + "/" + kind
}
