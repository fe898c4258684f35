package invocation

import (
	"context"
	"time"
)

// Margin is the time kept for the answer of an invocation: a share of the time left,
// up to a maximum. Without a margin Lambda might kill the invocation at its timeout
// before any answer.
type Margin struct {
	Share int           // the margin is the time left divided by Share; at least 1
	Max   time.Duration // upper bound of the margin
}

// AnswerMargin is the margin of a function that answers an event source mapping, a
// schedule or an HTTP API: a tenth of the time left, at most 2 s. Such an answer
// needs no call over the network but to Lambda itself.
var AnswerMargin = Margin{Share: 10, Max: 2 * time.Second}

// Length returns the margin of an invocation with left until its end, or 0 if no
// time is left.
func (m Margin) Length(left time.Duration) time.Duration {
	return max(0, min(left/time.Duration(m.Share), m.Max))
}

// WithDeadline returns a copy of ctx with a deadline that lies the margin before the
// deadline of ctx. The margin is computed from the time left now. If ctx has no
// deadline, which never happens in Lambda, the copy has no deadline either. The
// caller must call cancel when the work is done.
func (m Margin) WithDeadline(ctx context.Context) (shortened context.Context, cancel context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-m.Length(time.Until(end))))
}
