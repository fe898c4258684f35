package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"footfall/events"
	"footfall/shared/audit"
	"footfall/shared/business"
	"footfall/shared/dynamo"
)

// businessCmd is what people do with the settings of businesses.
type businessCmd struct {
	Get    businessGetCmd    `cmd:"" help:"Print what is set, as set and import take it."`
	Set    businessSetCmd    `cmd:"" help:"Set what one business decides by, or who may post for it."`
	Import businessImportCmd `cmd:"" help:"Set many businesses from one file."`
}

// businesses is the table of them.
func (f tableFlags) businesses(ctx context.Context) (*dynamo.Businesses, error) {
	client, err := f.tables(ctx)
	if err != nil {
		return nil, err
	}
	return dynamo.NewBusinesses(client, f.TablePrefix), nil
}

// ruleHistories gives the rules of all businesses that have any of their own.
func ruleHistories(ctx context.Context, table *dynamo.Businesses) (audit.Histories, error) {
	ids, err := table.List(ctx)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	all, err := table.Rules(ctx, ids)
	if err != nil {
		return nil, err
	}
	h := make(audit.Histories, len(ids))
	for i, id := range ids {
		if len(all[i]) > 0 {
			h[id] = all[i]
		}
	}
	return h, nil
}

// businessGetCmd prints documents.
type businessGetCmd struct {
	tableFlags
	ID      events.BusinessID `arg:"" optional:"" help:"This business alone; otherwise all of them, by their ids."`
	Secrets bool              `help:"Print the secrets of senders too."`
}

// Run prints one document, or all in one object.
func (c *businessGetCmd) Run(ctx context.Context, s streams) error {
	table, err := c.businesses(ctx)
	if err != nil {
		return err
	}
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	if c.ID != "" {
		d, err := c.document(ctx, s.err, table, c.ID)
		if err != nil {
			return err
		}
		return e.Encode(d)
	}
	ids, err := table.List(ctx)
	if err != nil {
		return err
	}
	all := make(map[events.BusinessID]business.Document, len(ids))
	for _, id := range ids {
		if all[id], err = c.document(ctx, s.err, table, id); err != nil {
			return err
		}
	}
	return e.Encode(all)
}

// document reads a business and says on notes since when its rules hold, and which
// are still to come.
func (c *businessGetCmd) document(ctx context.Context, notes io.Writer, table *dynamo.Businesses, id events.BusinessID) (business.Document, error) {
	var d business.Document
	stored, ok, err := table.Read(ctx, id)
	if err == nil && !ok {
		err = fmt.Errorf("nothing is set of %s: it decides by the defaults, and nobody may post for it", id)
	}
	if err != nil {
		return d, err
	}
	now := time.Now()
	if r, holds := stored.Revisions.At(now); holds {
		d.Rules = &r.Settings
		fmt.Fprintf(notes, "%s: rules hold %s\n", id, sinceText(r.Since))
	}
	former := d.Rules
	for i := range stored.Revisions {
		if r := &stored.Revisions[i]; r.Since.After(now) {
			fmt.Fprintf(notes, "%s: from %s on:\n", id, r.Since.Format(time.RFC3339))
			printDifferences(notes, business.DiffSettings(former, r.Settings))
			former = &r.Settings
		}
	}
	if stored.Door != nil {
		door := *stored.Door
		if !c.Secrets {
			door = door.Masked()
		}
		d.Door = &door
	}
	return d, nil
}

func sinceText(since time.Time) string {
	if since.IsZero() {
		return "from the beginning"
	}
	return "since " + since.UTC().Format(time.RFC3339)
}

// businessSetCmd sets one business.
type businessSetCmd struct {
	changeFlags
	ID   events.BusinessID `arg:"" help:"The business."`
	File string            `required:"" placeholder:"FILE" help:"Its document, or rules alone as calibrate writes them; - for stdin."`
}

// Help says what a document is.
func (c *businessSetCmd) Help() string {
	return `The document is JSON with "rules", "door" or both; docs/settings.md has every field. A part that is not there stays as it is;
a field that is not there has its default. Rules alone, as calibrate writes them, change what they name and nothing else.

Rules hold from a moment of event time on, which is said. Rules that were to begin then or later are replaced.

Exit status: 0 it is set, or was so already; 1 the document is wrong, or it could not be set; 2 the command line makes no sense.`
}

// Run sets what differs.
func (c *businessSetCmd) Run(ctx context.Context, s streams) error {
	data, err := readInput(s, c.File)
	if err != nil {
		return err
	}
	if err := business.ValidID(c.ID); err != nil {
		return err
	}
	former, err := c.former(ctx)
	if err != nil {
		return err
	}
	d, err := business.ReadDocument(data, former)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return c.apply(ctx, s, map[events.BusinessID]business.Document{c.ID: d})
}

// former gives the settings that the new ones follow.
func (c *businessSetCmd) former(ctx context.Context) (business.Settings, error) {
	start, err := c.start()
	if err != nil {
		return business.Settings{}, err
	}
	table, err := c.businesses(ctx)
	if err != nil {
		return business.Settings{}, err
	}
	stored, _, err := table.Read(ctx, c.ID)
	if err != nil {
		return business.Settings{}, err
	}
	if r, ok := stored.Revisions.At(start.Since); ok {
		return r.Settings, nil
	}
	return business.Defaults(), nil
}

// businessImportCmd sets many.
type businessImportCmd struct {
	changeFlags
	File string `arg:"" help:"JSON object of documents by the id of their business, as get prints it; - for stdin."`
}

// Help says what becomes of the others.
func (c *businessImportCmd) Help() string {
	return `All documents are checked before the first is set. Businesses that are not in the file stay as they are. Run again after a
failure, it sets what is left. Exit status as that of set.`
}

// Run sets what differs.
func (c *businessImportCmd) Run(ctx context.Context, s streams) error {
	data, err := readInput(s, c.File)
	if err != nil {
		return err
	}
	all, err := business.ReadDocuments(data)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return c.apply(ctx, s, all)
}

// readInput reads a file, or stdin for "-".
func readInput(s streams, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(s.in)
	}
	return os.ReadFile(path)
}
