package ingest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apigw "github.com/aws/aws-lambda-go/events"

	"footfall/events"
	"footfall/shared/ingest/senders"
)

// attack is a request that must be rejected, with this status and one of codes.
type attack struct {
	name    string
	request apigw.APIGatewayV2HTTPRequest
	status  int
	codes   []string
}

// newRequest returns a request as an HTTP API passes it on.
func newRequest(method, path string, header map[string]string, body []byte) apigw.APIGatewayV2HTTPRequest {
	r := apigw.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: path, Headers: map[string]string{}, Body: string(body)}
	for name, value := range header {
		r.Headers[strings.ToLower(name)] = value
	}
	r.RequestContext.HTTP.Method = method
	return r
}

// withHeader returns header with one field more.
func withHeader(header map[string]string, name, value string) map[string]string {
	header = maps.Clone(header)
	header[name] = value
	return header
}

// validBody returns the body of a post of a kind that is accepted with one sighting.
func validBody(kind string) []byte {
	seconds := noon.Add(-time.Minute).Unix()
	text := map[string]string{
		senders.Meraki: fmt.Sprintf(`{"secret":%q,"version":"3.0","type":"WiFi","data":{"networkId":"N_1","observations":[{"clientMac":%q,"latestRecord":{"time":%q,"nearestApMac":%q,"nearestApRssi":-60},"locations":[]}]}}`,
			secret, vendorMAC, noon.Add(-time.Minute).Format(time.RFC3339), doorMAC),
		senders.CloudTrax: fmt.Sprintf(`{"network_id":1,"node_mac":%q,"version":1,"probe_requests":[{"mac":%q,"count":2,"min_signal":-70,"max_signal":-60,"avg_signal":-65,"last_seen_signal":-61,"first_seen":%d,"last_seen":%d,"associated":false}]}`,
			doorMAC, vendorMAC, seconds, seconds),
		senders.Mist:     fmt.Sprintf(`{"topic":"wifi-unconn-raw","events":[{"ap_id":%q,"client_id":%q,"packets":[{"rssi":-61.5}]}]}`, doorMAC, vendorMAC),
		senders.Hostapd:  fmt.Sprintf("%s ap-door hostapd: wlan0: AP-STA-CONNECTED %s\n", noon.Add(-time.Minute).Format(time.RFC3339), vendorMAC),
		senders.Footfall: fmt.Sprintf(`{"sightings":[{"router":%q,"mac":%q,"rssi_dbm":-60,"seen_at":%d}]}`, doorMAC, vendorMAC, seconds),
	}
	return []byte(text[kind])
}

func gzipped(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body)
	_ = z.Close()
	return b.Bytes()
}

// inBase64 returns a request as an HTTP API passes on a body that is not text.
func inBase64(r apigw.APIGatewayV2HTTPRequest) apigw.APIGatewayV2HTTPRequest {
	r.Body, r.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(r.Body)), true
	return r
}

// attacks returns the attacks on a kind.
func attacks(kind string) (all []attack) {
	add := func(name string, r apigw.APIGatewayV2HTTPRequest, status int, codes ...string) {
		all = append(all, attack{kind + ": " + name, r, status, codes})
	}
	path, body := pathTo(cafe, kind), validBody(kind)
	header := signed(kind, secret, body)
	post := func(header map[string]string, body []byte) apigw.APIGatewayV2HTTPRequest {
		return newRequest(http.MethodPost, path, header, body)
	}
	// a bad body that its sender signed
	ours := func(body string) apigw.APIGatewayV2HTTPRequest {
		return post(signed(kind, secret, []byte(body)), []byte(body))
	}

	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodHead, http.MethodOptions, http.MethodTrace, "", "post", "BREW"} {
		add("method "+method, newRequest(method, path, header, body), 405, "method-not-allowed")
	}
	for _, b := range []events.BusinessID{"nobody", "cafe-2", "CAFE-1", "cafe-1 "} {
		add("business "+string(b), newRequest(http.MethodPost, pathTo(b, kind), header, body), 404, "unknown")
	}
	if kind != senders.Footfall {
		add("a business without a sender of the kind", newRequest(http.MethodPost, pathTo(gym, kind), header, body), 404, "unknown")
	}
	for _, other := range []string{"x" + kind, kind + "%00", strings.ToUpper(kind)} {
		add("kind "+other, newRequest(http.MethodPost, pathTo(cafe, other), header, body), 404, "unknown")
	}
	for _, encoding := range []string{"br", "deflate", "gzip, gzip", "zstd", strings.Repeat("gzip", 2000)} {
		add("encoding "+encoding[:2], post(withHeader(header, "Content-Encoding", encoding), body), 415, "unsupported-encoding")
	}
	zipped := gzipped(body)
	zip := withHeader(header, "Content-Encoding", "gzip")
	damaged := slices.Clone(zipped)
	damaged[len(damaged)-6] ^= 1
	add("gzip that is none", post(zip, body), 400, "bad-encoding")
	add("gzip that ends early", inBase64(post(zip, zipped[:len(zipped)-9])), 400, "bad-encoding")
	add("gzip with a wrong checksum", inBase64(post(zip, damaged)), 400, "bad-encoding")
	add("gzip bomb", inBase64(post(zip, gzipped(make([]byte, maxUnpacked+1)))), 413, "too-large")
	add("gzip bomb of 1 GB", inBase64(post(zip, gzipBomb())), 413, "too-large")
	wrong := inBase64(post(header, body))
	wrong.Body = "!" + wrong.Body[1:]
	add("base64 that is none", wrong, 400, "bad-encoding")
	add("over 6 MB", post(header, make([]byte, maxBody+1)), 413, "too-large")

	if kind != senders.Meraki {
		name := signatureHeader[kind]
		for _, s := range []string{
			signature("a wrong secret", body), signature("", body), signature(secret, append(slices.Clone(body), ' ')),
			header[name][:62], header[name] + "00", strings.Repeat("0", 64), strings.Repeat("zz", 32), strings.Repeat("a", 1<<20), "sha256=" + header[name], secret,
		} {
			add("signature "+s[:min(8, len(s))], post(withHeader(header, name, s), body), 401, "bad-signature")
		}
		add("no signature", post(withHeader(header, name, ""), body), 401, "no-signature")
		add("the signature of another body", post(header, bytes.ReplaceAll(body, []byte(vendorMAC), []byte(randomMAC))), 401, "bad-signature")
		add("empty", post(header, nil), 401, "bad-signature")
	}
	switch kind {
	case senders.Hostapd:
		add("too many lines", ours(strings.Repeat("\n", senders.DefaultLimits.Records)), 413, "too-many-records")
		for i, at := range []time.Duration{-2 * time.Hour, -48 * time.Hour, time.Hour} {
			add(fmt.Sprint("old or from the future ", i), ours(strings.ReplaceAll(string(body), noon.Add(-time.Minute).Format(time.RFC3339), noon.Add(at).Format(time.RFC3339))), 422, "clock-skew")
		}
	default:
		all = append(all, jsonAttacks(kind, string(body), ours)...)
	}
	return all
}

