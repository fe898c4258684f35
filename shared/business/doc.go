// Package business holds the settings of businesses: the rules of a business, with
// the moment from which on the rules hold, and the door, which names the senders
// that may post for the business. Operators write rules and door as one JSON
// document, which docs/settings.md describes.
//
// Start reading with Document and its parts, Settings and Door. A table keeps the
// settings over time as a History. Plan and Change.Apply store a document; the
// table itself is in shared/dynamo.
package business
