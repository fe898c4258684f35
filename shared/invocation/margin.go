package invocation

import (
	"context"
	"time"
)

// Margin is the time that an invocation keeps for its answer: a share of the
// time that is left, up to a maximum. Lambda kills an invocation that exceeds
// its timeout, and then nothing is answered at all.
type Margin struct {
	Share int           // the margin is the time left divided by Share; at least 1
	Max   time.Duration // upper bound of the margin
}

// AnswerMargin is the margin of the functions that answer an event source
// mapping, a schedule or an HTTP API: a tenth of the time left, at most 2 s. An
// answer there is written from memory and needs no call.
var AnswerMargin = Margin{Share: 10, Max: 2 * time.Second}

// Of returns the margin for an invocation that has left until its end. It
// returns 0 if no time is left.
func (m Margin) Of(left time.Duration) time.Duration {
	return max(0, min(left/time.Duration(m.Share), m.Max))
}

// WithDeadline returns a copy of ctx whose deadline lies the margin before the
// deadline of ctx. The margin is computed from the time that is left now. If
// ctx has no deadline, which Lambda always sets, the copy has none either. The
// caller must call cancel when its work is done.
func (m Margin) WithDeadline(ctx context.Context) (shortened context.Context, cancel context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-m.Of(time.Until(end))))
}
