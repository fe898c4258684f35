package kafka

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// slogger passes the client's log on to slog.
type slogger struct{ log *slog.Logger }

// levels pairs the client's levels with slog's. The client's info tells every
// connection and every look at metadata, which is nobody's daily reading.
var levels = map[kgo.LogLevel]slog.Level{
	kgo.LogLevelError: slog.LevelError,
	kgo.LogLevelWarn:  slog.LevelWarn,
	kgo.LogLevelInfo:  slog.LevelDebug,
	kgo.LogLevelDebug: slog.LevelDebug - 4,
}

// Level is the most talkative level that the logger takes.
func (s slogger) Level() kgo.LogLevel {
	for _, l := range []kgo.LogLevel{kgo.LogLevelDebug, kgo.LogLevelInfo, kgo.LogLevelWarn, kgo.LogLevelError} {
		if s.log.Enabled(context.Background(), levels[l]) {
			return l
		}
	}
	return kgo.LogLevelNone
}

// Log writes one line.
func (s slogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	s.log.Log(context.Background(), levels[level], "kafka client: "+msg, keyvals...)
}

// backoff is how long the client waits before retry number fails: twice as long
// each time up to maxBackoff, the upper half of it random.
func backoff(fails int) time.Duration {
	d := maxBackoff
	if fails < 10 { // beyond, the shift alone passes maxBackoff
		d = min(maxBackoff, minBackoff<<max(0, fails-1))
	}
	return d/2 + rand.N(d/2+1)
}
