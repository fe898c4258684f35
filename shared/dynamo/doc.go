// Package dynamo keeps the state of the stages in DynamoDB tables. It implements
// the ports of shared/stage: the changelogs (VisitLog), devices and contacts
// (Identities), walk-ins (Pending) and counts (Counts). Businesses keeps settings
// and doors of businesses.
//
// Start reading with visitlog.go, the smallest store, and items.go, which lists
// the attributes of all items. Each store has a file of its own; table.go holds
// the requests that the stores share, client.go the timeouts and retries. The
// package calls lists which DynamoDB actions each method makes.
//
// Every write can be repeated, so the client retries after any error that may pass,
// and nothing here remembers calls. There are two kinds of writes:
//
//   - A conditional write. If DynamoDB applied the write but the answer was lost,
//     the client sends the write again, and the condition fails on the item that
//     the first attempt wrote. The method or its caller then reads the item and
//     finds that all is done.
//   - A write that deletes an item or adds to a set. A second one changes nothing.
//
// DynamoDB drops an expired item days late and returns the item until then. No rule
// depends on an item being gone, so nothing is filtered on reading.
package dynamo
