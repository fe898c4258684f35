package stage

import "time"

// forgottenRetention keeps the marker of a forgotten contact for longer than the
// topics can tell of it.
const forgottenRetention = 100 * 24 * time.Hour

// Expires is when nobody needs the record any more: some time after the contact
// was forgotten, unless something is known of it again. It is the zero time for
// never.
func (r *ContactRecord) Expires() time.Time {
	if r.ForgottenAt.IsZero() || len(r.Devices) > 0 || r.MergedInto != "" {
		return time.Time{}
	}
	return r.ForgottenAt.Add(forgottenRetention)
}
