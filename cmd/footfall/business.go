package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"footfall/events"
	"footfall/shared/audit"
	"footfall/shared/business"
	"footfall/shared/dynamo"
)

// businessCmd reads and changes the settings of businesses. What a change does is
// decided in shared/business; the commands parse flags and print.
type businessCmd struct {
	Get    businessGetCmd    `cmd:"" help:"Print the settings of businesses, in the form that set and import read."`
	Set    businessSetCmd    `cmd:"" help:"Set the rules of one business, or the senders that may post for it."`
	Import businessImportCmd `cmd:"" help:"Set many businesses from one file."`
}

// businesses returns the table of businesses.
func (f tableFlags) businesses(ctx context.Context) (*dynamo.Businesses, error) {
	client, err := f.tables(ctx)
	if err != nil {
		return nil, err
	}
	return dynamo.NewBusinesses(client, f.TablePrefix), nil
}

// ruleHistories returns the rules of all businesses that do not go by the defaults,
// nil if there are none.
func ruleHistories(ctx context.Context, table *dynamo.Businesses) (audit.Histories, error) {
	ids, err := table.List(ctx)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	all, err := table.Rules(ctx, ids)
	if err != nil {
		return nil, err
	}
	// A business may have a door and no rules.
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
	ID      events.BusinessID `arg:"" optional:"" help:"The business. Without it, all businesses are printed, by id."`
	Secrets bool              `help:"Print the secrets of senders, which are masked otherwise."`
}

// Run prints the document of a business, or all documents as one JSON object.
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
	// Read all businesses first: no JSON is printed if reading one fails.
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

// document returns the document of a business, with the rules in force. The moment
// from which on the rules hold goes to notes, as do the differences of later rules.
func (c *businessGetCmd) document(ctx context.Context, notes io.Writer, table *dynamo.Businesses, id events.BusinessID) (business.Document, error) {
	var d business.Document
	stored, ok, err := table.Read(ctx, id)
	if err == nil && !ok {
		err = fmt.Errorf("nothing is set of %s: it decides by the defaults, and no sender may post for it", id)
	}
	if err != nil {
		return d, err
	}
	// The rules in force go into the document, later ones into the notes.
	now := time.Now()
	if r, holds := stored.Revisions.At(now); holds {
		d.Rules = &r.Settings
		fmt.Fprintf(notes, "%s: rules hold %s\n", id, sinceText(r.Since))
	}
	former := d.Rules // nil if the first rules are still to come
	for i := range stored.Revisions {
		r := &stored.Revisions[i]
		if !r.Since.After(now) {
			continue
		}
		// Rules that were set again as they were change nothing.
		if changes := business.DiffSettings(former, r.Settings); len(changes) > 0 {
			fmt.Fprintf(notes, "%s: from %s on:\n", id, r.Since.Format(time.RFC3339))
			printDifferences(notes, changes)
		}
		former = &r.Settings
	}
	// The door is a copy, so that masking leaves the stored one alone.
	if stored.Door != nil {
		door := *stored.Door
		if !c.Secrets {
			door = door.Masked()
		}
		d.Door = &door
	}
	return d, nil
}

// sinceText returns since when rules hold, as text.
func sinceText(since time.Time) string {
	if since.IsZero() {
		return "from the beginning"
	}
	return "since " + since.UTC().Format(time.RFC3339)
}

// businessSetCmd sets one business.
type businessSetCmd struct {
	changeFlags
	ID    events.BusinessID `arg:"" help:"The business."`
	File  string            `required:"" xor:"document" placeholder:"FILE" help:"The document, or rules alone as calibrate writes them; - for stdin."`
	Patch string            `required:"" xor:"document" placeholder:"JSON" help:"A JSON Merge Patch of the document, such as {\"rules\": {\"entry_dbm\": -65}}, or a file with one; - for stdin."`
}

// Help returns the part of the help text that describes documents.
func (c *businessSetCmd) Help() string {
	return `The document is JSON with "rules", "door" or both; docs/settings.md describes every field. A part that is absent stays as it is. A field
that is absent from a part gets its default. In rules alone, as calibrate writes them, a field that is absent stays as it is.

A patch (RFC 7396) changes the fields that it names and keeps the rest; null sets a field to its default, and removes a sender.
A list is replaced as a whole.

Rules hold from a moment of event time on, which the command prints. Rules that were to begin at that moment or later are replaced.

Exit status:

  0  the document is set, or was set before
  1  the document has mistakes, or it could not be set
  2  the command line has mistakes`
}

// Run sets the parts of the document that differ from the stored ones.
func (c *businessSetCmd) Run(ctx context.Context, s streams) error {
	name, data, err := c.input(ctx, s)
	if err != nil {
		return err
	}
	if err := business.ValidID(c.ID); err != nil {
		return err
	}
	// A patch, and rules alone, follow what is stored.
	start, err := c.start()
	if err != nil {
		return err
	}
	table, err := c.businesses(ctx)
	if err != nil {
		return err
	}
	stored, _, err := table.Read(ctx, c.ID)
	if err != nil {
		return err
	}
	var d business.Document
	if c.Patch != "" {
		d, err = business.ReadPatch(data, stored, start.Since)
	} else {
		d, err = business.ReadDocument(data, former(stored, start))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return c.apply(ctx, s, map[events.BusinessID]business.Document{c.ID: d})
}

// input returns the document or the patch, with its name for errors.
func (c *businessSetCmd) input(ctx context.Context, s streams) (name string, data []byte, err error) {
	if strings.HasPrefix(strings.TrimSpace(c.Patch), "{") {
		return "--patch", []byte(c.Patch), nil
	}
	name = cmp.Or(c.Patch, c.File)
	data, err = readInput(ctx, s, name)
	return name, data, err
}

// former returns the settings in force when the new settings begin. Rules alone change
// the fields they name; the other fields stay as former has them.
func former(stored business.Stored, start business.Start) business.Settings {
	// The first settings of a business follow the defaults.
	if r, ok := stored.Revisions.At(start.Since); ok {
		return r.Settings
	}
	return business.Defaults()
}

// businessImportCmd sets many businesses.
type businessImportCmd struct {
	changeFlags
	File string `arg:"" help:"JSON object of documents by the id of their business, as get prints it; - for stdin."`
}

// Help returns the part of the help text that describes what an import leaves alone.
func (c *businessImportCmd) Help() string {
	return `All documents are checked before the first one is set. Businesses that are not in the file stay as they are. If the import fails on the
way, run it again: it sets the rest. The exit status is as for set.`
}

// Run sets the parts of the documents that differ from the stored ones.
func (c *businessImportCmd) Run(ctx context.Context, s streams) error {
	data, err := readInput(ctx, s, c.File)
	if err != nil {
		return err
	}
	all, err := business.ReadDocuments(data)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return c.apply(ctx, s, all)
}

// readInput returns the content of a file, or of stdin for "-".
func readInput(ctx context.Context, s streams, path string) (data []byte, err error) {
	err = untilDone(ctx, func() (err error) {
		if path == "-" {
			data, err = io.ReadAll(s.in)
		} else {
			data, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		return nil, err // after an interrupt data may still be written to
	}
	return data, nil
}
