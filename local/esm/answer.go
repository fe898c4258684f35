package esm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outcome says what an invocation did to one share of its batch.
type outcome struct {
	done     int          // records from the first on that are done
	err      error        // why the rest is not; nil where all of them are
	reported map[int]bool // the records that the answer names; nil for none
}

// answer is what a function may return (AWS Lambda developer guide,
// "Configuring error handling controls for Kafka event sources").
type answer struct {
	Failures []struct {
		Item *struct {
			Partition *string `json:"partition"`
			Offset    *int64  `json:"offset"`
		} `json:"itemIdentifier"`
	} `json:"batchItemFailures"`
}

// readAnswer reads a function's answer: one outcome per share. An error is one of
// the whole batch: an answer that is not in the documented form, or that names
// a record which was not in the event.
//
// The lowest offset decides what is done. What becomes of records behind it that
// are not reported is up to Options.PassUnreported.
func readAnswer(shares []share, body []byte) ([]outcome, error) {
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
		return nil, fmt.Errorf("malformed answer %.200q: %w", body, err)
	}
	for _, f := range a.Failures {
		if f.Item == nil || f.Item.Partition == nil || f.Item.Offset == nil {
			return nil, fmt.Errorf("answer with an item that does not name a partition and an offset: %.200q", body)
		}
		share, record, ok := find(shares, *f.Item.Partition, *f.Item.Offset)
		if !ok {
			return nil, fmt.Errorf("answer names %s offset %d, which was not in the event", *f.Item.Partition, *f.Item.Offset)
		}
		o := &outcomes[share]
		if o.reported == nil {
			o.reported = map[int]bool{}
		}
		o.reported[record] = true
		if o.err == nil || record < o.done {
			o.done = record
			o.err = fmt.Errorf("reported as failed from offset %d on", *f.Item.Offset)
		}
	}
	return outcomes, nil
}

// find gives the indexes of the share and of the record in it.
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
