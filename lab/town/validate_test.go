package town

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestMistakesInConfig(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Config)
	}{
		{"start 2026-11-02 01:00:00 +0000 UTC is not a midnight", func(c *Config) { c.Start = c.Start.Add(time.Hour) }},
		{"is not a midnight UTC of the years 2000 to 2089", func(c *Config) { c.Start = time.Time{} }},
		{"duration 0s is not within", func(c *Config) { c.Duration = 0 }},
		{"the key for pseudonyms is missing", func(c *Config) { c.Key = nil }},
		{"there are no businesses", func(c *Config) { c.Businesses = nil }},
		{`business "market" is listed twice`, func(c *Config) { c.Businesses[1].ID = "market" }},
		{`business "a/b" is not a name`, func(c *Config) { c.Businesses[0].ID = "a/b" }},
		{`business "" is not a name`, func(c *Config) { c.Businesses[0].ID = "" }},
		{"market: 0 routers", func(c *Config) { c.Businesses[0].Routers = 0 }},
		{"market: it opens at 8h0m0s and closes at 8h30m0s", func(c *Config) { c.Businesses[0].Close = 8*time.Hour + 30*time.Minute }},
		{"market: it opens at 8h0m0s and closes at 25h0m0s", func(c *Config) { c.Businesses[0].Close = 25 * time.Hour }},
		{"market: -1 visits", func(c *Config) { c.Businesses[0].Visits = -1 }},
		{"market: median stay 1m0s", func(c *Config) { c.Businesses[0].Stay = time.Minute }},
		{"market: -1 passers-by", func(c *Config) { c.Businesses[0].PassersBy = -1 }},
		{"market: -1 neighbours, 2 static devices or 6 employees are below 0", func(c *Config) { c.Businesses[0].Neighbours = -1 }},
		{"market: 10 regulars are too few for their 60 visits", func(c *Config) { c.Businesses[0].Regulars = 10 }},
		{"share of regulars -1 is not within", func(c *Config) { c.People.RegularShare = -1 }},
		{"share of returns -1 is not within", func(c *Config) { c.People.ReturnShare = -1 }},
		{"share of logins NaN is not within", func(c *Config) { c.People.LoginShare = math.NaN() }},
		{"login after 0s is not above 0", func(c *Config) { c.People.LoginAfter = 0 }},
		{"share of second devices 2", func(c *Config) { c.People.SecondDevice = 2 }},
		{"share of loiterers 2", func(c *Config) { c.People.Loiterers = 2 }},
		{"share of people who step in 2", func(c *Config) { c.People.StepIns = 2 }},
		{"share of random addresses 2", func(c *Config) { c.Phones.Randomised = 2 }},
		{"share of passers-by's random addresses 2", func(c *Config) { c.Phones.PasserByRandomised = 2 }},
		{"share of joined devices 2", func(c *Config) { c.Phones.Joined = 2 }},
		{"the shares of the silences add up to 0, not 1", func(c *Config) { c.Phones.Silences = nil }},
		{"silence 1 lasts from 0s to 50s", func(c *Config) { c.Phones.Silences[0].Min = 0 }},
		{"silence 2 lasts from 1m0s to 0s", func(c *Config) { c.Phones.Silences[1].Max = 0 }},
		{"posts every 0s are more than one a second", func(c *Config) { c.Posts.Every = 0 }},
		{"delay -1s of posts", func(c *Config) { c.Posts.Delay = -time.Second }},
		{"are more than 2m0s out of order", func(c *Config) { c.Posts.Delay = 51 * time.Second }},
		{"share of repeated posts 2", func(c *Config) { c.Posts.Repeated = 2 }},
		{"-1 outages", func(c *Config) { c.Posts.Outages = -1 }},
		{"merges -1 or deletions 2", func(c *Config) { c.CRM.Merges = -1 }},
		{"quiet time -1s", func(c *Config) { c.CRM.Quiet = -time.Second }},
	} {
		config := Defaults()
		c.change(&config)
		_, err := Generate(config)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), "\n") != 0 {
			t.Errorf("error is %v\nwant one line with %s", err, c.want)
		}
	}
}

func TestAllMistakesAreReported(t *testing.T) {
	c := Defaults()
	c.Duration, c.Key = 0, nil
	c.Businesses[0].Routers, c.Businesses[2].Visits = 0, -5
	c.Posts.Every, c.CRM.Merges = 0, -1
	_, err := Generate(c)
	if err == nil || strings.Count(err.Error(), "\n") != 5 {
		t.Errorf("error is %v, want six lines", err)
	}
	if err := Defaults().Validate(); err != nil {
		t.Errorf("the default town cannot be: %v", err)
	}
}
