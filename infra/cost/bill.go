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

// Resources that infra creates in every size.
const (
	onDemandEndpoints = 2 // Lambda and STS, in one zone: pollers on demand call both from the cluster's network;
	// ingest also reads its keys through an endpoint for Secrets Manager.
	keys    = 2 // of the cluster and of the state
	secrets = 1 // the pseudonym keys

	// In a size with provisioned pollers. An alarm is billed by the number of its
	// metrics.
	alarmsPerMapping  = 7
	alarmsOfStages    = 79 // and of tables, API and cluster
	metricsPerMapping = 12 // EventCount, ErrorCount, KafkaMetrics; assumed to be billed
	metricsOfLogs     = 16 // four for each stage that reads topics
	metricsOfPosts    = 25 // five, and one for each rejection code, as if every code occurred every hour
)

// Days for which the two tables with expiry keep their items.
const (
	logTableDays = 14
	pendingDays  = 100
	daysPerMonth = hoursPerMonth / 24.0
)

// bill returns the cost of a size a month at a rate of sightings a second during
// opening hours, once Kafka and the tables have reached their final size. Contacts
// and counts, which are kept permanently, are not included.
func bill(size settings.Size, sightings float64) []Item {
	open, closed := usageAt(size, sightings), usageAt(size, 0)
	// month returns the usage of a month.
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

// cluster returns the hourly costs of the cluster.
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

// broker returns the price of a broker type.
func broker(kind string) Price {
	if kind == "express.m7g.large" {
		return ExpressLarge
	}
	panic(fmt.Sprintf("no price of broker type %q", kind))
}

// allPartitions returns the number of all partitions, with the dead letters, which
// cost the same.
func allPartitions(size settings.Size) (n float64) {
	for _, t := range events.Topics() {
		n += partitions(t, size)
	}
	return n
}

// traffic returns the costs of the cluster by GB written, read and kept.
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

// endpoints returns the number of interface endpoints, each zone counted.
func endpoints(size settings.Size) float64 {
	n := float64(size.SecretsZones())
	if size.Pollers.Max == 0 {
		n += onDemandEndpoints
	}
	return n
}

// firstRequests is the number of requests a month at the first price.
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
