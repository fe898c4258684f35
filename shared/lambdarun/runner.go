// Package lambdarun runs a stage as a Lambda function: the event of an event
// source mapping for Kafka comes in, each partition goes to the stage, and the
// answer names the records to give again.
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

// handlersPerProcessor bounds the partitions under way at once. Stages mostly
// wait for Kafka and DynamoDB.
const handlersPerProcessor = 4

// Runner hands the partitions of each event to a stage. It is a
// [lambda.Handler], safe for concurrent invocations.
type Runner struct {
	// WholeBatch is for the pollers on demand of an event source mapping, which
	// know no partial answers: they would take one for a success and never give
	// the records again that it names. With it an event of which anything is
	// undone fails as a whole. To be set before the first invocation.
	WholeBatch bool

	stage   string
	handler stage.Handler
	log     *slog.Logger
	limit   int // partitions under way at once

	mu   sync.Mutex
	busy map[partitionKey]chan struct{} // closed when the partition is free again
}

var _ lambda.Handler = (*Runner)(nil)

// New makes the runner of stage h. stageName names it in logs and errors.
func New(stageName string, h stage.Handler, log *slog.Logger) *Runner {
	return &Runner{
		stage: stageName, handler: h, log: log.With("stage", stageName),
		limit: runtime.GOMAXPROCS(0) * handlersPerProcessor,
		busy:  map[partitionKey]chan struct{}{},
	}
}

// Start serves invocations until the environment ends. It does not return.
func (r *Runner) Start() { lambda.Start(r) }

// Invoke handles one event and gives the partial answer. Each partition runs
// by itself: an error, a lack of time or a panic (on the goroutine of the
// handler) fails that partition alone, and an event of which every partition
// failed is answered in the same way. It logs a line before it begins with the
// event and one when it is done, and one per failed partition.
//
// The stage's context ends before the invocation does, see budget. A handler
// that does not heed it is left behind and its partition fails; should it still
// be running when the next event of that partition is over, it never will end,
// and Invoke panics so that Lambda replaces the environment.
//
// The error is for an event that cannot be decoded, and with WholeBatch for one
// of which anything is undone.
func (r *Runner) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	began := time.Now()
	parts, err := DecodeEvent(payload)
	if err != nil {
		return nil, fmt.Errorf("stage %s: decode an event of %d bytes: %w", r.stage, len(payload), err)
	}
	r.received(ctx, parts)
	errs := r.handleAll(ctx, parts)
	var a answer
	for i, p := range parts {
		a.add(p.ID, undone(p.Batch.Records, errs[i]))
	}
	r.report(ctx, parts, errs, len(a.Failures), began)
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
