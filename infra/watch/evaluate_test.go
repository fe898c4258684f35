package watch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"strconv"
	"strings"
	"testing"

	"footfall/infra/watch/watchtest"
)

// series holds data points by the id of a metric in an alarm's formula, the oldest
// first. "value" is the metric of an alarm without a formula, and the result of a
// query.
type series map[string][]float64

// none is a missing data point.
var none = math.NaN()

// state returns the state of an alarm after data points: ALARM, OK, or kept if the
// points do not change it (CloudWatch user guide, "Configuring how CloudWatch alarms
// treat missing data"). CloudWatch looks at more points than it evaluates; state
// looks at all points.
func state(t *testing.T, a watchtest.Alarm, s series) string {
	t.Helper()
	points := values(t, a, s)
	of := int(a.Properties["EvaluationPeriods"].(float64))
	breaches := of
	if n, ok := a.Properties["DatapointsToAlarm"].(float64); ok {
		breaches = int(n)
	}
	missing := a.Properties["TreatMissingData"]
	if missing == "ignore" {
		var there []float64
		for _, p := range points {
			if !math.IsNaN(p) {
				there = append(there, p)
			}
		}
		points = there
	}
	if len(points) < of {
		return "kept"
	}
	broken := 0
	for _, p := range points[len(points)-of:] {
		if math.IsNaN(p) && missing == "breaching" || breaks(t, a, p) {
			broken++
		}
	}
	if broken >= breaches {
		return "ALARM"
	}
	return "OK"
}

func breaks(t *testing.T, a watchtest.Alarm, p float64) bool {
	t.Helper()
	limit := a.Properties["Threshold"].(float64)
	switch a.Properties["ComparisonOperator"] {
	case "GreaterThanOrEqualToThreshold":
		return p >= limit
	case "LessThanThreshold":
		return p < limit
	default:
		t.Fatalf("alarm %s compares by %v", a.Name, a.Properties["ComparisonOperator"])
		return false
	}
}

// values returns the points that the alarm compares with its limit.
func values(t *testing.T, a watchtest.Alarm, s series) []float64 {
	t.Helper()
	metrics, _ := a.Properties["Metrics"].([]any)
	for _, m := range metrics {
		expression, _ := m.(map[string]any)["Expression"].(string)
		if expression == "" || strings.HasPrefix(expression, "SELECT ") {
			continue
		}
		e, err := parser.ParseExpr(expression)
		if err != nil {
			t.Fatalf("alarm %s: %q: %v", a.Name, expression, err)
		}
		length := 0
		for _, points := range s {
			length = max(length, len(points))
		}
		result := make([]float64, length)
		for i := range result {
			result[i] = at(t, e, s, i)
		}
		return result
	}
	points, ok := s["value"]
	if !ok {
		t.Fatalf("alarm %s is on one metric", a.Name)
	}
	return points
}

// at returns the value of metric math at one point (CloudWatch user guide, "Using
// math expressions"), for the functions that our alarms use. An expression with a
// missing value is missing.
func at(t *testing.T, e ast.Expr, s series, i int) float64 {
	t.Helper()
	switch e := e.(type) {
	case *ast.BasicLit:
		n, err := strconv.ParseFloat(e.Value, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	case *ast.Ident:
		points, ok := s[e.Name]
		if !ok {
			t.Fatalf("the formula uses %s, of which the case says nothing", e.Name)
		}
		return points[i]
	case *ast.BinaryExpr:
		return apply(t, e.Op, at(t, e.X, s, i), at(t, e.Y, s, i))
	case *ast.CallExpr:
		return call(t, e, s, i)
	default:
		t.Fatalf("metric math has no %T", e)
		return none
	}
}

func call(t *testing.T, e *ast.CallExpr, s series, i int) float64 {
	t.Helper()
	switch name := fmt.Sprint(e.Fun); {
	case name == "IF" && len(e.Args) == 3:
		condition := at(t, e.Args[0], s, i)
		switch {
		case math.IsNaN(condition):
			return none
		case condition != 0:
			return at(t, e.Args[1], s, i)
		default:
			return at(t, e.Args[2], s, i)
		}
	case name == "DIFF" && len(e.Args) == 1:
		if i == 0 {
			return none
		}
		return at(t, e.Args[0], s, i) - at(t, e.Args[0], s, i-1)
	default:
		t.Fatalf("metric math has no %s of %d", name, len(e.Args))
		return none
	}
}

func apply(t *testing.T, op token.Token, x, y float64) float64 {
	t.Helper()
	if math.IsNaN(x) || math.IsNaN(y) {
		return none
	}
	truth := map[bool]float64{true: 1}
	switch op {
	case token.ADD:
		return x + y
	case token.MUL:
		return x * y
	case token.QUO:
		if y == 0 {
			return none
		}
		return x / y
	case token.GTR:
		return truth[x > y]
	case token.GEQ:
		return truth[x >= y]
	case token.LAND:
		return truth[x != 0 && y != 0]
	default:
		t.Fatalf("metric math has no %s", op)
		return none
	}
}
