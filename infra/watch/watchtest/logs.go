package watchtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// CheckFilters returns an error with every metric filter that matches no line of the
// log, that has a syntax this package does not parse, or whose value or dimension is
// no field of a matching line. lines are JSON objects, one each.
func CheckFilters(t Template, lines [][]byte) error {
	var errs []error
	for id, p := range t.Resources("AWS::Logs::MetricFilter") {
		if err := checkFilter(p, lines); err != nil {
			errs = append(errs, fmt.Errorf("metric filter %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

func checkFilter(p map[string]any, lines [][]byte) error {
	pattern, _ := p["FilterPattern"].(string)
	conditions, err := parsePattern(pattern)
	if err != nil {
		return err
	}
	matched := 0
	for _, text := range lines {
		var line map[string]any
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("line of log %q: %w", text, err)
		}
		// Each matching line must have the fields that the metric uses.
		if !conditions.match(line) {
			continue
		}
		matched++
		for _, transformation := range list(p["MetricTransformations"]) {
			transformation, _ := transformation.(map[string]any)
			if err := checkTransformation(transformation, conditions, line); err != nil {
				return fmt.Errorf("%w, on %s", err, text)
			}
		}
	}
	if matched == 0 {
		return fmt.Errorf("nothing that is logged matches %s", pattern)
	}
	return nil
}

func checkTransformation(transformation map[string]any, conditions conditions, line map[string]any) error {
	value, _ := transformation["MetricValue"].(string)
	// The value is a number, or a numeric field that the pattern names.
	if field, ok := strings.CutPrefix(value, "$."); ok {
		if _, number := line[field].(float64); !number {
			return fmt.Errorf("value %s is no number", value)
		}
		if !conditions.name(field) {
			return fmt.Errorf("value %s is not in the pattern, so CloudWatch does not find it", value)
		}
	} else if _, err := strconv.ParseFloat(value, 64); err != nil {
		return fmt.Errorf("value %q is neither a number nor a field", value)
	}
	// The dimension is a text field that the pattern names.
	for _, d := range list(transformation["Dimensions"]) {
		d, _ := d.(map[string]any)
		selector, _ := d["Value"].(string)
		field, ok := strings.CutPrefix(selector, "$.")
		if text, isText := line[field].(string); !ok || !isText || text == "" {
			return fmt.Errorf("dimension %v is no field with a text: %q", d["Key"], selector)
		}
		if !conditions.name(field) {
			return fmt.Errorf("dimension %s is not in the pattern, so CloudWatch may not find it", selector)
		}
		if transformation["DefaultValue"] != nil {
			return fmt.Errorf("dimension %v stands beside a default value, which CloudWatch refuses", d["Key"])
		}
	}
	return nil
}

// condition is one of the conditions that a pattern joins with &&.
type condition struct{ field, operator, value string }

type conditions []condition

// onePattern matches one condition (CloudWatch Logs user guide, "Filter pattern
// syntax for JSON log events").
var onePattern = regexp.MustCompile(`^\(\$\.([A-Za-z]+) (=|>) ("[^"]*"|\*|[0-9]+)\)$`)

func parsePattern(pattern string) (conditions, error) {
	inner, open := strings.CutPrefix(pattern, "{ ")
	inner, closed := strings.CutSuffix(inner, " }")
	if !open || !closed {
		return nil, fmt.Errorf("pattern %q is not one for JSON", pattern)
	}
	var all conditions
	for part := range strings.SplitSeq(inner, " && ") {
		found := onePattern.FindStringSubmatch(part)
		if found == nil {
			return nil, fmt.Errorf("condition %q of pattern %q is not understood", part, pattern)
		}
		all = append(all, condition{found[1], found[2], found[3]})
	}
	return all, nil
}

func (all conditions) name(field string) bool {
	for _, c := range all {
		if c.field == field {
			return true
		}
	}
	return false
}

func (all conditions) match(line map[string]any) bool {
	for _, c := range all {
		v, there := line[c.field]
		switch {
		case !there:
			return false
		case c.value == "*":
		case c.operator == ">":
			limit, _ := strconv.ParseFloat(c.value, 64)
			if n, ok := v.(float64); !ok || n <= limit {
				return false
			}
		case strings.Trim(c.value, `"`) != fmt.Sprint(v):
			return false
		}
	}
	return true
}
