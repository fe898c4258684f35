package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/events"
	"footfall/local"
	"footfall/shared/dynamo"
	"footfall/shared/ingest/senders"
	"footfall/shared/pseudonym"
)

// The one business whose routers, of every make, post in these tests.
const (
	cafe       = events.BusinessID("cafe-1")
	cafeSecret = "secret of the routers of cafe-1"
	cafeKeys   = `{"1": "master key of these tests, long enough for one"}`
	portal     = events.SensorID("portal") // of the sighting that identify makes of a login
)

// shop is a stack that accepts the posts of cafe-1.
type shop struct {
	*local.Stack
	key  *pseudonym.Key
	zone *time.Location
	// joined holds the devices that joined the network, or logged in, on a local day.
	joined map[joinedOn]bool
}

type joinedOn struct {
	device events.DeviceID
	day    string
}

func openShop(t *testing.T, change func(*local.Options)) *shop {
	t.Helper()
	makes := map[string]any{}
	for _, kind := range senders.Kinds() {
		makes[kind] = map[string]any{"secrets": []string{cafeSecret}, "posts_per_minute": 60_000}
	}
	businesses, err := json.Marshal(map[events.BusinessID]any{cafe: map[string]any{
		"rules": map[string]any{"time_zone": "Europe/Berlin"}, "door": map[string]any{"senders": makes},
	}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keyFile, businessFile := filepath.Join(dir, "keys.json"), filepath.Join(dir, "businesses.json")
	if err := errors.Join(os.WriteFile(keyFile, []byte(cafeKeys), 0o600), os.WriteFile(businessFile, businesses, 0o600)); err != nil {
		t.Fatal(err)
	}
	s := &shop{joined: map[joinedOn]bool{}}
	s.Stack = stackFor(t, func(o *local.Options) {
		o.HTTPListen.HostPort, o.PseudonymKeys = "127.0.0.1:0", keyFile
		o.Prepare = func(ctx context.Context, tables *dynamodb.Client) error {
			flags := businessesFlags{Businesses: businessFile}
			return flags.store(ctx, t.Output(), dynamo.NewBusinesses(tables, o.TablePrefix), keysFlag{})
		}
		change(o)
	})
	keys, err := pseudonym.ParseKeys([]byte(cafeKeys))
	if err == nil {
		s.key, err = keys.Business("", cafe)
	}
	if err == nil {
		s.zone, err = time.LoadLocation("Europe/Berlin")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signatures holds the name of the header with the signature of each make. Meraki has
// the secret in the body instead.
var signatures = map[string]string{
	senders.CloudTrax: "Signature", senders.Mist: "X-Mist-Signature-v2",
	senders.Hostapd: "X-Footfall-Signature", senders.Footfall: "X-Footfall-Signature",
}

var secretInBody = regexp.MustCompile(`"secret": ?"[^"]*"`)

// signedPost returns a body and the headers of a sender with the secret.
func signedPost(kind, secret string, body []byte) ([]byte, http.Header) {
	header := http.Header{"Content-Type": {"application/json"}}
	if kind == senders.Hostapd {
		header.Set("Content-Type", "text/plain")
	}
	if name, ok := signatures[kind]; ok {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write(body)
		header.Set(name, hex.EncodeToString(h.Sum(nil)))
		return body, header
	}
	return secretInBody.ReplaceAll(body, fmt.Appendf(nil, `"secret":%q`, secret)), header
}

// answer is the answer to a post.
type answer struct {
	status int
	body   string
}

// code returns the code of an error.
func (a answer) code() string {
	var e struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal([]byte(a.body), &e) != nil || e.Error.Message == "" {
		return ""
	}
	return e.Error.Code
}

// post posts like a sender of the business. Errors are returned, since some tests
// expect them.
func (s *shop) post(ctx context.Context, kind string, body []byte) (answer, error) {
	body, header := signedPost(kind, cafeSecret, body)
	return s.send(ctx, http.MethodPost, "/v1/"+string(cafe)+"/"+kind, header, body)
}

func (s *shop) send(ctx context.Context, method, path string, header http.Header, body []byte) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.IngestURL()+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header = header
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(text)}, errors.Join(err, response.Body.Close())
}

// must posts a body that has to be accepted.
func (s *shop) must(t *testing.T, kind string, body []byte) {
	t.Helper()
	a, err := s.post(t.Context(), kind, body)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: %d %s (%v), want 200", kind, a.status, a.body, err)
	}
}

// routerSightings returns the sightings of routers, without the sightings that identify
// makes of logins.
func (s *shop) routerSightings(t *testing.T) []events.Sighting {
	t.Helper()
	var all []events.Sighting
	for _, r := range readTopic(t, s.Stack, events.Sightings) {
		var e events.SightingsRecord
		if err := events.DecodeSightings(r.Key, r.Value, &e); err != nil {
			t.Fatal(err)
		}
		if !e.IsTick && e.Sighting.Sensor != portal {
			all = append(all, e.Sighting)
		}
	}
	return all
}

// logins returns the logins on the topic.
func (s *shop) logins(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, r := range readTopic(t, s.Stack, events.CRMEvents) {
		e, err := events.DecodeCRM(r.Key, r.Value)
		if err != nil || e.Login == nil {
			t.Fatalf("%+v on %s (%v)", e, events.CRMEvents, err)
		}
		all = append(all, loginLine(*e.Login))
	}
	return all
}

// sightingLine and loginLine return all fields of a record as text.
func sightingLine(s events.Sighting) string {
	return fmt.Sprintf("%s/%s by %s at %d dBm, %s, associated %v, randomised %v",
		s.Business, s.Device, s.Sensor, s.RSSI, s.SeenAt.UTC().Format(time.RFC3339Nano), s.Associated, s.Randomised)
}

func loginLine(l events.PortalLogin) string {
	return fmt.Sprintf("%s/%s is %s from %s, randomised %v", l.Business, l.Device, l.Contact, l.At.UTC().Format(time.RFC3339Nano), l.Randomised)
}

// expect parses a line "heard MAC by "router" at N dBm, TIME [associated]" as a
// sighting, and a line "login of "contact" with MAC, TIME" as a login, each moved
// later by a span. ok is false for other lines, and for times that are too old or
// too new at now.
func (s *shop) expect(t *testing.T, line string, later time.Duration, now time.Time) (text string, ok bool) {
	t.Helper()
	var hexMAC, name, at string
	var rssi int32
	isLogin := false
	_, err := fmt.Sscanf(line, "heard %s by %q at %d dBm, %s", &hexMAC, &name, &rssi, &at)
	if err != nil {
		if _, err := fmt.Sscanf(line, "login of %q with %12s, %s", &name, &hexMAC, &at); err != nil {
			return "", false
		}
		isLogin = true
	}
	seen, err := time.Parse(time.RFC3339Nano, at)
	mac, hexErr := hex.DecodeString(hexMAC)
	if err := errors.Join(err, hexErr); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if seen = seen.Add(later); now.Sub(seen) > time.Hour || seen.Sub(now) > 5*time.Minute {
		return "", false
	}
	associated := isLogin || strings.Contains(line, " associated")
	randomised := mac[0]&2 != 0
	device, day := s.key.Device([6]byte(mac)), seen.In(s.zone).Format(time.DateOnly)
	// ingest remembers which devices joined that day.
	joined := joinedOn{device, day}
	s.joined[joined] = s.joined[joined] || associated
	if randomised && !s.joined[joined] {
		device = s.key.Daily([6]byte(mac), day)
	}
	if isLogin {
		return loginLine(events.PortalLogin{
			Business: cafe, Device: device, Contact: events.ContactID(name), At: seen, Randomised: randomised,
		}), true
	}
	return sightingLine(events.Sighting{
		Business: cafe, Sensor: s.key.Router(name), Device: device, RSSI: events.RSSI(rssi), SeenAt: seen,
		Associated: associated, Randomised: randomised,
	}), true
}

// Times in the forms of posts. A layout without a zone is in the business's zone.
var postTimes = []struct {
	pattern *regexp.Regexp
	layout  string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), time.RFC3339Nano},
	{regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d `), "2006-01-02T15:04:05 "},
	{regexp.MustCompile(`(?m)^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}`), "Mon Jan _2 15:04:05 2006"},
	{regexp.MustCompile(`(?m)[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [a-z]`), "Jan _2 15:04:05 "},
}

var epoch = regexp.MustCompile(`\b1[4-9]\d{8}(\d{3})?\b`)

// moved returns a body with all times later by a span of whole seconds. year is the
// year of times without one.
func (s *shop) moved(t *testing.T, body []byte, year int, later time.Duration) []byte {
	t.Helper()
	body = epoch.ReplaceAllFunc(body, func(number []byte) []byte {
		n, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if len(number) == len("1795255207250") {
			return fmt.Append(nil, n+later.Milliseconds())
		}
		return fmt.Append(nil, n+int64(later/time.Second))
	})
	for _, p := range postTimes {
		body = p.pattern.ReplaceAllFunc(body, func(text []byte) []byte {
			given, end := string(text), ""
			if p.layout == "Jan _2 15:04:05 " {
				given, end = given[:len(given)-1], given[len(given)-1:]
			}
			at, err := time.ParseInLocation(p.layout, given, s.zone)
			if err != nil {
				return text // never was
			}
			if at.Year() == 0 {
				at = time.Date(year, at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, s.zone)
			}
			return append(at.Add(later).In(s.zone).AppendFormat(nil, p.layout), end...)
		})
	}
	return body
}

// wantSame compares two lists in any order.
func wantSame(t *testing.T, got, want []string) {
	t.Helper()
	surplus := map[string]int{}
	for _, line := range got {
		surplus[line]++
	}
	for _, line := range want {
		surplus[line]--
	}
	for _, line := range slices.Sorted(maps.Keys(surplus)) {
		if n := surplus[line]; n != 0 {
			t.Errorf("%+d: %s", n, line)
		}
	}
	t.Logf("%d records, %d expected", len(got), len(want))
}
