package presence_test

import (
	"fmt"
	"time"

	"footfall/shared/presence"
)

// Decide a visit: a phone is heard strongly at 12:00 and at 12:06, weakly at 12:20,
// and then no more. The watermark follows the ticks of each minute.
func Example() {
	rules := presence.DefaultRules()
	noon := presence.InstantOf(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	const minute = presence.Instant(60_000)

	var phone presence.Device // the state of one device at one business
	show := func(decisions []presence.Event) {
		for _, e := range decisions {
			if e.Ended {
				fmt.Println("visit of", e.Start.Time().Format("15:04"), "ended, last seen", e.Last.Time().Format("15:04"))
			} else {
				fmt.Println("walk-in", e.Start.Time().Format("15:04"), "confirmed", e.ConfirmedAt.Time().Format("15:04"))
			}
		}
	}

	rssi := map[presence.Instant]int32{0: -60, 6: -63, 20: -80} // dBm, by minute after noon
	for m := presence.Instant(0); m <= 90; m++ {
		watermark := noon + m*minute
		_, decisions := phone.Tick(watermark, &rules, nil)
		if heard, ok := rssi[m]; ok {
			sighting := presence.Sighting{SeenAt: noon + m*minute, RSSI: heard}
			_, decisions = phone.Next(sighting, watermark, &rules, decisions)
		}
		show(decisions)
	}
	fmt.Println("state left:", phone.Known())
	// Output:
	// walk-in 12:00 confirmed 12:06
	// visit of 12:00 ended, last seen 12:20
	// state left: false
}
