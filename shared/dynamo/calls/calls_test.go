package calls

import (
	"slices"
	"testing"

	"footfall/shared/dynamo/calls/callgraph"
)

// Each method of a store is listed with exactly the actions that its code makes,
// so that infra grants neither less nor more.
func TestCallsAreThoseOfTheStores(t *testing.T) {
	actions := []string{
		"BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "TransactGetItems", "TransactWriteItems", "UpdateItem",
	}
	dynamo, err := callgraph.Parse("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range ByTable {
		for method, want := range store.Methods {
			reached := dynamo.Reached(store.Type+"."+method, store.Type, "table")
			var got []string
			for _, action := range actions {
				if len(reached[action])+len(reached["New"+action+"Paginator"]) > 0 {
					got = append(got, action)
				}
			}
			if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
				t.Errorf("%s.%s calls %v in its code, and ByTable lists %v", store.Type, method, got, want)
			}
		}
	}
}
