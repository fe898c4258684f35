package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"footfall/shared/ingest/senders"
	"footfall/shared/stage"
)

// merakiPost returns a post of Meraki's of n clients, each with positions and the
// signal at three routers, as in a network with a floor plan: over 1 KB a client.
func merakiPost(n int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"version":"3.0","secret":%q,"type":"WiFi","data":{"networkId":"N_%08d","observations":[`, secret, 0)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		mac := fmt.Sprintf("%02x:1b:63:84:%02x:%02x", 2*(i%2), i/256, i%256)
		fmt.Fprintf(&b, `{"clientMac":%q,"ipv4":"192.0.2.%d","ipv6":null,"ssid":null,"os":null,"manufacturer":"Maker of phones and tablets","recentDeviceConnection":null,`, mac, i%250)
		at := noon.Add(-time.Duration(i%50) * time.Second)
		fmt.Fprintf(&b, `"latestRecord":{"time":%q,"nearestApMac":%q,"nearestApRssi":-%d},"locations":[`, at.Format(time.RFC3339), doorMAC, 50+i%40)
		for j := range 2 {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"lat":52.5200%04d,"lng":13.4050%04d,"variance":3.141592653589793,"x":12.34567,"y":NaN,"floorPlan":{"id":"g_1","name":"Ground floor","x":12.3,"y":4.5},"time":%q,"nearestApTags":["recently-added","door"],"rssiRecords":[`,
				i, i, at.Add(-time.Duration(j)*time.Second).Format(time.RFC3339))
			for k := range 3 {
				if k > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, `{"apMac":"a8:46:9d:00:00:%02x","rssi":-%d}`, k, 50+i%40+k)
			}
			b.WriteString(`]}`)
		}
		b.WriteString(`]}`)
	}
	b.WriteString(`]}}`)
	return []byte(b.String())
}

// BenchmarkMeraki accepts posts of 100 clients one after the other, as one
// environment does; run it with -cpu 1. It runs with brokers on the same processor,
// and without any broker.
func BenchmarkMeraki(b *testing.B) {
	b.Run("to kfake", func(b *testing.B) { benchmarkMeraki(b, newHarness(b)) })
	b.Run("to no broker", func(b *testing.B) {
		h := newHarness(b)
		h.Out = producerFunc(func(context.Context, []stage.Record) error { return nil })
		benchmarkMeraki(b, h)
	})
}

func benchmarkMeraki(b *testing.B, h *harness) {
	text := merakiPost(100)
	if len(text) < 100_000 {
		b.Fatalf("the post has only %d bytes, want 100,000", len(text))
	}
	h.Log = slog.New(slog.DiscardHandler)
	payload := must(json.Marshal(newRequest("POST", pathTo(cafe, senders.Meraki), map[string]string{"Content-Type": "application/json"}, text)))
	number := bytes.Index(payload, []byte("N_00000000")) + 2
	sightings := 0
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		copy(payload[number:], fmt.Sprintf("%08d", i)) // no repetition of an accepted body
		out, err := h.Invoke(b.Context(), payload)
		if err != nil {
			b.Fatal(err)
		}
		var response struct{ Body string }
		var answer struct{ Accepted int }
		if json.Unmarshal(out, &response) != nil || json.Unmarshal([]byte(response.Body), &answer) != nil || answer.Accepted < 100 {
			b.Fatalf("got %s", out)
		}
		sightings += answer.Accepted
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
	b.ReportMetric(float64(sightings)/b.Elapsed().Seconds(), "sightings/s")
}
