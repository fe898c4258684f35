package watch

import (
	"slices"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// Topics with limits of their own.
const (
	sightingsTopic = events.Sightings
	backfillTopic  = events.CRMEventsBackfill
)

func isCRM(topic string) bool { return topic == events.CRMEvents || topic == backfillTopic }

// target is the subject of an alarm: the fields that the rule needs are set. d is
// nil for release alarms.
type target struct {
	d       *Deployment
	stage   *Stage
	mapping *Mapping
	table   string // its name in the graph
	access  string // of the table: reads or writes
}

const (
	reads  = "reads"
	writes = "writes"
)

// subject returns the name of the target in the names and descriptions of alarms.
func (t target) subject() string {
	switch {
	case t.mapping != nil:
		return t.stage.Spec.Name + "-" + t.mapping.Of.Topic
	case t.stage != nil:
		return t.stage.Spec.Name
	case t.access != "":
		return t.table + "-" + t.access
	case t.table != "":
		return t.table
	default:
		return "cluster"
	}
}

// targets returns the targets of each list of rules, in the order of the graph.
func targets(d *Deployment) (stages, mappings, tables, accesses, cluster []target) {
	for i := range d.Stages {
		s := &d.Stages[i]
		stages = append(stages, target{d: d, stage: s})
		for j := range s.Mappings {
			mappings = append(mappings, target{d: d, stage: s, mapping: &s.Mappings[j]})
		}
	}
	for _, t := range pipeline.Default().Tables {
		if d.Tables[t.Name] == nil {
			continue
		}
		tables = append(tables, target{d: d, table: t.Name})
		accesses = append(accesses, target{d: d, table: t.Name, access: reads}, target{d: d, table: t.Name, access: writes})
	}
	return stages, mappings, tables, accesses, []target{{d: d}}
}

func readsTopics(t target) bool { return len(t.stage.Spec.Reads) > 0 }

func takesPosts(t target) bool { return t.stage.Spec.HTTP }

// mayNotBeQuiet reports whether the stage takes posts and a while without posts is a
// fault.
func mayNotBeQuiet(t target) bool { return takesPosts(t) && !t.d.Settings.QuietAllowed }

// alwaysFed reports whether a schedule starts the stage, or the stage reads the
// output of a scheduled stage.
func alwaysFed(t target) bool {
	if t.stage.Spec.Schedule > 0 {
		return true
	}
	for _, s := range pipeline.Default().Stages {
		for _, topic := range s.Writes {
			reads := func(m pipeline.Mapping) bool { return m.Topic == topic }
			if s.Schedule > 0 && slices.ContainsFunc(t.stage.Spec.Reads, reads) {
				return true
			}
		}
	}
	return false
}

// provisioned reports whether the mapping has provisioned pollers. Pollers on demand
// may lack some metrics.
func provisioned(t target) bool { return t.d.Size.Pollers != settings.Pollers{} }

func hasBrokers(t target) bool { return t.d.Cluster.Kind != settings.Serverless }

func existingCluster(t target) bool { return t.d.Settings.ClusterARN != "" }
