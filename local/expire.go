package local

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/shared/pipeline"
)

const (
	// expireEvery is how often expired items are deleted. DynamoDB takes days.
	expireEvery = time.Hour
	// expirePage bounds the items that one request looks at, so that the requests of
	// functions do not wait for long: the table server runs on one thread.
	expirePage = 500
	// oldestExpiry is how long ago an item may have expired and still be deleted. Such
	// a value is a mistake, such as a time in other units (DynamoDB developer guide,
	// "Using time to live (TTL) in DynamoDB": five years).
	oldestExpiry = 5 * 365 * 24 * time.Hour
)

// startExpiry deletes expired items, and then again every expireEvery, since the
// embedded table server has no TTL. A server that is given deletes its own items. The
// first time is over before any function starts: no function reads its state while a
// large part of that state goes.
func (s *Stack) startExpiry(ctx context.Context, g pipeline.Graph) error {
	if s.o.TableEndpoint != "" {
		return nil
	}
	client := s.TableClient()
	if _, err := s.expire(ctx, client, g, time.Now()); err != nil {
		return fmt.Errorf("delete expired items: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	s.onClose(func() error { stop(); wg.Wait(); return nil })
	wg.Go(func() {
		for {
			select {
			case <-time.After(expireEvery):
			case <-ctx.Done():
				return
			}
			if _, err := s.expire(ctx, client, g, time.Now()); err != nil && ctx.Err() == nil {
				s.o.Log.ErrorContext(ctx, "expired items are left in the tables, until the next attempt", "error", err)
			}
		}
	})
	return nil
}

// expire deletes the items of all tables that TTL would delete at the moment now, and
// returns their number. The error joins those of all tables.
func (s *Stack) expire(ctx context.Context, client *dynamodb.Client, g pipeline.Graph, now time.Time) (deleted int, err error) {
	for _, t := range g.Tables {
		if t.TTLAttribute == "" { // its items never expire
			continue
		}
		n, tableErr := s.expireTable(ctx, client, t, now)
		deleted += n
		if tableErr != nil {
			err = errors.Join(err, fmt.Errorf("table %s: %w", s.o.TablePrefix+t.Name, tableErr))
		}
	}
	return deleted, err
}

// expireTable deletes the expired items of one table, page by page. As with TTL, an
// item expires by a number: seconds since 1970, that have passed, but not by more than
// oldestExpiry.
func (s *Stack) expireTable(ctx context.Context, client *dynamodb.Client, t pipeline.Table, now time.Time) (deleted int, err error) {
	name := aws.String(s.o.TablePrefix + t.Name)
	const expired = "attribute_type(#x, :number) AND #x < :now AND #x > :oldest"
	names := map[string]string{"#x": t.TTLAttribute}
	values := map[string]types.AttributeValue{
		":number": &types.AttributeValueMemberS{Value: "N"},
		":now":    &types.AttributeValueMemberN{Value: strconv.FormatInt(now.Unix(), 10)},
		":oldest": &types.AttributeValueMemberN{Value: strconv.FormatInt(now.Add(-oldestExpiry).Unix(), 10)},
	}
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{
		TableName: name, FilterExpression: aws.String(expired), Limit: aws.Int32(expirePage),
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return deleted, fmt.Errorf("look for expired items: %w", err)
		}
		for _, item := range page.Items {
			key := map[string]types.AttributeValue{t.PartitionKey.Name: item[t.PartitionKey.Name]}
			if t.SortKey.Name != "" {
				key[t.SortKey.Name] = item[t.SortKey.Name]
			}
			_, err := client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
				TableName: name, Key: key, ConditionExpression: aws.String(expired),
				ExpressionAttributeNames: names, ExpressionAttributeValues: values,
			})
			// A function gave the item another expiry after it was read.
			if _, kept := errors.AsType[*types.ConditionalCheckFailedException](err); kept {
				continue
			}
			if err != nil {
				return deleted, fmt.Errorf("delete an expired item: %w", err)
			}
			deleted++
		}
	}
	return deleted, nil
}
