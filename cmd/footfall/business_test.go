package main

import (
	"context"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"footfall/shared/dynamo"
	"footfall/shared/pipeline"
)

// createTables is the script command create: it creates the tables of the pipeline in
// the server at $TABLES.
func createTables(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: create")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := tableFlags{TableEndpoint: ts.Getenv("TABLES")}.tables(ctx)
	ts.Check(err)
	ts.Check(dynamo.CreateTables(ctx, client, "", pipeline.Default().Tables))
}
