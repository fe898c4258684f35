package main

import (
	"fmt"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// Item is one line of a bill, in US dollars a month.
type Item struct {
	What string
	USD  float64
}

// Things that infra makes whatever happens.
const (
	onDemandEndpoints = 2 // Lambda and STS, in one zone: pollers on demand call them from the cluster's network;
	// beside them ingest reads its keys through one for Secrets Manager.
	keys    = 2 // of the cluster and of the state
	secrets = 1 // the keys of pseudonyms

	// Of a size with provisioned pollers; an alarm costs as many times as it looks
	// at metrics.
	alarmsPerMapping  = 7
	alarmsOfStages    = 79 // and of tables, API and cluster
	metricsPerMapping = 12 // EventCount, ErrorCount, KafkaMetrics; taken as billed
	metricsOfLogs     = 16 // four of each stage that reads
	metricsOfPosts    = 25 // five, and one for each code of a refusal, as if all came up every hour
)

// How long the two tables that forget keep their items, in days.
const (
	logTableDays = 14
	pendingDays  = 100
	daysPerMonth = hoursPerMonth / 24.0
)

// bill is what a size costs a month with so many sightings a second in the hours
// in which shops are open, once Kafka and the tables hold as much as they ever
// do. Contacts and counts, which are kept for ever, are not in it.
func bill(size settings.Size, sightings float64) []Item {
	open, closed := usageAt(size, sightings), usageAt(size, 0)
	// month adds up what is used in a month.
	month := func(of func(usage) float64) float64 {
		return (of(open)*openHours + of(closed)*(hoursPerMonth-openHours)) * 3600
	}
	logsGB := month(func(u usage) float64 { return u.Logs }) / gb
	tablesGB := (month(func(u usage) float64 { return u.LogTable })*logTableDays +
		month(func(u usage) float64 { return u.Pending })*pendingDays) / daysPerMonth / gb
	in := month(func(u usage) float64 { return u.KafkaIn }) / gb
	out := month(func(u usage) float64 { return u.KafkaOut }) / gb
	kept := month(func(u usage) float64 { return u.Kept }) / hoursPerMonth / gb
	items := append(cluster(size), traffic(size, in, out, kept)...)
	return append(items,
		Item{"pollers (EPUs)", month(func(u usage) float64 { return u.Units }) / 3600 * PollerUnit.USD},
		Item{"interface endpoints", endpoints(size) * hoursPerMonth * Endpoint.USD},
		Item{requestsLine, requests(month(func(u usage) float64 { return u.Posts }))},
		Item{"Lambda invocations", month(func(u usage) float64 { return u.Invocations }) * LambdaRequest.USD},
		Item{"Lambda compute", month(func(u usage) float64 { return u.GBSeconds }) * LambdaARM.USD},
		Item{"DynamoDB, writes of visit-log", month(func(u usage) float64 { return u.LogWrites }) * WriteUnit.USD},
		Item{"DynamoDB, other writes", month(func(u usage) float64 { return u.OtherWrites }) * WriteUnit.USD},
		Item{"DynamoDB, reads", month(func(u usage) float64 { return u.Reads }) * ReadUnit.USD},
		Item{"DynamoDB, storage and recovery", tablesGB * (DynamoStorage.USD + DynamoBackup.USD)},
		Item{"CloudWatch Logs", logsGB * (LogsIn.USD + LogsStored.USD*float64(size.LogDays)/daysPerMonth)},
		Item{"CloudWatch metrics, alarms, dashboard", watching()},
		Item{tracesLine, month(func(u usage) float64 { return u.Traces }) * Trace.USD},
		Item{"KMS keys and secret", keys*Key.USD + secrets*Secret.USD},
	)
}

func total(items []Item) (usd float64) {
	for _, i := range items {
		usd += i.USD
	}
	return usd
}

// cluster is what the cluster costs by the hour.
func cluster(size settings.Size) []Item {
	if size.Cluster == settings.Serverless {
		return []Item{
			{"MSK Serverless, cluster", hoursPerMonth * ServerlessHour.USD},
			{fmt.Sprintf("MSK Serverless, %.0f partitions", allPartitions(size)), hoursPerMonth * allPartitions(size) * ServerlessPart.USD},
		}
	}
	return []Item{{
		fmt.Sprintf("MSK Express, %d %s", size.Brokers, size.BrokerType),
		hoursPerMonth * float64(size.Brokers) * broker(size.BrokerType).USD,
	}}
}

// broker is the price of a type of broker.
func broker(kind string) Price {
	if kind == "express.m7g.large" {
		return ExpressLarge
	}
	panic(fmt.Sprintf("no price of broker type %q", kind))
}

// allPartitions counts those of dead letters too, which cost as much.
func allPartitions(size settings.Size) (n float64) {
	for _, t := range events.Topics() {
		n += partitions(t, size)
	}
	return n
}

// traffic is what the cluster costs by GB written, read and kept.
func traffic(size settings.Size, in, out, kept float64) []Item {
	if size.Cluster == settings.Serverless {
		return []Item{
			{trafficLine, in*ServerlessIn.USD + out*ServerlessOut.USD},
			{keptLine, kept * ServerlessStored.USD},
		}
	}
	return []Item{
		{trafficLine, in * ExpressIn.USD},
		{keptLine, kept * ExpressStorage.USD},
	}
}

// endpoints counts each zone of an interface endpoint.
func endpoints(size settings.Size) float64 {
	n := float64(size.SecretsZones())
	if size.Pollers.Max == 0 {
		n += onDemandEndpoints
	}
	return n
}

// firstRequests of a month have another price than the rest.
const firstRequests = 300e6

func requests(n float64) float64 {
	return min(n, firstRequests)*APIRequest.USD + max(n-firstRequests, 0)*APIRequestMore.USD
}

func watching() float64 {
	mappings := 0
	for _, s := range pipeline.Default().Stages {
		mappings += len(s.Reads)
	}
	n := float64(mappings)
	metrics, alarms := n*metricsPerMapping+metricsOfLogs+metricsOfPosts, n*alarmsPerMapping+alarmsOfStages
	return metrics*Metric.USD + alarms*Alarm.USD + Dashboard.USD
}