// gzipBomb returns 1 GB in 1 MB of gzip.
var gzipBomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	for range 128 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	_ = z.Close()
	// Several members of gzip in sequence are one stream.
	return bytes.Repeat(b.Bytes(), 8)
})

// jsonAttacks returns the attacks on a kind that posts JSON, with a valid signature
// or secret.
func jsonAttacks(kind, body string, ours func(string) apigw.APIGatewayV2HTTPRequest) (all []attack) {
	add := func(name, body string, status int, codes ...string) {
		all = append(all, attack{kind + ": " + name, ours(body), status, codes})
	}
	for i := 1; i < 10; i++ {
		add(fmt.Sprint("cut short ", i), body[:len(body)-i*len(body)/20], 400, "bad-json")
	}
	add("two values", body+body, 400, "bad-json")
	add("a comma too many", strings.Replace(body, "}]", "},]", 1), 400, "bad-json")
	noText := []byte(strings.Replace(body, "{", "{\xff\xfe:1,", 1))
	raw := ours(string(noText))
	all = append(all, attack{kind + ": bytes of no text", inBase64(raw), 400, []string{"bad-json"}})
	open := strings.Index(body, `[`) + 1
	add("deep arrays", body[:open]+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+body[open-1:], 400, "too-deep")
	add("deep objects", body[:open]+strings.Repeat(`{"a":`, 20)+"1"+strings.Repeat("}", 20)+","+body[open:], 400, "too-deep")
	add("too many records", body[:open]+strings.Repeat("0,", senders.DefaultLimits.Records)+body[open:], 413, "too-many-records")
	// The array that the format is about has another type, or is missing.
	name := map[string]string{senders.Meraki: "observations", senders.CloudTrax: "probe_requests", senders.Mist: "events", senders.Footfall: "sightings"}[kind]
	for i, value := range []string{"null", "{}", `"a"`, "1", "true"} {
		add(fmt.Sprint("wrong type ", i), retyped(body, name, value), 400, "wrong-shape")
	}
	add("no array", strings.Replace(body, `"`+name+`"`, `"x`+name+`"`, 1), 400, "wrong-shape")
	old := noon.Add(-time.Minute)
	if kind != senders.Mist { // which has no times
		for i, off := range []time.Duration{-2 * time.Hour, -48 * time.Hour, -20 * 365 * 24 * time.Hour, 10 * time.Minute, 24 * time.Hour, 50 * 365 * 24 * time.Hour} {
			at := noon.Add(off)
			late := strings.NewReplacer(old.Format(time.RFC3339), at.Format(time.RFC3339), fmt.Sprint(old.Unix()), fmt.Sprint(at.Unix())).Replace(body)
			add(fmt.Sprint("old or from the future ", i), late, 422, "clock-skew")
		}
	}
	switch kind {
	case senders.Meraki:
		add("wrong secret", strings.Replace(body, secret, "a wrong secret", 1), 401, "bad-secret")
		add("empty secret", strings.Replace(body, secret, "", 1), 401, "no-secret", "bad-secret")
		add("no secret", strings.Replace(body, `"secret"`, `"sekret"`, 1), 401, "no-secret")
		add("secret elsewhere", `{"data":`+body+`}`, 401, "no-secret")
		add("secret of another type", strings.Replace(body, fmt.Sprintf("%q", secret), "[1]", 1), 401, "no-secret", "bad-secret")
		add("huge secret", strings.Replace(body, secret, strings.Repeat("s", 1<<20), 1), 401, "bad-secret")
		add("version", strings.Replace(body, "3.0", "4.0", 1), 422, "unknown-version")
		add("type", strings.Replace(body, "WiFi", "Zigbee", 1), 422, "unknown-type")
	case senders.Mist:
		add("no topic", strings.Replace(body, "wifi-unconn-raw", "", 1), 422, "unknown-type")
	}
	return all
}

