package main

import (
	"fmt"
	"strings"

	"footfall/events"
	"footfall/infra/settings"
)

// lever is a change that makes a size cheaper, with its disadvantage.
type lever struct {
	size, what, but string
	USD             float64 // saving a month, at the rate that the size is made for
}

// Names of the lines of a bill that levers change.
const (
	keptLine     = "MSK, kept"
	trafficLine  = "MSK, written and read"
	requestsLine = "HTTP API, requests"
	tracesLine   = "X-Ray"
)

const (
	// compressedBytes is the size of a sighting if a producer compresses ten of them
	// with zstd, measured on the simulated day; 17 in batches of a hundred.
	compressedBytes = 40
	weekOfRetention = 7.0 / 90
	t3Storage       = 3 * 10 // GB of three brokers
)

// levers returns the possible savings, the largest first within a size.
func levers() []lever {
	dev, small, large := named("dev"), named("small"), named("large")
	compressed := 1 - compressedBytes/kafkaBytes()
	return []lever{
		{"dev", "three kafka.t3.small brokers in place of Serverless", "4 new IAM connections a second and broker; not one of the kinds of cluster that infra makes",
			total(cluster(dev)) - hoursPerMonth*3*StandardT3.USD - t3Storage*StandardStorage.USD},
		{"dev", "one partition for each topic of dead letters", "none", deadLetterTopics() * hoursPerMonth * ServerlessPart.USD},
		{"small", "a week of sightings in Kafka, not 90 days", "replays of what is older need an archive", line(small, keptLine) * (1 - weekOfRetention)},
		{"small", "no function traced by X-Ray", "which single invocation was slow is left to the log", line(small, tracesLine)},
		{"large", "a week of sightings in Kafka, not 90 days", "replays of what is older need an archive", line(large, keptLine) * (1 - weekOfRetention)},
		{"large", "a function URL in place of the HTTP API", "no limit on posts but the concurrency of ingest, no name of one's own, no log of what never reaches it; infra makes none",
			line(large, requestsLine)},
		{"large", "sightings compressed with zstd, ten at a time, by producers or by the topic's compression.type", "CPU of whoever compresses", (line(large, keptLine) + line(large, trafficLine)) * compressed},
	}
}

func named(name string) settings.Size {
	size, ok := settings.SizeByName(name)
	if !ok {
		panic(fmt.Sprintf("settings have no size %q", name))
	}
	return size
}

// line returns one line of a size's bill at the rate that the size is made for.
func line(size settings.Size, what string) float64 {
	for _, i := range bill(size, float64(size.SightingsPerSecond)) {
		if i.What == what {
			return i.USD
		}
	}
	panic(fmt.Sprintf("no bill has a line %q", what))
}

func deadLetterTopics() (n float64) {
	for _, t := range events.Topics() {
		if t.DeadLetters == "" {
			n++
		}
	}
	return n
}

// leverTable returns the table of levers. It leaves out savings that a size has
// already.
func leverTable() string {
	var b strings.Builder
	b.WriteString("\n| size | change | less a month | its price |\n|---|---|---:|---|\n")
	for _, l := range levers() {
		if l.USD > 0 {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", l.size, l.what, money(l.USD), l.but)
		}
	}
	return b.String()
}
