package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/local"
	"footfall/shared/ingest/senders"
	"footfall/shared/pipeline"
)

// hostile is a post that must be rejected, with its status and code. A code of "" is
// an answer of the HTTP API itself.
type hostile struct {
	name, method, path string
	header             http.Header
	body               []byte
	status             int
	code               string
}

// genuine returns an acceptable body of each make, with one sighting at a moment.
func genuine(kind string, at time.Time) string {
	switch kind {
	case senders.Meraki:
		return fmt.Sprintf(`{"version":"3.0","secret":"","type":"WiFi","data":{"observations":[{"clientMac":"00:00:5e:00:53:01",`+
			`"latestRecord":{"time":%q,"nearestApMac":"00:00:5e:00:53:f1","nearestApRssi":-58}}]}}`, at.Format(time.RFC3339))
	case senders.CloudTrax:
		return fmt.Sprintf(`{"node_mac":"00:00:5e:00:53:f1","version":1,"probe_requests":[{"mac":"00:00:5e:00:53:01",`+
			`"last_seen_signal":-58,"last_seen":%d}]}`, at.Unix())
	case senders.Mist:
		return `{"topic":"wifi-unconn-raw","events":[{"ap_id":"00-00-5e-00-53-f1","client_id":"00-00-5e-00-53-01","packets":[{"rssi":-58}]}]}`
	case senders.Hostapd:
		return at.Format(time.RFC3339) + " ap hostapd: wlan0: RX-PROBE-REQUEST sa=00:00:5e:00:53:01 signal=-58\n"
	default:
		return fmt.Sprintf(`{"sightings":[{"router":"door","mac":"00:00:5e:00:53:01","rssi_dbm":-58,"seen_at":%q}]}`, at.Format(time.RFC3339))
	}
}

// list holds the start and the end of each make's list of records.
var list = map[string][2]string{
	senders.Meraki:    {`{"version":"3.0","secret":"","type":"WiFi","data":{"observations":`, `}}`},
	senders.CloudTrax: {`{"node_mac":"00:00:5e:00:53:f1","probe_requests":`, `}`},
	senders.Mist:      {`{"topic":"wifi-unconn-raw","events":`, `}`},
	senders.Footfall:  {`{"sightings":`, `}`},
}

