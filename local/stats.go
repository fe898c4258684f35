package local

import (
	"context"

	"footfall/shared/pipeline"
)

// StageStats are the counters of one stage since the start, summed over its
// event source mappings.
type StageStats struct {
	Stage       string
	Records     int64 // done: processed or sent to the dead letters
	Requests    int64 // HTTP requests that were answered, of a stage that takes posts
	Rejected    int64 // of Requests, those answered with a status from 400 to 499
	Invocations int64
	Errors      int64 // invocations that failed, wholly or in part, and requests answered with a status of 500 or more
	Retries     int64 // shares of batches that failed and are to be redelivered
	DeadLetters int64 // records whose retries were used up
	Restarts    int64 // function processes started in place of one that ended
	Lag         int64 // records on the stage's topics that are not done
}

// Stats returns the counters of every stage in the order of the graph. It asks
// the broker for the lag, and returns an error if the broker does not answer.
func (s *Stack) Stats(ctx context.Context) ([]StageStats, error) {
	positions, err := s.positions(ctx, s.mappings)
	if err != nil {
		return nil, err
	}
	var all []StageStats
	for _, spec := range pipeline.Default().Stages {
		// The source of the errors depends on how the stage is invoked: by
		// HTTP, by a schedule, or by event source mappings, whose errors the
		// pollers count.
		r := s.runtime.Stats(spec.Name)
		st := StageStats{Stage: spec.Name, Invocations: r.Invocations, Restarts: r.Restarts}
		switch {
		case spec.HTTP && s.api != nil:
			a := s.api.Stats()
			st.Requests, st.Rejected, st.Errors = a.Requests, a.Rejected, a.Failed
		case len(spec.Reads) == 0:
			st.Errors = r.Errors // a poller also counts answers that report failed records
		}
		// Add up the mappings of the stage.
		for i, m := range s.mappings {
			if m.stage != spec.Name {
				continue
			}
			p := m.Stats()
			st.Records += p.Records
			st.Errors += p.Errors
			st.Retries += p.Retries
			st.DeadLetters += p.DeadLetters
			st.Lag += positions[i].lag
		}
		all = append(all, st)
	}
	return all, nil
}
