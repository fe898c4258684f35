package esm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outcome is what the function's answer means for one share of its batch.
type outcome struct {
	done     int          // records from the first one on that are done
	err      error        // why the rest is not done; nil if all records are
	reported map[int]bool // indexes of the records that the answer names; nil if none
}

// answer is the partial response that a function may return (AWS Lambda
// developer guide, "Configuring error handling controls for Kafka event
// sources").
type answer struct {
	Failures []struct {
		Item *struct {
			Partition *string `json:"partition"`
			Offset    *int64  `json:"offset"`
		} `json:"itemIdentifier"`
	} `json:"batchItemFailures"`
}

// readAnswer returns one outcome for each share from a function's answer. It
// returns an error, which fails the whole batch, if the answer is not in the
// documented form or names a record that was not in the event.
//
// In each share, the records before the lowest reported offset are done.
// Whether records behind it that are not reported are done as well depends on
// Options.UnreportedDone.
func readAnswer(shares []share, body []byte) ([]outcome, error) {
	// Without a reported record, every record is done.
	outcomes := make([]outcome, len(shares))
	for i, s := range shares {
		outcomes[i].done = len(s.records)
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 || string(body) == "null" {
		return outcomes, nil
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("malformed answer of the function %.200q: %w", body, err)
	}
	for _, f := range a.Failures {
		if f.Item == nil || f.Item.Partition == nil || f.Item.Offset == nil {
			return nil, fmt.Errorf("answer of the function has an item without a partition or an offset: %.200q", body)
		}
		share, record, ok := find(shares, *f.Item.Partition, *f.Item.Offset)
		if !ok {
			return nil, fmt.Errorf("answer of the function names %s offset %d, which was not in the event", *f.Item.Partition, *f.Item.Offset)
		}
		// The answer may name the records in any order: keep the lowest.
		o := &outcomes[share]
		if o.reported == nil {
			o.reported = map[int]bool{}
		}
		o.reported[record] = true
		if o.err == nil || record < o.done {
			o.done = record
			o.err = fmt.Errorf("function reported a failure from offset %d on", *f.Item.Offset)
		}
	}
	return outcomes, nil
}

// find returns the index of the share of the partition called name, and the
// index in that share of the record at offset.
func find(shares []share, name string, offset int64) (s, record int, ok bool) {
	s = slices.IndexFunc(shares, func(s share) bool { return s.p.name == name })
	if s < 0 {
		return 0, 0, false
	}
	record, ok = slices.BinarySearchFunc(shares[s].records, offset, func(r *kgo.Record, offset int64) int {
		return int(r.Offset - offset)
	})
	return s, record, ok
}
