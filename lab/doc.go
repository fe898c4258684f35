// Package lab is the laboratory: tools that work on recordings of sightings without
// running the graph. The folder holds these packages:
//
//   - recording reads and writes recordings: CSV, NDJSON, captures.
//   - town simulates a town, with the truth about every visit.
//   - offline decides the visits of a recording in process.
//   - score compares found visits with true visits and head-counts.
//   - calibrate chooses the settings that suit a store.
//   - feed puts a recording on the topics of a running pipeline.
//   - check compares the results of a run, in topics and tables, with the oracle.
//   - checker compares them with a second implementation of the rules, in Python.
//
// Start with recording.Open and offline.Load.
package lab
