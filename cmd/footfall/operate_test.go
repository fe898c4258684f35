package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/local/dynalite"
	"footfall/shared/dynamo"
	"footfall/shared/pipeline"
)

// scriptClient returns a client for the broker of a script.
func scriptClient(ts *testscript.TestScript, opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(ts.Getenv("BROKER")), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	ts.Check(err)
	ts.Defer(client.Close)
	return client
}

// produceRecord puts a record on a topic, with any key: produce TOPIC PARTITION KEY
// VALUE [HEADER=VALUE ...]. A value of - is a null.
func produceRecord(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: produce topic partition key value [header=value ...]")
	}
	partition, err := strconv.Atoi(args[1])
	ts.Check(err)
	r := &kgo.Record{Topic: args[0], Partition: int32(partition), Key: []byte(args[2]), Value: []byte(args[3])}
	if args[3] == "-" {
		r.Value = nil
	}
	for _, arg := range args[4:] {
		name, value, _ := strings.Cut(arg, "=")
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	ts.Check(scriptClient(ts).ProduceSync(context.Background(), r).FirstErr())
}

// commitOffset has a group commit: commit GROUP TOPIC PARTITION OFFSET.
func commitOffset(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: commit group topic partition offset")
	}
	partition, err := strconv.Atoi(args[2])
	ts.Check(err)
	offset, err := strconv.ParseInt(args[3], 10, 64)
	ts.Check(err)
	var offsets kadm.Offsets
	offsets.AddOffset(args[1], int32(partition), offset, -1)
	ts.Check(kadm.NewClient(scriptClient(ts)).CommitAllOffsets(context.Background(), args[0], offsets))
}

// joinGroup has a member join a group for the rest of the script: join GROUP
// TOPIC.
func joinGroup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: join group topic")
	}
	client := scriptClient(ts, kgo.ConsumerGroup(args[0]), kgo.ConsumeTopics(args[1]), kgo.DisableAutoCommit())
	if f := client.PollFetches(context.Background()); f.NumRecords() == 0 {
		ts.Fatalf("nothing to read: %v", f.Err())
	}
}

// startTables starts a table server for the rest of a script, with its endpoint
// in $TABLES: tables
func startTables(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: tables")
	}
	server, err := dynalite.Start(context.Background(), dynalite.Options{Dirs: []string{binaries}})
	ts.Check(err)
	ts.Defer(func() { _ = server.Close() })
	ts.Setenv("TABLES", server.Endpoint())
}

// plantCount damages the item of a contact in the table counts, which has at least
// two visits, in a way that no stage does: plant lose|invent|stretch. It sets
// $CONTACT, $MONTH and, for a lost visit, $ID. stretch extends the first visit of
// another contact until its second, and assigns the second to another device.
func plantCount(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: plant lose|invent|stretch")
	}
	ctx, client := context.Background(), dynamo.New(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(ts.Getenv("TABLES")),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	table := aws.String(pipeline.CountsTable)
	all, err := client.Scan(ctx, &dynamodb.ScanInput{TableName: table})
	ts.Check(err)
	const id, start, visit = 22, 27, 33 // characters of a fact
	began := func(item map[string]types.AttributeValue) []string {
		facts := slices.Clone(item["fs"].(*types.AttributeValueMemberSS).Value)
		facts = slices.DeleteFunc(facts, func(f string) bool { return len(f) != visit })
		slices.SortFunc(facts, func(a, b string) int { return strings.Compare(a[id:], b[id:]) })
		return facts
	}
	items := slices.DeleteFunc(all.Items, func(item map[string]types.AttributeValue) bool { return len(began(item)) < 2 })
	if len(items) < 2 {
		ts.Fatalf("fewer than two contacts have two visits")
	}
	item := items[0]
	visits, set := began(item), item["fs"].(*types.AttributeValueMemberSS)
	switch args[0] {
	case "lose":
		raw, err := base64.RawURLEncoding.DecodeString(visits[0][:id])
		ts.Check(err)
		ts.Setenv("ID", hex.EncodeToString(raw))
		set.Value = slices.DeleteFunc(set.Value, func(f string) bool { return f[:id] == visits[0][:id] })
	case "invent":
		set.Value = append(set.Value, base64.RawURLEncoding.EncodeToString(make([]byte, 16))+visits[0][id:])
	case "stretch":
		item = items[len(items)-1]
		visits, set = began(item), item["fs"].(*types.AttributeValueMemberSS)
		set.Value[slices.Index(set.Value, visits[1])] = visits[1][:start] + "_other"
		set.Value = append(set.Value, visits[0][:id]+visits[1][id:start])
	default:
		ts.Fatalf("cannot %s", args[0])
	}
	_, err = client.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: item})
	ts.Check(err)
	_, contact, _ := strings.Cut(item["pk"].(*types.AttributeValueMemberS).Value, "/")
	ts.Setenv("CONTACT", contact)
	ts.Setenv("MONTH", item["month"].(*types.AttributeValueMemberS).Value)
}
