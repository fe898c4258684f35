package ingest

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	apigw "github.com/aws/aws-lambda-go/events"

	"footfall/events"
	"footfall/shared/ingest/senders"
)

// ownSighting and ownLogin are the records of Footfall's own format.
type ownSighting struct {
	Router     string    `json:"router"`
	MAC        string    `json:"mac"`
	RSSI       int       `json:"rssi_dbm"`
	SeenAt     time.Time `json:"seen_at"`
	Associated bool      `json:"associated,omitempty"`
}

type ownLogin struct {
	MAC     string    `json:"mac"`
	Contact string    `json:"contact"`
	At      time.Time `json:"at"`
}

type ownPost struct {
	Sightings []ownSighting `json:"sightings,omitempty"`
	Logins    []ownLogin    `json:"logins,omitempty"`
}

// The MAC addresses of most tests: one assigned by a vendor, a randomised one, and
// a router's.
const (
	vendorMAC = "00:1b:63:84:45:e6"
	randomMAC = "da:a1:19:00:00:01"
	doorMAC   = "a8:46:9d:00:00:63"
)

// body returns a post in Footfall's own format.
func body(t testing.TB, p ownPost) []byte {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// postOwn posts a well-formed body in Footfall's own format.
func (h *harness) postOwn(t testing.TB, b events.BusinessID, p ownPost) reply {
	t.Helper()
	text := body(t, p)
	r := apigw.APIGatewayV2HTTPRequest{RawPath: pathTo(b, senders.Footfall), Body: string(text), Headers: signed(senders.Footfall, secret, text)}
	r.RequestContext.HTTP.Method = http.MethodPost
	checkRequest(t, r)
	return h.post(t, b, senders.Footfall, text)
}

// sightingOf returns a sighting of a device a minute before noon.
func sightingOf(mac string) ownSighting {
	return ownSighting{Router: doorMAC, MAC: mac, RSSI: -58, SeenAt: noon.Add(-time.Minute)}
}
