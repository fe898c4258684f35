// Package lambdarun runs a stage as a Lambda function: the package decodes the
// event of an event source mapping for Kafka, hands each partition to the stage,
// and answers with the records to redeliver.
//
// One invocation, in the order of the code:
//
//  1. Runner.Invoke decodes the event (DecodeEvent, on the JSON scanner of
//     scan.go) and logs the offsets of the records (received).
//  2. Runner.handleAll hands each partition to the stage, several side by side,
//     under a deadline before Lambda's own (budget).
//  3. toRedeliver turns the error of each partition into the records not done,
//     and answer names the records.
//  4. Runner.report logs the result for the metric filters.
//
// Start reading at Runner.Invoke. StartSchedule runs a stage without
// records, called by a schedule. LogDeadLetters is independent of both: a
// producer that logs the dead letters of a stage.
package lambdarun
