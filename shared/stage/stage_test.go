package stage_test

import (
	"time"

	"footfall/events"
)

// The business and the moment of most tests.
const cafe events.BusinessID = "cafe-1"

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
