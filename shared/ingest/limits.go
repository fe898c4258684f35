package ingest

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// defaultPostsPerMinute is what a sender may post that has no rate of its own:
// 100 routers, each of which posts every 10 seconds.
const defaultPostsPerMinute = 600

// rates keeps how fast each sender posts to this environment. It holds one
// limiter per sender that is configured, so nobody can make it grow.
type rates struct {
	mu   sync.Mutex
	each map[address]*rate.Limiter
}

// allow takes a post of a sender at now. Where it is one too many it gives how
// long the sender must wait. A sender may post a minute's worth at once.
func (r *rates) allow(a address, perMinute int, now time.Time) (wait time.Duration) {
	if perMinute <= 0 {
		perMinute = defaultPostsPerMinute
	}
	limit := rate.Limit(float64(perMinute) / 60)
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.each[a]
	if l == nil {
		l = rate.NewLimiter(limit, perMinute)
		r.each[a] = l
	}
	if l.Limit() != limit {
		l.SetLimitAt(now, limit)
		l.SetBurstAt(now, perMinute)
	}
	taken := l.ReserveN(now, 1)
	if wait = taken.DelayFrom(now); wait > 0 {
		taken.CancelAt(now)
	}
	return wait
}

// What is remembered of the posts that were taken. An environment that takes 10
// a second fills it in an hour and a half.
const (
	rememberFor   = time.Hour
	rememberBrief = time.Minute
	rememberPosts = 50_000
)

// digest stands for a body and where it was posted to.
type digest [sha256.Size]byte

func digestOf(a address, body []byte) (d digest) {
	h := sha256.New()
	h.Write([]byte(a.business))
	h.Write([]byte{'/'}) // in no business
	h.Write([]byte(a.kind))
	h.Write([]byte{0})
	h.Write(body)
	h.Sum(d[:0])
	return d
}

// taken remembers which posts this environment took lately, and when.
type taken struct {
	posts *otter.Cache[digest, time.Time]
}

func newTaken() taken {
	return taken{otter.Must(&otter.Options[digest, time.Time]{
		MaximumSize:      rememberPosts,
		ExpiryCalculator: otter.ExpiryWriting[digest, time.Time](rememberFor),
	})}
}

// within says whether a post was taken less than d before now.
func (t taken) within(post digest, d time.Duration, now time.Time) bool {
	at, ok := t.posts.GetIfPresent(post)
	return ok && now.Sub(at) < d
}

func (t taken) remember(post digest, now time.Time) { t.posts.Set(post, now) }
