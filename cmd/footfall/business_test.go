package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"footfall/shared/business"
	"footfall/shared/dynamo"
	"footfall/shared/pipeline"
)

// createTables makes the tables of the pipeline in the server at $TABLES.
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

func TestChangesAreToldWithoutSecrets(t *testing.T) {
	before := business.Door{Key: "1", Senders: map[string]business.Sender{
		"mist": {Secrets: []string{"the first of the secrets"}}, "meraki": {Secrets: []string{"another of them all"}, Validator: "v1"},
	}}
	after := business.Door{Key: "2", Senders: map[string]business.Sender{
		"mist":   {Secrets: []string{"the first of the secrets", "and the second of them"}},
		"meraki": {Secrets: []string{"another of them all"}, Validator: "v2", PostsPerMinute: 9},
	}}
	got := changes("door", &before, &after)
	want := []string{
		"door.key: 1 -> 2", "door.senders.meraki.posts_per_minute: none -> 9",
		"door.senders.meraki.validator: changed", "door.senders.mist.secrets: changed",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	delete(after.Senders, "meraki")
	after.Senders["hostapd"] = business.Sender{Secrets: []string{"one that was not there"}}
	got = changes("door", &before, &after)
	want = []string{
		"door.key: 1 -> 2", "door.senders.hostapd.secrets: new", "door.senders.mist.secrets: changed",
		"door.senders.meraki.secrets: dropped", "door.senders.meraki.validator: dropped",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := changes("door", &after, &after); len(got) != 0 {
		t.Errorf("nothing has changed, and %q is told", got)
	}
}
