// Package senders reads the posts of routers and their clouds: one file and one
// Format per make of router (a "kind" in paths and settings).
//
// A request passes two steps. Format.Verify checks that the post comes from a
// sender with one of the secrets, and Format.Parse returns the observations and
// logins of the body. MAC addresses of devices leave the package only in
// Observation and Login: no error and no count holds a MAC address or any other
// piece of a body.
//
// Start reading at Format in senders.go, then in cloudtrax.go, the shortest make.
// Three parts are common to all makes: scan.go checks the limits of a body before
// any parser reads it, fields.go reads single values leniently, and collect.go
// turns records into a Post. syslog.go is hostapd's: what precedes a message.
//
// # Adding a make of router
//
//  1. Write a file with a type that implements Format. Embed signed if the make
//     puts an HMAC of the body into a header. Declare the records as structs of
//     the types in fields.go and decode the body with decode. Pass each record to
//     collector.observe for validation. Reject a body as a whole only if it lacks
//     the array that the format is about (wrongShape) or is of an unknown type
//     (unknownType).
//  2. Add the kind to the constants and to byKind in senders.go.
//  3. Add posts from the vendor's documentation to testdata/<kind>, run
//     go test ./shared/ingest/... -update, and compare the golden files with that
//     documentation by hand. Add the kind to benchBody, markedBodies and the fuzz
//     tests.
//  4. Add the kind to business.Kinds, docs/ingest.md and docs/openapi.yaml. Tests
//     of package ingest fail until all of them agree.
package senders
