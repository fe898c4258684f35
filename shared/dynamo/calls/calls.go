// Package calls lists which DynamoDB actions each method of a store of
// shared/dynamo makes. infra grants each stage the actions of the methods that
// the stage calls; start reading at ByTable.
//
// The lists are not in shared/dynamo itself, next to the methods, because infra is a
// module of its own. An import of shared/dynamo would add the DynamoDB client of the
// AWS SDK to infra: five more modules in go.mod, and 20 s of processor time in each
// cold build. Therefore this package imports the names of tables and nothing else. A
// test reads the code of shared/dynamo and fails if a list names more or fewer actions
// than the method makes.
package calls

import "footfall/shared/pipeline"

// Store is one store of shared/dynamo.
type Store struct {
	// Type is the name of the store in shared/dynamo and of its port in shared/stage.
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
	// GetItem reads the item that a condition failed on, if the server does not return
	// the item with the error.
	pipeline.PendingTable: {"Pending", map[string][]string{
		"PutNew":   {"PutItem", "GetItem"},
		"End":      {"UpdateItem", "GetItem"},
		"Resolve":  {"UpdateItem", "GetItem"},
		"Stored":   {"BatchGetItem"},
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