// retyped returns body with another value for one field.
func retyped(body, name, value string) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(body), &fields) != nil {
		return ""
	}
	if data, ok := fields["data"]; ok {
		fields["data"] = json.RawMessage(retyped(string(data), name, value))
	} else {
		fields[name] = json.RawMessage(value)
	}
	return string(must(json.Marshal(fields)))
}

// Every attack is answered with a clear error and has no effect: no record is
// stored, and the valid post is accepted afterwards.
func TestHostilePosts(t *testing.T) {
	h := newHarness(t)
	var all []attack
	for _, kind := range senders.Kinds() {
		all = append(all, attacks(kind)...)
	}
	if len(all) < 100 {
		t.Fatalf("got %d cases, want at least 100", len(all))
	}
	t.Logf("%d cases", len(all))
	unknowns := map[string]bool{}
	for _, a := range all {
		got := h.invoke(t, a.request)
		if got.status != a.status || !slices.Contains(a.codes, got.code) || got.message == "" {
			t.Errorf("%s: got %d %.300s, want %d %v", a.name, got.status, got.body, a.status, a.codes)
		}
		if got.status == http.StatusNotFound {
			unknowns[got.body+fmt.Sprint(got.header)] = true
		}
		kind, _, _ := strings.Cut(a.name, ":")
		if allow := got.header.Get("Allow"); got.status == http.StatusMethodNotAllowed && allow != allowedMethods(kind).String() {
			t.Errorf("%s: Allow is %q", a.name, allow)
		}
		if line := h.log.last(t); line["code"] != got.code || line["status"] != float64(got.status) || line["accepted"] != 0.0 {
			t.Errorf("%s: logged %v", a.name, line)
		}
	}
	if len(unknowns) != 1 {
		t.Errorf("got %d different replies with 404, want 1: %v", len(unknowns), unknowns)
	}
	h.wantNothingStored(t)
	for _, kind := range senders.Kinds() {
		if got := h.post(t, cafe, kind, validBody(kind)); got.status != http.StatusOK || got.accepted != 1 {
			t.Errorf("%s: the valid post: got %d %s, want 200", kind, got.status, got.body)
		}
	}
}

// An unusable record is left out and does not affect the others of the post.
func TestPostWithUnusableRecords(t *testing.T) {
	h := newHarness(t)
	text := fmt.Sprintf(`{"unknown":[1,{}],"sightings":[null,1,"x",[],{},{"router":%q,"mac":%q,"rssi_dbm":"-60","seen_at":"%d","userId":"a"},
		{"router":%q,"mac":"zz","rssi_dbm":-60,"seen_at":%d},{"router":%q,"mac":%q,"rssi_dbm":20,"seen_at":%d}]}`,
		doorMAC, vendorMAC, noon.Unix(), doorMAC, noon.Unix(), doorMAC, vendorMAC, noon.Unix())
	a := h.post(t, cafe, senders.Footfall, []byte(text))
	if a.status != http.StatusOK || a.accepted != 1 || a.leftOut["bad-rssi"] != 1 || a.leftOut["bad-mac"] != 1 {
		t.Errorf("got %d %s, want 200, 1 accepted, 1 bad-rssi and 1 bad-mac", a.status, a.body)
	}
	if line := h.log.last(t); line["leftOut"].(float64) < 3 || line["business"] != string(cafe) || line["kind"] != senders.Footfall || line["bytes"] != float64(len(text)) {
		t.Errorf("logged %v", line)
	}
}

// A payload that is no request is an error of the invocation. The error does not
// quote the payload.
func TestPayloadThatIsNoRequest(t *testing.T) {
	h := newHarness(t)
	for _, payload := range []string{"", "null", "[]", `"marked"`, `{"version":"1.0","marked":1}`, `{"version":"2.0","headers":"marked"}`, `{"version":"2.0","body":{"marked":1}}`} {
		out, err := h.Invoke(t.Context(), []byte(payload))
		if err == nil || out != nil || strings.Contains(err.Error(), "marked") {
			t.Errorf("%s: got %s, %v, want an error that does not quote the payload", payload, out, err)
		}
	}
}
