package lambdarun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"footfall/shared/stage"
)

// handlersPerProcessor bounds how many partitions are handled at the same time.
// Stages mostly wait for Kafka and DynamoDB.
const handlersPerProcessor = 4

// Runner hands the partitions of each event to a stage. It is a
// [lambda.Handler], safe for concurrent invocations.
type Runner struct {
	// WholeBatch makes an event fail as a whole if any record is not done. The
	// on-demand pollers of an event source mapping need WholeBatch, since partial
	// answers are unknown to them: such a poller would take a partial answer for a
	// success and never redeliver the named records. Set WholeBatch before the
	// first invocation.
	WholeBatch bool

	stage   string
	handler stage.Handler
	log     *slog.Logger
	limit   int // partitions handled at the same time

	mu   sync.Mutex
	busy map[partitionKey]chan struct{} // closed when the partition is free again
}

var _ lambda.Handler = (*Runner)(nil)

// New returns a runner of stage h. stageName names the stage in logs and errors.
func New(stageName string, h stage.Handler, log *slog.Logger) *Runner {
	return &Runner{
		stage: stageName, handler: h, log: log.With("stage", stageName),
		limit: runtime.GOMAXPROCS(0) * handlersPerProcessor,
		busy:  map[partitionKey]chan struct{}{},
	}
}

// Start serves invocations until the environment ends. It does not return.
func (r *Runner) Start() { lambda.Start(r) }

// Invoke handles one event and returns the partial answer. Invoke logs a line
// before the first record is handled, a line per failed partition, and a line
// when the event is done.
//
// Each partition runs by itself. An error, a lack of time, or a panic on the
// goroutine of the handler fails that partition alone; if every partition
// failed, the answer still has the same form.
//
// The context of the stage ends before the invocation does, see budget. If a
// handler ignores its context, this happens:
//
//  1. The answer goes out without the handler, and names the partition's records.
//  2. The mapping redelivers the records. Lambda thaws the environment for the
//     new event, and the handler of the earlier event goes on.
//  3. In the new event the partition waits until the earlier handler has ended.
//     A handler that has not ended by the deadline of the new event never will:
//     Invoke panics, and Lambda replaces the environment.
//
// Invoke returns an error if the event cannot be decoded, and with WholeBatch
// if any record is not done.
func (r *Runner) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	began := time.Now()
	parts, err := DecodeEvent(payload)
	if err != nil {
		return nil, fmt.Errorf("stage %s: decode an event of %d bytes: %w", r.stage, len(payload), err)
	}
	r.received(ctx, parts)

	// Handle every partition, then name the records to redeliver.
	errs := r.handleAll(ctx, parts)
	var a answer
	for i, p := range parts {
		a.add(p.ID, toRedeliver(p.Batch.Records, errs[i]))
	}
	r.report(ctx, parts, errs, len(a.Failures), began)

	// Step 3 above. Any answer would keep the environment alive, and the partition
	// would fail in every event from now on.
	for _, err := range errs {
		if errors.Is(err, errStuck) {
			panic(err)
		}
	}
	if r.WholeBatch && len(a.Failures) > 0 {
		return nil, fmt.Errorf("stage %s: %w", r.stage, undoneError(parts, errs))
	}
	return json.Marshal(a)
}
