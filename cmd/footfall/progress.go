package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// lineEvery is the interval of progress lines if the output is no terminal.
const lineEvery = 5 * time.Second

// progress shows the progress of long work: a bar on a terminal, lines elsewhere.
type progress struct {
	what  string
	out   io.Writer
	bar   *progressbar.ProgressBar // nil without a terminal
	began time.Time
	last  time.Time
}

// newProgress returns the progress of work of a size, -1 if the size is unknown.
func newProgress(out io.Writer, what string, total int64) *progress {
	p := &progress{what: what, out: out, began: time.Now(), last: time.Now()}
	// A bar needs a terminal.
	if f := terminal(out); f != nil && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(f),
			progressbar.OptionSetDescription(what),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetPredictTime(total > 0),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

// during prints what is done while work runs: at once, and every lineEvery with how far
// the work has got, which detail returns. detail is called on another goroutine.
func during(out io.Writer, what string, detail func() string, work func() error) error {
	fmt.Fprintln(out, what)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(lineEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				fmt.Fprintf(out, "%s: %s\n", what, detail())
			}
		}
	}()
	err := work()
	close(done)
	<-ended
	return err
}

// update shows how much of total is done. words is the same for a plain line, which is
// printed every lineEvery at most.
func (p *progress) update(done, total int64, words string) {
	if p.bar != nil {
		p.bar.ChangeMax64(total)
		if err := p.bar.Set64(done); err != nil {
			p.bar = nil // an error of the bar does not stop the work
		}
		return
	}
	if time.Since(p.last) < lineEvery {
		return
	}
	p.last = time.Now()
	fmt.Fprintf(p.out, "%s: %s\n", p.what, words)
}

// finish ends the bar and returns how long the work took.
func (p *progress) finish() time.Duration {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
	return time.Since(p.began)
}
