package lambdarun

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"footfall/shared/stage"
)

// answer is the partial answer of a function to an event source mapping for
// Kafka (AWS Lambda developer guide, "Kafka retry configurations"). Without
// failures it is {}, a success.
type answer struct {
	Failures []itemFailure `json:"batchItemFailures,omitempty"`
}

type itemFailure struct {
	Item item `json:"itemIdentifier"`
}

// item names one record. Partition is the key of the event's records: an
// identifier that the event did not hold makes the mapping retry everything.
type item struct {
	Partition string `json:"partition"`
	Offset    int64  `json:"offset"`
}

// add reports the records of a partition that are not done. All of them are
// named, since nothing says that the mapping holds the later offsets of a
// partition back when only the first is named.
func (a *answer) add(id string, undone []stage.Record) {
	for _, r := range undone {
		a.Failures = append(a.Failures, itemFailure{item{Partition: id, Offset: r.Offset}})
	}
}

// undone gives the records of a batch that are to be given again after err. A
// Failure with an offset outside of the batch says nothing that can be relied
// on, so that the whole batch counts.
func undone(records []stage.Record, err error) []stage.Record {
	if err == nil {
		return nil
	}
	f, ok := errors.AsType[*stage.Failure](err)
	if !ok || f.Offset > records[len(records)-1].Offset {
		return records
	}
	// Offsets may have holes: the first one at or after the failure's.
	i, _ := slices.BinarySearchFunc(records, f.Offset, func(r stage.Record, offset int64) int {
		return cmp.Compare(r.Offset, offset)
	})
	return records[i:]
}

// maxNamed bounds how many partitions an error names; the log names them all.
const maxNamed = 8

// undoneError says in one error which partitions of an event are undone and
// from which offset on, and why the first of them is.
func undoneError(parts []Partition, errs []error) error {
	var named []string
	failed, first := 0, error(nil)
	for i, p := range parts {
		if errs[i] == nil {
			continue
		}
		failed++
		first = cmp.Or(first, errs[i])
		if failed <= maxNamed {
			named = append(named, fmt.Sprintf("%s from offset %d on", p.ID, undone(p.Batch.Records, errs[i])[0].Offset))
		}
	}
	if failed > maxNamed {
		named = append(named, fmt.Sprintf("and %d more", failed-maxNamed))
	}
	return fmt.Errorf("%d of %d partitions undone (%s): %w", failed, len(parts), strings.Join(named, ", "), first)
}
