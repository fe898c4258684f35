package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"footfall/events"
	"footfall/local/feed"
	"footfall/local/recording"
	"footfall/local/score"
	"footfall/local/town"
)

// replayCmd runs recordings through the pipeline.
type replayCmd struct {
	Files    []string          `arg:"" name:"file" help:"CSV, NDJSON or capture of probe requests (pcap, pcapng), gzipped or not; - for stdin."`
	Business events.BusinessID `default:"store" help:"The store of rows that name none."`
	Key      string            `default:"footfall-replay" help:"Key of the pseudonyms that MAC addresses are turned into."`
	Speed    speedFlag         `help:"Seconds of the recording per second; without it, as fast as the machine can." placeholder:"N"`
	Truth    string            `help:"Who was really there, to compare with: CSV (mac,enter_ms,exit_ms), or *.ndjson as simulate writes it." placeholder:"FILE"`

	stackFlags `group:"The pipeline:"`
}

// Run replays the files with the recording's own clock.
func (c *replayCmd) Run(ctx context.Context, s streams) error {
	truth, err := c.truth()
	if err != nil {
		return err
	}
	src, err := recording.Open(c.Files, s.in, recording.Options{Business: c.Business, Key: []byte(c.Key)})
	if err != nil {
		return err
	}
	stack, err := c.start(ctx, s, false)
	if err != nil {
		return errors.Join(err, src.Close())
	}
	o, err := through(ctx, s, stack, src, c.Speed, func(p *progress, st feed.Stats) {
		done, total := src.Progress()
		p.at(done, total, fmt.Sprintf("%d %%, %d sightings, at %s", 100*done/max(total, 1), st.Sightings, st.To.Format("2006-01-02 15:04")))
	})
	if err == nil {
		printReport(s.out, o)
		if truth != nil {
			printScore(s.out, score.Score(truth, o.report.Visits))
		}
		err = o.report.Err()
	}
	return errors.Join(closing(stack, err), src.Close())
}

func (c *replayCmd) truth() ([]score.Visit, error) {
	if c.Truth == "" {
		return nil, nil
	}
	f, err := os.Open(c.Truth)
	if err != nil {
		return nil, fmt.Errorf("true visits: %w", err)
	}
	visits, err := c.readTruth(f)
	return visits, errors.Join(err, f.Close())
}

func (c *replayCmd) readTruth(f *os.File) ([]score.Visit, error) {
	if filepath.Ext(c.Truth) != ".ndjson" {
		return score.ReadTruthCSV(f, c.Truth, c.Business, []byte(c.Key))
	}
	visits, err := town.ReadTruth(f, c.Truth)
	return town.Town{Visits: visits}.ScoreTruth(), err
}
