package local

import (
	"context"

	"footfall/shared/pipeline"
)

// StageStats are the counters of one stage since the start, its mappings taken
// together.
type StageStats struct {
	Stage       string
	Records     int64 // done: processed or put among the dead letters
	Requests    int64 // answered, of a stage that takes posts
	Rejected    int64 // of these, with an error of the sender's
	Invocations int64
	Errors      int64 // invocations that failed, wholly or in part, and requests that were answered so
	Retries     int64 // batches and parts of batches given again
	DeadLetters int64 // records whose retries were used up
	Restarts    int64 // of its processes
	Lag         int64 // records on its topics that are not done
}

// Stats gives the counters of every stage in the order of the graph. It asks
// the broker for the lag.
func (s *Stack) Stats(ctx context.Context) ([]StageStats, error) {
	var all []StageStats
	for _, spec := range pipeline.Default().Stages {
		r := s.runtime.Stats(spec.Name)
		st := StageStats{Stage: spec.Name, Invocations: r.Invocations, Restarts: r.Restarts}
		switch {
		case spec.HTTP && s.api != nil:
			a := s.api.Stats()
			st.Requests, st.Rejected, st.Errors = a.Requests, a.Rejected, a.Failed
		case len(spec.Reads) == 0:
			st.Errors = r.Errors // of a mapping's invocations the poller knows more
		}
		for _, m := range s.mappings {
			if m.stage != spec.Name {
				continue
			}
			p := m.Stats()
			st.Records += p.Records
			st.Errors += p.Errors
			st.Retries += p.Retries
			st.DeadLetters += p.DeadLetters
			_, lag, err := s.position(ctx, m)
			if err != nil {
				return nil, err
			}
			st.Lag += lag
		}
		all = append(all, st)
	}
	return all, nil
}
