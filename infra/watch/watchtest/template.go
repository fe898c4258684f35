// Package watchtest checks the alarms, the metrics from logs, the topic and the
// dashboard of a synthesised template. It reads the template as CloudFormation does,
// and does not use the code that made it.
//
// Start with Parse, and CheckAlarms in alarms.go.
package watchtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Template is a synthesised CloudFormation template, as its JSON decodes.
type Template map[string]any

// Parse decodes a template from its JSON.
func Parse(text []byte) (Template, error) {
	var t Template
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("decode template: %w", err)
	}
	return t, nil
}

// Resources returns the properties of the resources of a type, such as
// AWS::SNS::Topic, by logical id. The maps are those of the template, not copies.
func (t Template) Resources(kind string) map[string]map[string]any {
	found := map[string]map[string]any{}
	resources, _ := t["Resources"].(map[string]any)
	for id, r := range resources {
		r, _ := r.(map[string]any)
		if r["Type"] == kind {
			properties, _ := r["Properties"].(map[string]any)
			found[id] = properties
		}
	}
	return found
}

// Remove deletes a resource from the template, to plant a fault.
func (t Template) Remove(id string) {
	resources, _ := t["Resources"].(map[string]any)
	delete(resources, id)
}

// Alarm is an alarm of a template.
type Alarm struct {
	ID         string // logical id
	Name       string
	Properties map[string]any
}

// Alarms returns the alarms of a template by name.
func (t Template) Alarms() []Alarm {
	var alarms []Alarm
	for id, p := range t.Resources("AWS::CloudWatch::Alarm") {
		name, _ := p["AlarmName"].(string)
		alarms = append(alarms, Alarm{ID: id, Name: name, Properties: p})
	}
	slices.SortFunc(alarms, func(a, b Alarm) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return alarms
}

// Description returns the description of the alarm, or "" if it has none.
func (a Alarm) Description() string {
	text, _ := a.Properties["AlarmDescription"].(string)
	return text
}

// flat returns a value as text with the arguments of its intrinsic functions in
// place, so that it can be searched.
func flat(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		var b strings.Builder
		for _, e := range v {
			b.WriteString(flat(e))
		}
		return b.String()
	case map[string]any:
		// Fn::Join is its joined arguments; other functions keep their names.
		if join, ok := v["Fn::Join"].([]any); ok && len(join) == 2 {
			return flat(join[1])
		}
		var b strings.Builder
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b.WriteString("{" + k + ":" + flat(v[k]) + "}")
		}
		return b.String()
	default:
		return fmt.Sprint(v)
	}
}

// list returns a value that CloudFormation accepts as one or as many as a list.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}
