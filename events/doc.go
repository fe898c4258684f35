// Package events is the contract between the stages: every record that crosses
// a Kafka topic, with its schema, its key and its topic. The package makes no
// decisions and does no I/O.
//
// Start with topics.go, which lists the topics, and with sighting.go, the first
// record of the pipeline. Each record has a file of its own with the struct, the
// schema name, the validation and the key. The tests hold runnable examples.
//
// # Writing and reading
//
// Encode writes a record in Avro's single-object encoding. Each topic has one
// decoder: DecodeSightings, DecodeCRM (both CRM topics), DecodeDeviceContact,
// DecodeWalkIn, DecodeVisitEnded, DecodeEnrichedWalkIn, DecodeWalkInCount. A
// decoder reads every version of a record that was ever published, and plain
// JSON if Topic.JSON allows it. A decoder returns a record only if all fields
// are valid and the record has the key that its value calls for. Otherwise the
// error is a *BadRecord: the stage sends the record to the dead letters, with
// the Reason in a header.
//
// # Schemas
//
// schemas/<record>.avsc is the schema that records are written with today.
// schemas/published/<record>.v<n>.avsc are all published versions, numbered from
// 1; the newest equals schemas/<record>.avsc byte for byte. Records stay in
// Kafka for 90 days, on compacted topics for good. So a published version is
// never changed or removed, and that includes its doc texts.
//
// # Adding a field or a version
//
//  1. Edit schemas/<record>.avsc. A new field needs a doc text and a default:
//     records of older versions are read with the default.
//  2. Add the field to the struct, with avro and json tags that equal the name in
//     the schema, and to Validate. If the topic accepts JSON, add it to readJSON
//     as optional.
//  3. Copy the file to schemas/published under the next version number.
//  4. Fill the field in samples of samples_test.go, and run
//     go test ./events -update. The run writes the bytes of the new version to
//     testdata/wire. If the golden files in testdata change, look at the
//     difference.
//  5. Deploy the consumers before the producers. A consumer without the new
//     version rejects its records as UnknownSchema.
//
// # Adding a record
//
//  1. Write schemas/<record>.avsc and its copy schemas/published/<record>.v1.avsc.
//  2. Write <record>.go after the model of walk_in.go: struct, record type,
//     Validate, key, decoder.
//  3. If the record has a topic of its own, add the topic to topics.go.
//     docs/design.md, "Where a change goes", lists the other places.
//  4. Add the record to allRecordTypes, samples and decodeAs in the tests, and run
//     go test ./events -update.
package events
