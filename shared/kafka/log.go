package kafka

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// slogger writes the log of the client to slog.
type slogger struct{ log *slog.Logger }

// levels maps the client's levels to those of slog. The client's info becomes
// debug, since at info the client reports every connection and every request for
// metadata.
var levels = map[kgo.LogLevel]slog.Level{
	kgo.LogLevelError: slog.LevelError,
	kgo.LogLevelWarn:  slog.LevelWarn,
	kgo.LogLevelInfo:  slog.LevelDebug,
	kgo.LogLevelDebug: slog.LevelDebug - 4,
}

// Level returns the most verbose client level that the logger accepts.
func (s slogger) Level() kgo.LogLevel {
	for _, l := range []kgo.LogLevel{kgo.LogLevelDebug, kgo.LogLevelInfo, kgo.LogLevelWarn, kgo.LogLevelError} {
		if s.log.Enabled(context.Background(), levels[l]) {
			return l
		}
	}
	return kgo.LogLevelNone
}

// Log writes one message with its key-value pairs.
func (s slogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	s.log.Log(context.Background(), levels[level], "kafka client: "+msg, keyvals...)
}

// backoff returns the wait before the retry that follows the given number of
// failures. The wait doubles with each failure up to maxBackoff, and its upper
// half is random.
func backoff(fails int) time.Duration {
	d := maxBackoff
	if fails < 10 { // from 10 on the shift alone exceeds maxBackoff, and a long one overflows
		d = min(maxBackoff, minBackoff<<max(0, fails-1))
	}
	return d/2 + rand.N(d/2+1)
}
