// Package kafka connects Footfall to Kafka.
//
// Every function works on a client that [NewClient] returns (client.go). Start
// with the part that you need:
//
//   - The stages produce with [Producer] (producer.go; send.go holds the retries)
//     and look topics up with [TopicInfos] (topics.go).
//   - Operators bring the topics of a cluster to their definitions with
//     [PlanTopics] and [TopicPlan.Apply] (apply.go).
//   - The audit and the commands list offsets with [ListOffsetRanges]
//     (offsetrange.go) and read records with [Read] or, past damaged batches, with
//     [ReadAround] (read.go). [StoredBatches] (batches.go) returns the raw batches
//     of a partition, damaged ones included.
//   - [ParseDeadLetter] (deadletters.go) reads a dead letter, and [Redriver]
//     (redrive.go) puts dead letters back.
//   - [GroupOffsets] (offsets.go) returns the committed offsets of a consumer
//     group, and [PlanShift] with [Shift.Apply] (shift.go) moves one of them.
package kafka