func packed(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// hostilePosts returns all hostile posts.
func hostilePosts(t *testing.T, now time.Time) (all []hostile) {
	t.Helper()
	for _, kind := range senders.Kinds() {
		all = append(all, unknownSenders(kind, now)...)
		all = append(all, oversized(t, kind, now)...)
		all = append(all, outOfTime(kind, now)...)
		if kind != senders.Hostapd { // every line of which is optional
			all = append(all, malformed(kind, now)...)
		}
	}
	return append(all, elsewhere(now)...)
}

// signed returns a post of a sender with the secret.
func signed(kind, name, body string, status int, code string) hostile {
	b, header := signedPost(kind, cafeSecret, []byte(body))
	return hostile{kind + ": " + name, http.MethodPost, "/v1/" + string(cafe) + "/" + kind, header, b, status, code}
}

func unknownSenders(kind string, now time.Time) (all []hostile) {
	body := genuine(kind, now)
	missing, bad := "no-signature", "bad-signature"
	if kind == senders.Meraki {
		missing, bad = "no-secret", "bad-secret"
	}
	add := func(name string, header http.Header, body, code string) {
		h := signed(kind, name, body, http.StatusUnauthorized, code)
		h.body, h.header = []byte(body), header
		all = append(all, h)
	}
	_, other := signedPost(kind, cafeSecret, []byte("another body"))
	wrong, header := signedPost(kind, "a secret of another business", []byte(body))
	add("wrong secret", header, string(wrong), bad)
	_, header = signedPost(kind, "", []byte(body))
	add("empty secret", header, strings.ReplaceAll(body, `"secret":""`, `"secret":"x"`), bad)
	if kind == senders.Meraki {
		add("no secret", http.Header{}, strings.ReplaceAll(body, `"secret":"",`, ""), missing)
		add("secret in the wrong place", http.Header{}, fmt.Sprintf(`{"data":{"secret":%q},%s`, cafeSecret, strings.ReplaceAll(body[1:], `"secret":"",`, "")), missing)
		return all
	}
	add("no signature", http.Header{}, body, missing)
	add("signature of another body", other, body, bad)
	add("signature that is none", http.Header{signatures[kind]: {"sha256=zz"}}, body, bad)
	return all
}

func oversized(t *testing.T, kind string, now time.Time) (all []hostile) {
	t.Helper()
	body := genuine(kind, now)
	all = append(all, signed(kind, "7 MB", body+strings.Repeat(" ", 7<<20), http.StatusRequestEntityTooLarge, ""))
	bomb := signed(kind, "a bomb of 64 MB", body, http.StatusRequestEntityTooLarge, "too-large")
	bomb.body = packed(t, make([]byte, 64<<20))
	bomb.header.Set("Content-Encoding", "gzip")
	bomb.header.Set("Content-Type", "application/octet-stream") // text types would be damaged on the way
	damaged := signed(kind, "packed and damaged", body, http.StatusBadRequest, "bad-encoding")
	damaged.body = packed(t, []byte(body))[:20]
	damaged.header.Set("Content-Encoding", "gzip")
	damaged.header.Set("Content-Type", "application/octet-stream")
	foreign := signed(kind, "an unknown encoding", body, http.StatusUnsupportedMediaType, "unsupported-encoding")
	foreign.header.Set("Content-Encoding", "br")
	many := strings.Repeat(body, 60_000)
	if kind != senders.Hostapd {
		many = list[kind][0] + "[" + strings.Repeat("1,", 60_000) + "1]" + list[kind][1]
	}
	return append(all, bomb, damaged, foreign, signed(kind, "60,000 records", many, http.StatusRequestEntityTooLarge, "too-many-records"))
}

func outOfTime(kind string, now time.Time) []hostile {
	if kind == senders.Mist { // has the time of its arrival
		return nil
	}
	skew := func(name string, by time.Duration) hostile {
		return signed(kind, name, genuine(kind, now.Add(by)), http.StatusUnprocessableEntity, "clock-skew")
	}
	return []hostile{skew("of tomorrow", 24*time.Hour), skew("of a year ahead", 365*24*time.Hour), skew("of yesterday", -24*time.Hour)}
}

func malformed(kind string, now time.Time) (all []hostile) {
	body := genuine(kind, now)
	bad := func(name, body, code string) {
		all = append(all, signed(kind, name, body, http.StatusBadRequest, code))
	}
	before, after := list[kind][0], list[kind][1]
	bad("half of it", body[:len(body)/2], "bad-json")
	bad("without its last byte", body[:len(body)-1], "bad-json")
	bad("with something behind it", body+"{}", "bad-json")
	bad("a byte of zero", strings.Replace(body, `":`, "\x00\":", 1), "bad-json")
	bad("a list that is text", before+`"none"`+after, "wrong-shape")
	bad("a list that is a number", before+`-1`+after, "wrong-shape")
	bad("a list that is an object", before+`{}`+after, "wrong-shape")
	bad("deep", before+strings.Repeat("[", 100)+strings.Repeat("]", 100)+after, "too-deep")
	bad("very deep", before+strings.Repeat(`[{"a":`, 200_000), "too-deep")
	return all
}

// elsewhere returns posts to paths that do not exist.
func elsewhere(now time.Time) (all []hostile) {
	body, header := signedPost(senders.Footfall, cafeSecret, []byte(genuine(senders.Footfall, now)))
	add := func(name, method, path string, status int, code string) {
		all = append(all, hostile{name, method, path, header, body, status, code})
	}
	for name, path := range map[string]string{
		"unknown business": "/v1/cafe-2/footfall", "unknown kind": "/v1/cafe-1/aruba", "no kind": "/v1/cafe-1/",
		"no business": "/v1//footfall", "root": "/", "no version": "/cafe-1/footfall", "another version": "/v2/cafe-1/footfall",
		"more behind it": "/v1/cafe-1/footfall/x", "dots": "/v1/../v1/cafe-1/footfall", "a slash in disguise": "/v1/cafe-1%2Ffootfall%2F",
		"the table's marker": "/v1/%2Fchanged/footfall", "the door's item": "/v1/cafe-1%2Fdoor/footfall",
		"a zero byte": "/v1/cafe-1%00/footfall", "no UTF-8": "/v1/%ff%fe/footfall", "a long business": "/v1/" + strings.Repeat("x", 5_000) + "/footfall",
	} {
		add(name, http.MethodPost, path, http.StatusNotFound, "unknown")
	}
	add("PUT", http.MethodPut, "/v1/cafe-1/footfall", http.StatusMethodNotAllowed, "method-not-allowed")
	add("DELETE", http.MethodDelete, "/v1/cafe-1/footfall", http.StatusMethodNotAllowed, "method-not-allowed")
	add("GET", http.MethodGet, "/v1/cafe-1/mist", http.StatusMethodNotAllowed, "method-not-allowed")
	add("GET of a validator that is not set", http.MethodGet, "/v1/cafe-1/meraki", http.StatusNotFound, "unknown")
	add("a path of 20 KB", http.MethodPost, "/v1/"+strings.Repeat("x", 20<<10)+"/footfall", http.StatusRequestHeaderFieldsTooLarge, "")
	huge := hostile{"11 MB", http.MethodPost, "/v1/cafe-1/footfall", header, make([]byte, 11<<20), http.StatusRequestEntityTooLarge, ""}
	return append(all, huge)
}

// Each hostile post is rejected with its code, and leaves nothing on any topic or in
// any table.
func TestHostilePostsLeaveNothingBehind(t *testing.T) {
	s := openShop(t, func(o *local.Options) { o.Environments = 1 }) // each environment remembers accepted posts
	now := time.Now().UTC()
	first := []byte(genuine(senders.Footfall, now))
	s.must(t, senders.Footfall, first)
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := s.everything(t)
	posts := append(hostilePosts(t, now), signed(senders.Footfall, "the same again", string(first), http.StatusConflict, "already-taken"))
	if len(posts) < 100 {
		t.Errorf("%d posts are no hundred", len(posts))
	}
	for _, p := range posts {
		a, err := s.send(t.Context(), p.method, p.path, p.header, p.body)
		if err != nil || a.status != p.status || a.code() != p.code {
			t.Errorf("%s: %d %.200s (%v), want %d %s", p.name, a.status, a.body, err, p.status, p.code)
		}
		if p.code == "" && !json.Valid([]byte(a.body)) {
			t.Errorf("%s: the answer is no JSON: %.200s", p.name, a.body)
		}
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := s.everything(t); after != before {
		t.Errorf("something is left behind:\n%s\nwas before\n%s", after, before)
	}
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range stats {
		if st.Stage == pipeline.Ingest && (st.Rejected != int64(len(posts)) || st.Errors != 0 || st.Restarts != 0) {
			t.Errorf("%+v, want %d rejected, no errors and no restart", st, len(posts))
		}
	}
	t.Logf("%d hostile posts", len(posts))
}

// everything writes down all records of all topics and all items of all tables.
func (s *shop) everything(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, topic := range events.Topics() {
		for _, r := range readTopic(t, s.Stack, topic.Name) {
			fmt.Fprintf(&b, "%s %q %q %q\n", topic.Name, r.Key, r.Value, r.Headers)
		}
	}
	for _, i := range s.items(t) {
		fmt.Fprintf(&b, "%v\n", i)
	}
	return b.String()
}

// items returns all items of all tables as JSON.
func (s *shop) items(t *testing.T) (all []string) {
	t.Helper()
	for _, table := range pipeline.Default().Tables {
		pages := dynamodb.NewScanPaginator(s.TableClient(), &dynamodb.ScanInput{TableName: aws.String(s.TablePrefix() + table.Name)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range page.Items {
				all = append(all, table.Name+" "+written(&types.AttributeValueMemberM{Value: i}))
			}
		}
	}
	return all
}

// written returns an attribute as readable text, with bytes unchanged.
func written(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberM:
		text := ""
		for _, name := range slices.Sorted(maps.Keys(v.Value)) {
			text += name + "=" + written(v.Value[name]) + " "
		}
		return text
	case *types.AttributeValueMemberL:
		text := ""
		for _, e := range v.Value {
			text += written(e) + " "
		}
		return text
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	case *types.AttributeValueMemberB:
		return string(v.Value)
	case *types.AttributeValueMemberSS:
		return strings.Join(v.Value, " ")
	case *types.AttributeValueMemberBS:
		return string(bytes.Join(v.Value, []byte(" ")))
	default:
		return fmt.Sprintf("%+v", v)
	}
}
