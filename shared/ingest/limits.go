package ingest

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// defaultPostsPerMinute is the rate of a sender without a configured rate: 100
// routers, each with a post every 10 seconds.
const defaultPostsPerMinute = 600

// rateLimiters bounds how fast each sender posts to this environment. It holds one
// limiter per configured sender. Only verified posts reach rateLimiters, so an
// attacker cannot make the map grow.
type rateLimiters struct {
	mu      sync.Mutex
	byRoute map[route]*rate.Limiter
}

// newRateLimiters returns rateLimiters before the first post.
func newRateLimiters() rateLimiters { return rateLimiters{byRoute: map[route]*rate.Limiter{}} }

// reserve counts a post of a sender at now and returns 0. If the post exceeds
// perMinute (0 is the default rate), reserve does not count the post and returns
// how long the sender must wait. The posts of a minute may come at once.
func (r *rateLimiters) reserve(from route, perMinute int, now time.Time) (wait time.Duration) {
	if perMinute <= 0 {
		perMinute = defaultPostsPerMinute
	}
	limit := rate.Limit(float64(perMinute) / 60)
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.byRoute[from]
	if l == nil {
		l = rate.NewLimiter(limit, perMinute)
		r.byRoute[from] = l
	}
	// If the rate was changed in the settings since the last post, it applies now.
	if l.Limit() != limit {
		l.SetLimitAt(now, limit)
		l.SetBurstAt(now, perMinute)
	}
	reserved := l.ReserveN(now, 1)
	if wait = reserved.DelayFrom(now); wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

// The memory of accepted posts. An environment that accepts 10 posts a second
// fills it in an hour and a half.
const (
	repeatWindow     = time.Hour   // in which an equal body is a repetition
	repeatWindowMist = time.Minute // see knownSender.repeatWindow
	maxRemembered    = 50_000      // posts
)

// digest identifies a body together with the route that it was posted to.
type digest [sha256.Size]byte

// digestPost returns the digest of a body that was posted to a route.
func digestPost(to route, body []byte) (d digest) {
	h := sha256.New()
	h.Write([]byte(to.business))
	h.Write([]byte{'/'}) // in no business
	h.Write([]byte(to.kind))
	h.Write([]byte{0}) // in no kind
	h.Write(body)
	h.Sum(d[:0])
	return d
}

// acceptedPosts remembers the digests of the posts that this environment accepted
// within repeatWindow, with the times of their arrival. A repetition may reach
// another environment, without this memory. It is produced again there, which
// changes nothing.
type acceptedPosts struct {
	cache *otter.Cache[digest, time.Time]
}

// newAcceptedPosts returns acceptedPosts before the first post.
func newAcceptedPosts() acceptedPosts {
	return acceptedPosts{otter.Must(&otter.Options[digest, time.Time]{
		MaximumSize:      maxRemembered,
		ExpiryCalculator: otter.ExpiryWriting[digest, time.Time](repeatWindow),
	})}
}

// within reports whether the post was accepted less than window before now.
func (a acceptedPosts) within(post digest, window time.Duration, now time.Time) bool {
	at, ok := a.cache.GetIfPresent(post)
	return ok && now.Sub(at) < window
}

// add remembers that the post was accepted at now.
func (a acceptedPosts) add(post digest, now time.Time) { a.cache.Set(post, now) }
