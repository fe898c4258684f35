package stage

import (
	"errors"
	"strconv"
)

// Failure is the error of a batch whose first records were processed and whose
// other records were not.
type Failure struct {
	Offset int64 // the first offset that is to be redelivered
	Err    error // the reason why the record at Offset failed
}

// Error returns the offset and the text of the cause.
func (f *Failure) Error() string {
	return "from offset " + strconv.FormatInt(f.Offset, 10) + ": " + f.Err.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// ErrConflict is the error of a conditional write whose condition did not hold.
// The other writer may be an earlier attempt of the same caller: the table
// applied its write, but the answer was lost. The caller reads the item again
// and decides again.
var ErrConflict = errors.New("conditional write failed: another writer changed the item")
