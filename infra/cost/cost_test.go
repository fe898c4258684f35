package main

import (
	"math"
	"testing"
	"time"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

func about(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.005*max(math.Abs(want), 0.01) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// Key cafe-1/ and 22 characters: 29. Value: 10 of frame; 7, 3 and 23 of
// business, sensor and device with their lengths; 1 of RSSI, 6 of time, 2 flags, and 1 of no session.
func TestBytesOfASighting(t *testing.T) {
	about(t, "a sighting in Kafka", kafkaBytes(), 29+53+9)
	key, value := sample()
	if s := (events.SightingsRecord{}); events.DecodeSightings(key, value, &s) != nil || s.Sighting.RSSI != -61 {
		t.Error("the sample is no sighting")
	}
}

func TestItemUnits(t *testing.T) {
	for _, tt := range []struct{ sightings, want float64 }{
		{0, 1},    // the head alone
		{156, 1},  // 78 + 846 bytes
		{200, 2},  // 78 + 1,085
		{1000, 6}, // 78 + 5,424: 6,000 units a million, 5,900 in the simulation
		{1250, 7}, // 78 + 6,780
	} {
		about(t, "units of an item", itemUnits(tt.sightings), tt.want)
	}
}

func detectMapping(t *testing.T) pipeline.Mapping {
	t.Helper()
	s, ok := pipeline.Default().Stage(pipeline.Detect)
	if !ok || s.Reads[0].BatchSize != 5000 || s.Reads[0].Window != time.Second {
		t.Fatal("detect is not what the cases below were computed for")
	}
	return s.Reads[0]
}

func TestPoll(t *testing.T) {
	provisioned := settings.Size{Pollers: settings.Pollers{Sightings: 1, Max: 32}}
	eight := settings.Size{Pollers: settings.Pollers{Sightings: 8, Max: 32}}
	two := settings.Size{Partitions: 2}
	m := detectMapping(t)
	for _, tt := range []struct {
		name    string
		size    settings.Size
		records float64
		want    polled
	}{
		{"a full batch a second from every partition", provisioned, 5000, polled{5000, 1, 32, 5000, 32}},
		{"full batches, the pollers share the partitions", eight, 100_000, polled{100_000, 8, 32, 5000, 4}},
		{"what a second brings", two, 100, polled{100, 1, 2, 100, 2}},
		{"less than one a second goes alone", provisioned, 0.1, polled{0.1, 1, 32, 1, 1}},
		{"a poller more for every 5 MB/s", provisioned, 50_000, polled{50_000, 3, 32, 5000, 32.0 / 3}},
		{"never more pollers than partitions", settings.Size{Partitions: 2, Pollers: settings.Pollers{Sightings: 8, Max: 32}}, 100, polled{100, 2, 2, 50, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := poll(m, tt.size, tt.records); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestUnits(t *testing.T) {
	on, off := settings.Size{Pollers: settings.Pollers{Sightings: 1, Max: 2}}, settings.Size{}
	for _, tt := range []struct {
		name           string
		size           settings.Size
		pollers, bytes float64
		want           float64
	}{
		{"five mappings share one", on, 5, 0, 1},
		{"ten fit", on, 10, 19e6, 1},
		{"eleven do not", on, 11, 0, 2},
		{"20 MB/s each", on, 5, 41e6, 3},
		{"pollers on demand cost nothing", off, 5, 41e6, 0},
	} {
		t.Run(tt.name, func(t *testing.T) { about(t, "units", units(tt.size, tt.pollers, tt.bytes), tt.want) })
	}
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		stage   string
		records float64
		want    time.Duration
	}{
		{pipeline.Detect, 5000, 30365 * time.Microsecond}, // 20 ms and 5,000 x 1.2 us at 58 % of a core
		{pipeline.Identify, 10, 600 * time.Millisecond},   // record by record
		{pipeline.Enrich, 17, 100 * time.Millisecond},     // two rounds of 16 at once
		{pipeline.Count, 16, 40 * time.Millisecond},
		{pipeline.Tick, 0, 20 * time.Millisecond},
		{pipeline.Ingest, 100, 10864 * time.Microsecond}, // 10 ms and 100 x 5 us at 58 % of a core
	} {
		s, _ := pipeline.Default().Stage(tt.stage)
		about(t, tt.stage, duration(s, tt.records).Seconds(), tt.want.Seconds())
	}
}

func lineOf(t *testing.T, items []Item, what string) float64 {
	t.Helper()
	for _, i := range items {
		if i.What == what {
			return i.USD
		}
	}
	t.Fatalf("no line %q in %v", what, items)
	return 0
}

// The fixed cost of an hour, computed by hand.
func TestIdleBills(t *testing.T) {
	serverless := bill(settings.Size{Cluster: settings.Serverless, Partitions: 2}, 0)
	about(t, "Serverless", lineOf(t, serverless, "MSK Serverless, cluster"), 730*0.75)
	about(t, "32 partitions", lineOf(t, serverless, "MSK Serverless, 32 partitions"), 730*32*0.0015)
	about(t, "three endpoints in one zone", lineOf(t, serverless, "interface endpoints"), 730*3*0.01)
	about(t, "nothing is posted", lineOf(t, serverless, "HTTP API, requests"), 0)
	about(t, "pollers on demand", lineOf(t, serverless, "pollers (EPUs)"), 0)
	express := bill(settings.Size{
		Cluster: settings.Express, BrokerType: "express.m7g.large", Brokers: 3, Pollers: settings.Pollers{Sightings: 1, Max: 8},
	}, 0)
	about(t, "three brokers", lineOf(t, express, "MSK Express, 3 express.m7g.large"), 730*3*0.408)
	about(t, "one unit of pollers", lineOf(t, express, "pollers (EPUs)"), 730*0.185)
	about(t, "one endpoint in three zones", lineOf(t, express, "interface endpoints"), 730*3*0.01)
	// An item for each of 32 partitions a minute.
	about(t, "ticks in the log", lineOf(t, express, "DynamoDB, writes of visit-log"), 730*60*32*0.625e-6)
}

// 1,000 sightings a second for 12 hours a day. In addition to 91 bytes each, there
// are 180 bytes for every CRM event, walk-in, end and enriched walk-in, twice: 1,513
// of 152,276.
func TestBillOfAThousandASecond(t *testing.T) {
	size := settings.Size{
		Cluster: settings.Express, BrokerType: "express.m7g.large", Brokers: 3, Pollers: settings.Pollers{Sightings: 1, Max: 8},
	}
	items := bill(size, 1000)
	perDay := 1000.0 * 12 * 3600
	kept := 91 + 180*1513.0/152_276
	about(t, "90 days in Kafka", lineOf(t, items, keptLine), perDay*90*kept/1e9*0.10)
	written := kept + 180*760.0/152_276 // owners and counts are compacted, but written
	about(t, "written", lineOf(t, items, trafficLine), perDay*730/24*written/1e9*0.01)
	// A batch a second of all 32 partitions, 31 sightings each: one unit an item.
	// The other half of the day has only ticks.
	about(t, "visit-log", lineOf(t, items, "DynamoDB, writes of visit-log"), 365*3600*(32+32/60.0)*0.625e-6)
	writes := 440*2.14 + 377*1.3 + 376 + 2*160
	about(t, "other writes", lineOf(t, items, "DynamoDB, other writes"), perDay*730/24*writes/152_276*0.625e-6)
	// Two queries for each of the two counts of a visit. Reads of settings: one a
	// second by detect, one every 20 seconds by ingest, one a minute at night.
	reads, looks := 440*5.0+377*2+320*2, 365*3600*(1+0.05+1/60.0)
	about(t, "reads", lineOf(t, items, "DynamoDB, reads"), (perDay*730/24*reads/152_276+looks)*0.125e-6)
}

// 1,000 sightings a second are ten posts, for 365 hours.
func TestBillOfPosts(t *testing.T) {
	size, _ := settings.SizeByName("small")
	const posts = 10 * 365 * 3600.0
	about(t, "posts", lineOf(t, bill(size, 1000), "HTTP API, requests"), posts*1e-6)
	about(t, "as many as the first price is for", requests(300e6), 300)
	about(t, "a billion", requests(1e9), 300+700*0.9)
	with, without := usageAt(size, 1000), usageAt(size, 0)
	if with.Posts != 10 || without.Posts != 0 {
		t.Errorf("%v posts a second, %v where nobody is heard", with.Posts, without.Posts)
	}
	var own usage
	ingest, _ := pipeline.Default().Stage(pipeline.Ingest)
	own.invoke(ingest, 10, settings.SightingsPerPost, postLog+accessLog)
	about(t, "log of ten posts", own.Logs, 10*(280+80))
	about(t, "ten posts at 1 GB", own.GBSeconds, 10*0.010864)
	about(t, "traces of posts", own.Traces, 0)
	own = usage{}
	detect, _ := pipeline.Default().Stage(pipeline.Detect)
	own.invoke(detect, 10, 100, 500)
	about(t, "log of ten events", own.Logs, 10*(800+500))
	about(t, "one traced, and one of twenty others", own.Traces, 1+9*0.05)
}

// An environment reads the table every 20 seconds, and no more often than it is
// invoked.
func TestLooksAtBusinesses(t *testing.T) {
	for _, tt := range []struct {
		name                string
		invocations, atOnce float64
		want                float64
	}{
		{"a busy environment", 50, 0.7, 1.0 / 20},
		{"32 of them", 320, 32, 32.0 / 20},
		{"once a minute", 1.0 / 60, 1, 1.0 / 60},
		{"nothing to do", 0, 0, 0},
	} {
		var u usage
		if u.look(tt.invocations, tt.atOnce); u.Reads != tt.want {
			t.Errorf("%s: %v reads a second, want %v", tt.name, u.Reads, tt.want)
		}
	}
}

// No line falls as the rate grows, and no size's bill is a broken number.
func TestBillsGrow(t *testing.T) {
	for _, size := range settings.Sizes() {
		var former []Item
		for _, share := range []float64{0, 0.001, 0.01, 0.1, 0.5, 1} {
			items := bill(size, float64(size.SightingsPerSecond)*share)
			for i := range items {
				if usd := items[i].USD; math.IsNaN(usd) || math.IsInf(usd, 0) || usd < 0 {
					t.Errorf("%s at %v: %s is %v", size.Name, share, items[i].What, usd)
				}
			}
			if former != nil && total(items) < total(former) {
				t.Errorf("%s costs %v at %v, less than %v before", size.Name, total(items), share, total(former))
			}
			former = items
		}
	}
}

// The brokers must carry the rate of the size with one of three zones down. An
// Express broker of the smallest type takes 15.6 MB/s in, 31.2 out (Amazon MSK
// developer guide, "Amazon MSK Express broker quota").
func TestBrokersCarryTheRate(t *testing.T) {
	in := map[string]float64{"express.m7g.large": 15.6e6}
	for _, size := range settings.Sizes() {
		if size.Cluster != settings.Express {
			continue
		}
		u := usageAt(size, float64(size.SightingsPerSecond))
		left := float64(size.Brokers) * 2 / 3 * in[size.BrokerType]
		if u.KafkaIn > left || u.KafkaOut > 2*left {
			t.Errorf("%s: %.1f MB/s in, %.1f out, and two zones carry %.1f in", size.Name, u.KafkaIn/1e6, u.KafkaOut/1e6, left/1e6)
		}
	}
}
