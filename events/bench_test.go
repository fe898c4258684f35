package events

import (
	"encoding/json"
	"testing"
	"time"
)

func benchSighting() Sighting {
	return Sighting{
		Business: "cafe-1", Sensor: "cafe-1-door", Device: "k3Jw0fUyZr5nQm8sTq1vXA",
		RSSI: -61, SeenAt: time.Date(2026, 11, 2, 10, 0, 30, 0, time.UTC), Associated: true,
	}
}

func benchDecode(b *testing.B, value []byte) {
	s := benchSighting()
	key := DeviceKey(s.Business, s.Device)
	var into SightingsRecord
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodeSightings(key, value, &into); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(value)), "value-bytes")
}

func BenchmarkDecodeSightingsAvro(b *testing.B) {
	s := benchSighting()
	value, err := Encode(nil, &s)
	if err != nil {
		b.Fatal(err)
	}
	benchDecode(b, value)
}

func BenchmarkDecodeSightingsJSON(b *testing.B) {
	value, err := json.Marshal(benchSighting())
	if err != nil {
		b.Fatal(err)
	}
	benchDecode(b, value)
}

func BenchmarkEncodeSighting(b *testing.B) {
	s := benchSighting()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = Encode(buf[:0], &s); err != nil {
			b.Fatal(err)
		}
	}
}
