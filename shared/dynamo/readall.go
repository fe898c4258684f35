package dynamo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// batchKeys is how many keys one BatchGetItem takes. A request that repeats a key
// fails.
const batchKeys = 100

// readAll returns the items of keys, in the order of keys, nil for a key without
// an item. The reads are strongly consistent. All key attributes are strings. keys
// may repeat.
func (t table) readAll(ctx context.Context, keys []item) ([]item, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	// Each key is read once. names are the key attributes of the table.
	names, texts := slices.Sorted(maps.Keys(keys[0])), make([]string, len(keys))
	unique := make(map[string]item, len(keys))
	for i, key := range keys {
		texts[i] = keyText(key, names)
		unique[texts[i]] = key
	}
	found := make(map[string]item, len(unique))
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(unique)), batchKeys) {
		ask := make([]map[string]types.AttributeValue, len(chunk))
		for n, text := range chunk {
			ask[n] = unique[text]
		}
		if err := t.readChunk(ctx, names, ask, found); err != nil {
			doing := fmt.Sprintf("read %d items from", len(chunk))
			return nil, t.wrap(doing, chunk[0], err)
		}
	}
	items := make([]item, len(keys))
	for i := range keys {
		items[i] = found[texts[i]]
	}
	return items, nil
}

// keyText returns the key attributes of an item as one text.
func keyText(i item, names []string) string {
	r, parts := reader{item: i}, make([]string, len(names))
	for n, name := range names {
		parts[n] = r.str(name)
	}
	return strings.Join(parts, " ")
}

// readChunk puts the items of up to batchKeys keys into found, by keyText. DynamoDB
// returns keys unprocessed if the answer would grow over 16 MB, or if a partition of
// the table is throttled. readChunk asks for the unprocessed keys again, after a
// pause, until none is left or ctx is done.
func (t table) readChunk(ctx context.Context, names []string, ask []map[string]types.AttributeValue, found map[string]item) error {
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
			found[keyText(i, names)] = i
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
