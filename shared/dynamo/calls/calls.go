// Package calls lists which DynamoDB actions each method of a store of
// shared/dynamo makes. infra grants each stage the actions of the methods that
// the stage calls; start reading at ByTable.
//
// The lists do not stand in shared/dynamo itself, beside the methods, because
// infra is a module of its own. With shared/dynamo it would take in the AWS SDK's
// DynamoDB client: five more modules in its go.mod, and 20 s of processor time in
// each cold build. Therefore this package imports the names of tables and nothing
// else. A test reads the code of shared/dynamo and fails if a list names more or
// less than a method does.
package calls

import "footfall/shared/pipeline"

// Store is one store of shared/dynamo.
type Store struct {
	// Type is the name of the store's type in shared/dynamo, and of its port in
	// shared/stage, which are the same.
	Type string
	// Methods holds the DynamoDB actions, like "PutItem", by the name of the
	// method. Methods that no stage calls are left out.
	Methods map[string][]string
}

// ByTable holds the store of each table, by the table's name without prefix. It
// is for reading.
var ByTable = map[string]Store{
	pipeline.VisitLogTable: {"VisitLog", map[string][]string{
		"Last":   {"Query"},
		"Read":   {"Query"},
		"Append": {"PutItem"},
	}},
	pipeline.IdentitiesTable: {"Identities", map[string][]string{
		"Devices":    {"BatchGetItem"},
		"PutDevice":  {"PutItem"},
		"Contact":    {"GetItem"},
		"PutContact": {"PutItem"},
	}},
	// GetItem reads the item that a condition did not hold for, if the server does
	// not return it with the error.
	pipeline.PendingTable: {"Pending", map[string][]string{
		"PutNew":   {"PutItem", "GetItem"},
		"End":      {"UpdateItem", "GetItem"},
		"Resolve":  {"UpdateItem", "GetItem"},
		"OfDevice": {"Query"},
	}},
	pipeline.CountsTable: {"Counts", map[string][]string{
		"Add": {"UpdateItem"},
		"Get": {"Query"},
	}},
	// GetItem reads the marker.
	pipeline.BusinessesTable: {"Businesses", map[string][]string{
		"Rules":    {"BatchGetItem", "GetItem"},
		"Entrance": {"BatchGetItem", "GetItem"},
	}},
}
