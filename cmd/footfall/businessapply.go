package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/dynamo"
)

// apply sets what differs from what is stored, business by business, and says so.
func (f *changeFlags) apply(ctx context.Context, s streams, all map[events.BusinessID]business.Document) error {
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if err := f.withPseudonyms(id, all[id]); err != nil {
			return err
		}
	}
	since, err := f.since()
	if err != nil {
		return err
	}
	table, err := f.businesses(ctx)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if err := f.applyOne(ctx, s.out, table, id, all[id], since); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	if f.DryRun {
		fmt.Fprintln(s.out, "nothing is changed: this is a dry run")
	}
	return nil
}

// withPseudonyms puts pseudonyms in the place of the MAC addresses in the lists of
// a document. The tables hold pseudonyms alone.
func (f *changeFlags) withPseudonyms(id events.BusinessID, d business.Document) error {
	for field, list := range d.DeviceLists() {
		devices, err := f.pseudonymise(id, *list)
		if err != nil {
			return fmt.Errorf("%s: %s%w", id, field, err)
		}
		*list = devices
	}
	return nil
}

func (f *changeFlags) applyOne(ctx context.Context, w io.Writer, table *dynamo.Businesses, id events.BusinessID, d business.Document, since time.Time) error {
	stored, _, err := table.Read(ctx, id)
	if err != nil {
		return err
	}
	var lines []string
	if d.Rules != nil {
		var former *business.Settings
		if r, ok := stored.Revisions.At(since); ok {
			former = &r.Settings
		}
		lines = changes("rules", former, d.Rules)
		replaced := slices.ContainsFunc(stored.Revisions, func(r business.Revision) bool { return r.Since.After(since) })
		if len(lines) > 0 || replaced {
			if since, err = f.putRules(ctx, table, id, *d.Rules, since); err != nil {
				return err
			}
			lines = append(lines, "rules hold from "+since.Format(time.RFC3339)+" on")
		}
		if replaced {
			lines = append(lines, "rules that were to come after that are dropped")
		}
	}
	if d.Door != nil {
		if doors := changes("door", stored.Door, d.Door); len(doors) > 0 {
			if !f.DryRun {
				if err := table.PutDoor(ctx, id, *d.Door); err != nil {
					return err
				}
			}
			lines = append(lines, append(doors, "the door holds within half a minute")...)
		}
	}
	if len(lines) == 0 {
		lines = []string{"as it was"}
	}
	fmt.Fprintf(w, "%s:\n", id)
	printChanges(w, lines)
	return nil
}

func (f *changeFlags) putRules(ctx context.Context, table *dynamo.Businesses, id events.BusinessID, s business.Settings, since time.Time) (time.Time, error) {
	switch {
	case f.DryRun:
		return since, nil
	case f.Rewrite:
		return since, table.PutRules(ctx, id, business.Revision{Since: since, Settings: s})
	}
	return table.SetRules(ctx, id, s, since)
}

func printChanges(w io.Writer, lines []string) {
	for _, line := range lines {
		fmt.Fprintln(w, " ", line)
	}
}

// changes lists what differs between two values of one type, the first of which
// may be nil for none, as they are in JSON. Secrets are not shown.
func changes[T any](part string, before, after *T) []string {
	was, is := map[string]any{}, map[string]any{}
	if before != nil {
		flatten(part, plain(before), was)
	}
	flatten(part, plain(after), is)
	var lines []string
	if before == nil {
		lines = append(lines, part+": new")
	}
	for _, path := range slices.Sorted(maps.Keys(is)) {
		old, known := was[path]
		delete(was, path)
		if before != nil && (!known || text(old) != text(is[path])) {
			lines = append(lines, path+": "+difference(path, old, is[path]))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(was)) {
		lines = append(lines, path+": "+difference(path, was[path], nil))
	}
	return lines
}

// plain gives a value as encoding/json reads it back.
func plain(v any) (into any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was read from JSON
	}
	if err := json.Unmarshal(data, &into); err != nil {
		panic(err)
	}
	return into
}

func text(v any) string { return fmt.Sprint(v) }

// flatten puts every value that is no object below its path.
func flatten(path string, v any, into map[string]any) {
	object, ok := v.(map[string]any)
	if !ok {
		into[path] = v
		return
	}
	for name, value := range object {
		flatten(path+"."+name, value, into)
	}
}

// difference says how a value has changed: of a list how much longer or shorter it
// is, of a secret only whether there is one.
func difference(path string, old, next any) string {
	if strings.HasSuffix(path, ".secrets") || strings.HasSuffix(path, ".validator") {
		switch {
		case old == nil:
			return "new"
		case next == nil:
			return "dropped"
		}
		return "changed"
	}
	before, wasList := old.([]any)
	after, isList := next.([]any)
	if !wasList && !isList {
		return fmt.Sprintf("%s -> %s", orNone(old), orNone(next))
	}
	seen := map[string]bool{}
	for _, v := range before {
		seen[text(v)] = true
	}
	more := 0
	for _, v := range after {
		if !seen[text(v)] {
			more++
		}
		delete(seen, text(v))
	}
	return fmt.Sprintf("%d more, %d fewer", more, len(seen))
}

func orNone(v any) string {
	if v == nil {
		return "none"
	}
	return text(v)
}

// importBusinesses stores the businesses of a file. The rules of one that the
// tables do not know hold since ever, for nothing was decided of it yet; those of
// another hold from when `footfall business set` would let them.
func importBusinesses(ctx context.Context, table *dynamo.Businesses, path string, keys keysFlag) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("businesses: %w", err)
	}
	all, err := business.ReadDocuments(data)
	if err != nil {
		return fmt.Errorf("businesses in %s: %w", path, err)
	}
	for id, d := range all {
		if err := (&changeFlags{keysFlag: keys}).withPseudonyms(id, d); err != nil { // the tables hold no address, whoever writes them
			return fmt.Errorf("businesses in %s: %w", path, err)
		}
		_, known, err := table.Read(ctx, id)
		switch {
		case err != nil:
		case !known:
			err = table.PutAll(ctx, map[events.BusinessID]business.Document{id: d})
		default:
			err = (&changeFlags{}).applyOne(ctx, io.Discard, table, id, d, business.Soonest(time.Now()))
		}
		if err != nil {
			return fmt.Errorf("store business %s: %w", id, err)
		}
	}
	return nil
}
