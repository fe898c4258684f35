// Package esm feeds a function from a Kafka topic as an AWS Lambda event source
// mapping does. It keeps these rules (AWS Lambda developer guide, "Using Lambda
// with Amazon MSK" and "Configuring error handling controls for Kafka event
// sources"):
//
//   - The records of a partition are delivered in their order, with at most one
//     batch of a partition in flight. An event may hold several partitions.
//   - An event has at most BatchSize records and 6 MB of JSON. It is delivered
//     when it is full or when its oldest record has waited for Window; see Rush
//     for an exception. A record too large for 6 MB is delivered alone.
//   - The answers {}, null and nothing mean success. A partial answer names failed
//     records: in each partition, the records before the lowest named offset are
//     done. Either the rest of the batch is redelivered or only the named records
//     are; see Options.UnreportedDone.
//   - If the function returns an error, a malformed answer, or an answer that names
//     a record that was not in the event, the whole batch has failed.
//   - A failed batch is redelivered, after pauses that grow, up to Retries times.
//     With Bisect the batch is first split, which does not count as a retry: by
//     partition, at the reported offset, or in halves.
//   - When the retries are used up, the records go to the dead-letter topic and
//     the partition goes on. If there is a dead-letter topic, endless retries
//     become 10 retries.
//   - Offsets are committed after success only, in their order, and never for a
//     partition that the group has meanwhile assigned to another member.
//
// When a batch of several partitions fails, its partitions are redelivered one by
// one, also without Bisect, so that the failure of one partition does not use up
// the retries of another. The guide does not document this case.
//
// Start reading at Poller in esm.go. fetch.go adds fetched records to the
// partitions that the poller holds (partition.go), dispatch.go chooses the next
// batch, event.go renders the batch as JSON, deliver.go invokes the function and
// settles its answer (answer.go), and commit.go commits. unreadable.go is for
// batches that no client can read, deadletter.go for the dead-letter topic.
package esm
