package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
	"footfall/shared/stage"
)

// BenchmarkProduce sends walk-ins in calls of a thousand, one call after the other,
// to three brokers in the same process. It reports the records per second and the
// requests per call; one request per broker is the best possible value.
func BenchmarkProduce(b *testing.B) {
	c := cluster(b, topic)
	p := NewProducer(client(b, c.ListenAddrs()))
	records := make([]stage.Record, 1000)
	for i, r := range keyed(0, len(records)) {
		device := events.DeviceID(r.Key)
		value, err := events.Encode(nil, &events.WalkIn{
			ID: events.NewWalkInID("shop", device, time.UnixMilli(1.79e12)), Business: "shop", Device: device,
			StartedAt: time.UnixMilli(1.79e12), ConfirmedAt: time.UnixMilli(1.79e12 + 300_000),
		})
		if err != nil {
			b.Fatal(err)
		}
		r.Value = value
		records[i] = r
	}
	produce(b, p, records...)
	requests := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Count: -1, Observe: true})
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Produce(b.Context(), records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(records))/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(requests.Hits())/float64(b.N), "requests/call")
}
