package dynamo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// batchKeys is how many keys one BatchGetItem takes. A request that repeats a key
// fails.
const batchKeys = 100

// readAll returns the items of a table without sort key, by their key. The reads
// are strongly consistent. keys may repeat; a key without an item is left out of
// the map.
func (t table) readAll(ctx context.Context, keyName string, keys []string) (map[string]item, error) {
	unique := slices.Compact(slices.Sorted(slices.Values(keys)))
	found := make(map[string]item, len(unique))
	for chunk := range slices.Chunk(unique, batchKeys) {
		if err := t.readChunk(ctx, keyName, chunk, found); err != nil {
			doing := fmt.Sprintf("read %d items from", len(chunk))
			return nil, t.wrap(doing, chunk[0], err)
		}
	}
	return found, nil
}

// readChunk puts the items of up to batchKeys keys into found. DynamoDB returns
// keys unprocessed if the answer would grow over 16 MB, or if a partition of the
// table is throttled. readChunk asks for the unprocessed keys again, after a pause,
// until none is left or ctx is done.
func (t table) readChunk(ctx context.Context, keyName string, chunk []string, found map[string]item) error {
	ask := make([]map[string]types.AttributeValue, len(chunk))
	for n, key := range chunk {
		ask[n] = item{keyName: str(key)}
	}
	for try := 1; len(ask) > 0; try++ {
		out, err := t.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{
				t.name: {Keys: ask, ConsistentRead: aws.Bool(true)},
			},
		})
		if err != nil {
			return err
		}
		for _, i := range out.Responses[t.name] {
			r := reader{item: i}
			found[r.str(keyName)] = i
		}
		if len(out.Responses[t.name]) > 0 {
			try = 0 // the server makes progress, so the pauses are short again
		}
		// The next request is for the unprocessed keys.
		if ask = out.UnprocessedKeys[t.name].Keys; len(ask) == 0 {
			return nil
		}
		if err := wait(ctx, pause(try)); err != nil {
			return fmt.Errorf("%d keys are still unprocessed: %w", len(ask), err)
		}
	}
	return nil
}

// wait returns nil after d, or the error of ctx as soon as ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
