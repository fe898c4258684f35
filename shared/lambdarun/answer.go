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

// itemFailure names one record that the mapping must redeliver.
type itemFailure struct {
	Item item `json:"itemIdentifier"`
}

// item identifies a record. Partition is the partition's key in the event. For an
// identifier unknown in the event, the mapping would retry everything.
type item struct {
	Partition string `json:"partition"`
	Offset    int64  `json:"offset"`
}

// add names records of the partition with key id. The caller passes every undone
// record, not only the first: AWS does not document whether the mapping holds the
// later offsets of a partition back if only the first is named.
func (a *answer) add(id string, undone []stage.Record) {
	for _, r := range undone {
		a.Failures = append(a.Failures, itemFailure{item{Partition: id, Offset: r.Offset}})
	}
}

// toRedeliver returns the records of a batch to redeliver after err: none if err
// is nil, the records from the failure's offset on if err is a [stage.Failure],
// and otherwise all. A failure with an offset outside of the batch is not to be
// relied on: all records are redelivered. records must not be empty.
func toRedeliver(records []stage.Record, err error) []stage.Record {
	if err == nil {
		return nil
	}
	f, ok := errors.AsType[*stage.Failure](err)
	if !ok || f.Offset > records[len(records)-1].Offset {
		return records
	}
	// Compaction leaves gaps in the offsets: begin with the first offset at or
	// after the failure's. An offset before the batch leads to its first record.
	i, _ := slices.BinarySearchFunc(records, f.Offset, func(r stage.Record, offset int64) int {
		return cmp.Compare(r.Offset, offset)
	})
	return records[i:]
}

// maxNamed bounds how many partitions an error names; the log names them all.
const maxNamed = 8

// undoneError returns the error of an event with WholeBatch. The text names each
// failed partition with its first undone offset; the wrapped error is the first
// partition's. errs must hold an error.
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
			named = append(named, fmt.Sprintf("%s from offset %d on", p.ID, toRedeliver(p.Batch.Records, errs[i])[0].Offset))
		}
	}
	if failed > maxNamed {
		named = append(named, fmt.Sprintf("and %d more", failed-maxNamed))
	}
	return fmt.Errorf("%d of %d partitions undone (%s): %w", failed, len(parts), strings.Join(named, ", "), first)
}
