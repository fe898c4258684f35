package business

import (
	"fmt"
	"strings"
	"testing"

	"footfall/events"
)

func lines(all []Difference) string {
	var texts []string
	for _, d := range all {
		texts = append(texts, d.String())
	}
	return strings.Join(texts, "\n")
}

// A change of a secret is shown, the secret is not.
func TestDiffDoorsHoldsNoSecrets(t *testing.T) {
	before := Door{Key: "1", Senders: map[string]Sender{
		"mist": {Secrets: []string{"the first of the secrets"}}, "meraki": {Secrets: []string{"another of them all"}, Validator: "v1"},
	}}
	after := Door{Key: "2", Senders: map[string]Sender{
		"mist":   {Secrets: []string{"the first of the secrets", "and the second of them"}},
		"meraki": {Secrets: []string{"another of them all"}, Validator: "v2", PostsPerMinute: 9},
	}}
	got, want := lines(DiffDoors(&before, after)), strings.Join([]string{
		"door.key: 1 -> 2", "door.senders.meraki.posts_per_minute: none -> 9",
		"door.senders.meraki.validator: changed", "door.senders.mist.secrets: changed",
	}, "\n")
	if got != want {
		t.Errorf("got differences\n%s\nwant\n%s", got, want)
	}
	delete(after.Senders, "meraki")
	after.Senders["hostapd"] = Sender{Secrets: []string{"one that was not there"}}
	got, want = lines(DiffDoors(&before, after)), strings.Join([]string{
		"door.key: 1 -> 2", "door.senders.hostapd.secrets: new", "door.senders.mist.secrets: changed",
		"door.senders.meraki.secrets: dropped", "door.senders.meraki.validator: dropped",
	}, "\n")
	if got != want {
		t.Errorf("got differences\n%s\nwant\n%s", got, want)
	}
	if got := DiffDoors(&after, after); len(got) != 0 {
		t.Errorf("got differences %q of a door from itself, want none", got)
	}
}

// A list is compared by its elements, in whatever order they are.
func TestDiffSettingsCountsElements(t *testing.T) {
	for _, c := range []struct {
		before, after []events.DeviceID
		want          string
	}{
		{nil, []events.DeviceID{"1-a", "1-b"}, "rules.static: 2 more, 0 fewer"},
		{[]events.DeviceID{"1-a", "1-b"}, nil, "rules.static: 0 more, 2 fewer"},
		{[]events.DeviceID{"1-a", "1-b"}, []events.DeviceID{"1-b", "1-c", "1-d"}, "rules.static: 2 more, 1 fewer"},
		{[]events.DeviceID{"1-a", "1-b"}, []events.DeviceID{"1-b", "1-a"}, "rules.static: 0 more, 0 fewer"},
	} {
		before, after := Defaults(), Defaults()
		before.Static, after.Static = c.before, c.after
		if got := lines(DiffSettings(&before, after)); got != c.want {
			t.Errorf("%v to %v: got %q, want %q", c.before, c.after, got, c.want)
		}
	}
	if got, want := fmt.Sprint(DiffSettings(nil, Defaults())), "[rules: new]"; got != want {
		t.Errorf("got %s of settings where there were none, want %s", got, want)
	}
}
