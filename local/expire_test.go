package local

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/shared/pipeline"
)

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// put stores an item in a table, with an expiry unless it is nil. The name becomes the
// partition key.
func put(t *testing.T, client *dynamodb.Client, prefix, table, name string, expires types.AttributeValue) {
	t.Helper()
	i := slices.IndexFunc(pipeline.Default().Tables, func(of pipeline.Table) bool { return of.Name == table })
	keys := pipeline.Default().Tables[i]
	item := map[string]types.AttributeValue{keys.PartitionKey.Name: text(name)}
	switch keys.SortKey.Type {
	case "S":
		item[keys.SortKey.Name] = text("s")
	case "N":
		item[keys.SortKey.Name] = number(1)
	}
	if expires != nil {
		item["expires"] = expires
	}
	if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(prefix + table), Item: item}); err != nil {
		t.Fatal(err)
	}
}

// namesIn returns the partition keys in a table, in order.
func namesIn(t *testing.T, s *Stack, table, key string) (names []string) {
	t.Helper()
	for pages := dynamodb.NewScanPaginator(s.TableClient(), &dynamodb.ScanInput{TableName: aws.String(s.TablePrefix() + table)}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			names = append(names, item[key].(*types.AttributeValueMemberS).Value)
		}
	}
	slices.Sort(names)
	return names
}

// TestExpireDeletesWhatTTLDeletes: of each table with a TTL, exactly the items go that
// DynamoDB would delete.
func TestExpireDeletesWhatTTLDeletes(t *testing.T) {
	o := options()
	o.TablePrefix = "shop-"
	s := start(t, o)
	client, now := s.TableClient(), time.Now()
	expiries := map[string]types.AttributeValue{
		"gone: a second ago":           number(now.Unix() - 1),
		"gone: 14 days ago":            number(now.Add(-14 * 24 * time.Hour).Unix()),
		"gone: four years ago":         number(now.Add(-4 * 365 * 24 * time.Hour).Unix()),
		"kept: to come":                number(now.Unix() + 1),
		"kept: milliseconds":           number(now.Add(-time.Hour).UnixMilli()),
		"kept: five years ago":         number(now.Add(-oldestExpiry).Unix()),
		"kept: 1970":                   number(0),
		"kept: text":                   text(fmt.Sprint(now.Unix() - 1)),
		"kept: an item without expiry": nil,
		"kept: a list, not a number":   &types.AttributeValueMemberL{Value: []types.AttributeValue{number(now.Unix() - 1)}},
		"kept: a truth value":          &types.AttributeValueMemberBOOL{Value: true},
	}
	var want []string
	for name := range expiries {
		if name[:4] == "kept" {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	graph, tables := pipeline.Default(), 0
	for _, table := range graph.Tables {
		if table.TTLAttribute == "" {
			continue
		}
		tables++
		for name, expires := range expiries {
			put(t, client, o.TablePrefix, table.Name, name, expires)
		}
	}
	deleted, err := s.expire(t.Context(), client, graph, now)
	if gone := len(expiries) - len(want); deleted != gone*tables || err != nil {
		t.Errorf("deleted %d items, %v, want %d in each of %d tables", deleted, err, gone, tables)
	}
	for _, table := range graph.Tables {
		if table.TTLAttribute == "" {
			continue
		}
		if got := namesIn(t, s, table.Name, table.PartitionKey.Name); !slices.Equal(got, want) {
			t.Errorf("%s holds %q, want %q", table.Name, got, want)
		}
	}
}

// TestExpireReadsAllPages: expired items behind a page without any are found too.
func TestExpireReadsAllPages(t *testing.T) {
	s := start(t, options())
	client, now := s.TableClient(), time.Now()
	for i := range 2*expirePage + 10 {
		expires := now.Unix() + 1000
		if i%100 == 0 {
			expires = now.Unix() - 1
		}
		put(t, client, "", pipeline.PendingTable, fmt.Sprint("device ", i), number(expires))
	}
	if deleted, err := s.expire(t.Context(), client, pipeline.Default(), now); deleted != 11 || err != nil {
		t.Errorf("deleted %d, %v, want 11", deleted, err)
	}
}

// TestExpiredItemsGoAtStart: a stack on a directory that was not used for long deletes
// what has expired meanwhile, and its stages go on.
func TestExpiredItemsGoAtStart(t *testing.T) {
	o := options()
	o.DataDir = usedData(t)
	s := start(t, o)
	client := s.TableClient()
	put(t, client, "", pipeline.VisitLogTable, "expired", number(time.Now().Unix()-1))
	put(t, client, "", pipeline.VisitLogTable, "alive", number(time.Now().Unix()+1000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, o)
	if got := namesIn(t, s, pipeline.VisitLogTable, "chain"); !slices.Equal(got, []string{"alive"}) {
		t.Errorf("visit-log holds %q, want the item that has not expired", got)
	}
	produce(t, s, events.Sightings, 5)
	drain(t, s)
}
