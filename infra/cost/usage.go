package main

import (
	"math"
	"time"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// usage is the usage of a deployment in a second at a steady rate.
type usage struct {
	KafkaIn, KafkaOut float64 // bytes
	Kept              float64 // bytes times the hours that Kafka keeps them
	Units             float64 // event poller units, at that moment
	Posts             float64
	Invocations       float64
	GBSeconds         float64
	LogWrites         float64 // write units of table visit-log
	OtherWrites       float64
	Reads             float64
	LogTable          float64 // bytes written to table visit-log
	Pending           float64 // bytes written to table pending
	Logs              float64 // bytes
	Traces            float64
}

// polled describes the input of an event source mapping: Records a second, and the
// records and partitions of an invocation.
type polled struct {
	Records, Pollers, Partitions float64
	PerInvocation                float64
	PartsPerInvocation           float64
}

func (p polled) invocations() float64 {
	if p.Records == 0 {
		return 0
	}
	return p.Records / p.PerInvocation
}

// poll returns the input of a mapping at a rate of records a second. A poller waits
// for the window or a full batch, whichever is first, and has its share of the
// partitions. The number of provisioned pollers follows from the bytes.
func poll(m pipeline.Mapping, size settings.Size, records float64) polled {
	parts := partitionsOf(m.Topic, size)
	least, most := 1.0, parts // on demand, Lambda begins with one poller
	if size.Pollers.Max > 0 {
		from, to := settings.PollersOf(size.Pollers, m.Topic == events.Sightings, int32(parts))
		least, most = float64(from), float64(to)
	}
	pollers := min(max(least, math.Ceil(records*jsonBytes()/pollerBytes)), most)
	window := max(m.Window, fetchInterval).Seconds()
	full := min(float64(m.BatchSize), math.Floor(eventBytes/jsonBytes()))
	perInvocation := min(max(records/pollers*window, 1), full)
	return polled{
		Records: records, Pollers: pollers, Partitions: parts,
		PerInvocation:      perInvocation,
		PartsPerInvocation: min(perInvocation, parts/pollers),
	}
}

// units returns the number of event poller units of a deployment's only poller
// group: a unit has room for ten pollers and 20 MB/s of events.
func units(size settings.Size, pollers, bytes float64) float64 {
	if size.Pollers.Max == 0 {
		return 0
	}
	return max(math.Ceil(pollers/unitPollers), math.Ceil(bytes/unitBytes))
}

// itemUnits returns the write units of the changelog item for a batch of sightings
// of one partition.
func itemUnits(sightings float64) float64 {
	return math.Ceil((itemHead + sightings*itemPerSighting) / 1024)
}

// duration returns the time that a stage takes for one invocation.
func duration(s pipeline.Stage, records float64) time.Duration {
	rounds := roundTrips[s.Name]
	switch s.Name {
	case pipeline.Identify:
		rounds *= max(records, 1)
	case pipeline.Enrich, pipeline.Count:
		rounds *= max(math.Ceil(records/parallelWrites), 1)
	}
	perRecord := recordCPU
	if s.HTTP {
		perRecord = postedCPU
	}
	cpu := records * perRecord.Seconds() / min(float64(s.MemoryMB)/fullCoreMB, 1)
	return time.Duration((rounds*roundTrip.Seconds() + cpu) * float64(time.Second))
}

// usageAt returns the usage of a size at a rate of sightings a second.
func usageAt(size settings.Size, sightings float64) usage {
	var u usage
	var pollers float64
	// Bytes into the topics, and bytes that the topics keep.
	for _, t := range events.Topics() {
		in := sightings * flow(t.Name) * recordBytes(t.Name)
		u.KafkaIn += in
		u.Kept += in * t.Retention.Hours()
	}
	// Invocations of the stages, by their trigger: schedule, posts, topics.
	for _, s := range pipeline.Default().Stages {
		if s.Schedule > 0 {
			u.invoke(s, 1/s.Schedule.Seconds(), 0, runnerLog)
		}
		if s.HTTP {
			u.Posts = sightings / settings.SightingsPerPost
			u.invoke(s, u.Posts, settings.SightingsPerPost, postLog+accessLog)
			u.look(u.Posts, u.Posts*duration(s, settings.SightingsPerPost).Seconds())
		}
		for _, m := range s.Reads {
			p := poll(m, size, sightings*flow(m.Topic))
			pollers += p.Pollers
			u.KafkaOut += p.Records * recordBytes(m.Topic)
			u.read(s, m, p)
		}
	}
	u.tables(sightings)
	u.Units = units(size, pollers, u.KafkaOut/kafkaBytes()*jsonBytes())
	return u
}

// read adds the usage of the invocations of a mapping. Ticks arrive together with
// sightings; without sightings, each partition receives only one tick a minute.
func (u *usage) read(s pipeline.Stage, m pipeline.Mapping, p polled) {
	if m.Topic == events.Sightings && p.Records == 0 {
		p.PerInvocation = p.Partitions / p.Pollers
		p.Records, p.PartsPerInvocation = p.Partitions/60, p.PerInvocation
		u.LogWrites += p.Records
		u.LogTable += p.Records * itemHead
	} else if s.Name == pipeline.Detect {
		items := p.invocations() * p.PartsPerInvocation
		u.LogWrites += items * itemUnits(p.Records/items)
		u.LogTable += items*itemHead + p.Records*itemPerSighting
	}
	if s.Name == pipeline.Detect {
		u.look(p.invocations(), p.Partitions)
	}
	u.invoke(s, p.invocations(), p.PerInvocation, runnerLog+perPartLog*p.PartsPerInvocation)
}

// look adds the reads of settings: each environment that is invoked reads the table
// at intervals. There are as many environments as concurrent invocations.
func (u *usage) look(invocations, atOnce float64) {
	u.Reads += min(invocations, math.Ceil(atOnce)/lookEvery)
}

// invoke adds invocations a second, each with its records and its bytes of log apart
// from Lambda's own. Invocations for posts leave neither traces nor lines of
// Lambda's.
func (u *usage) invoke(s pipeline.Stage, invocations, records, log float64) {
	u.Invocations += invocations
	u.GBSeconds += invocations * duration(s, records).Seconds() * float64(s.MemoryMB) / 1024
	u.Logs += invocations * log
	if s.HTTP {
		return
	}
	u.Logs += invocations * platformLog
	first := min(invocations, tracedFirst)
	u.Traces += first + tracedShare*(invocations-first)
}

// tables adds the usage of the tables other than visit-log. An attributed walk-in is
// counted at its start and at its end.
func (u *usage) tables(sightings float64) {
	of := func(perDay float64) float64 { return sightings * perDay / daySightings }
	logins, walkIns, counts := of(dayLogins), of(dayWalkIns), of(2*dayEnriched)
	u.OtherWrites = logins*loginWrites + walkIns*walkInWrites + of(dayEnds)*endWrites + counts*countWrites
	u.Reads += logins*loginReads + walkIns*walkInReads + counts*countReads
	u.Pending = walkIns * attributionBytes
}
