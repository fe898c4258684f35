package senders

import (
	"fmt"
	"strings"
	"testing"
)

// benchClients is the number of devices in a post of the benchmarks.
const benchClients = 100

// merakiPositions names a post of Meraki's in which each device has three positions
// with three routers each: 100 KB, as in Meraki's documentation. A network without
// a floor plan posts as under Meraki.
const merakiPositions = Meraki + " with positions"

// BenchmarkParse reads a post of 100 devices as each make sends it.
func BenchmarkParse(b *testing.B) {
	for _, name := range append(Kinds(), merakiPositions) {
		b.Run(name, func(b *testing.B) {
			kind, _, _ := strings.Cut(name, " ")
			body, at, s := benchBody(name), arrival(b), formatOf(b, kind)
			p, err := s.Parse(body, at)
			if err != nil || len(p.Observations) < benchClients || p.LeftOut != nil {
				b.Fatal(describe(p), err)
			}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Parse(body, at); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
			b.ReportMetric(float64(b.N*len(p.Observations))/b.Elapsed().Seconds(), "sightings/s")
		})
	}
}

// BenchmarkVerify measures the cost of rejecting a sender without the secret, with
// the same bodies.
func BenchmarkVerify(b *testing.B) {
	for _, kind := range Kinds() {
		b.Run(kind, func(b *testing.B) {
			body, s, secrets := benchBody(kind), formatOf(b, kind), []string{"one secret", "and another"}
			header := func(string) string { return strings.Repeat("00", 32) }
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if s.Verify(header, body, secrets) == nil {
					b.Fatal("Verify accepted a wrong signature or secret")
				}
			}
		})
	}
}

// The parts of a post of Meraki's.
const (
	merakiHead     = `{"version":"3.0","secret":"s","type":"WiFi","data":{"networkId":"L_1","observations":[`
	merakiPosition = `{"x":1.25,"lng":-0.0699035,"rssiRecords":[{"apMac":"00:00:5e:00:53:f1","rssi":-60},` +
		`{"apMac":"00:00:5e:00:53:f2","rssi":-71},{"apMac":"00:00:5e:00:53:f3","rssi":-80}],"variance":1.5,` +
		`"floorPlanId":"g_1","floorPlanName":"Ground","time":"2026-11-21T10:00:05Z","lat":51.5355157,"y":2.5}`
	merakiRest = `"ipv4":"192.0.2.10","ssid":"Guests","os":"Generic","clientMac":"02:00:5e:00:53:%02x","latestRecord":` +
		`{"time":"2026-11-21T10:00:06Z","nearestApMac":"00:00:5e:00:53:f%d","nearestApRssi":-60},"ipv6":null,"manufacturer":"Example"}`
)

// benchBody returns a post of benchClients devices, each heard by one of four
// routers.
func benchBody(name string) []byte {
	formats := map[string][3]string{
		Meraki:          {merakiHead, `{"locations":[],` + merakiRest, `]}}`},
		merakiPositions: {merakiHead, `{"locations":[` + strings.TrimSuffix(strings.Repeat(merakiPosition+",", 3), ",") + `],` + merakiRest, `]}}`},
		CloudTrax: {
			`{"network_id":1,"node_mac":"00:00:5e:00:53:f1","version":1,"probe_requests":[`,
			`{"mac":"02:00:5e:00:53:%02x","count":11,"min_signal":-77,"max_signal":-36,"avg_signal":-55,"last_seen_signal":-7%d,` +
				`"first_seen":1795255205,"last_seen":1795255228,"associated":false}`,
			`]}`,
		},
		Mist: {
			`{"topic":"wifi-unconn-raw","events":[`,
			`{"client_id":"02-00-5e-00-53-%02x","ap_id":"00-00-5e-00-53-f%d","ap_loc":[36.03,43.57,2.75],"connected_site":false,` +
				`"mapid":"bd42f0c3-2e6a-4f8a-ac2d-d34e268c1418","packets":[{"band":"5GHz","rssi":-94.333336},{"band":"2.4GHz","rssi":-80}]}`,
			`]}`,
		},
		Footfall: {
			`{"sightings":[`,
			`{"mac":"02:00:5e:00:53:%02x","router":"door-%d","rssi_dbm":-60,"seen_at":"2026-11-21T10:00:05.250Z","associated":true}`,
			`]}`,
		},
		Hostapd: {``, "2026-11-21T11:00:09+01:00 ap-till hostapd: wlan1: RX-PROBE-REQUEST sa=02:00:5e:00:53:%02x signal=-6%d\n", ``},
	}
	f := formats[name]
	records := make([]string, benchClients)
	for i := range records {
		records[i] = fmt.Sprintf(f[1], i, i%4)
	}
	between := ","
	if name == Hostapd {
		between = ""
	}
	return []byte(f[0] + strings.Join(records, between) + f[2])
}
