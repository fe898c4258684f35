// Package stage holds the ports of the pipeline (Kafka and the tables as
// interfaces), the records and batches that pass through them, dead letters, and
// the small stages: identify, enrich, count and tick. The stage detect has a
// package of its own, shared/detect, and ingest has shared/ingest.
//
// A stage reads a batch, decides, produces its records, and writes its state on
// condition that no other writer wrote first. Start with record.go (Record,
// Batch, Handler), then read one stage, such as count.go. Each port has a file:
//
//   - producer.go: Producer and TopicInfos, implemented by shared/kafka
//   - visitlog.go, identities.go, pending.go, counts.go, businesses.go: the
//     tables, implemented by shared/dynamo and shared/memory, and tested by
//     shared/storetest
//
// Helpers that several stages use are in batch.go (decode, produce, run
// concurrently) and attribution.go (device histories, enriched walk-ins).
package stage
