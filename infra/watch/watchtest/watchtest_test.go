package watchtest_test

import (
	"slices"
	"strings"
	"testing"

	"footfall/infra/watch/watchtest"
)

const book = `# Book
## Alarms
### no-progress
` + "```sh\n### a comment in code\n```" + `
### It's late, again
#### details
## A bad deploy
### by hand
`

func TestHeadingsAreThoseThatGitHubLinksTo(t *testing.T) {
	want := []string{"book", "alarms", "no-progress", "its-late-again", "details", "a-bad-deploy", "by-hand"}
	if got := watchtest.Headings(book); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := watchtest.AlarmHeadings(book), []string{"no-progress", "its-late-again"}; !slices.Equal(got, want) {
		t.Errorf("of alarms %q, want %q", got, want)
	}
}

// TestFiltersThatCannotBeReadAreReported checks that a filter with an unknown syntax
// does not pass.
func TestFiltersThatCannotBeReadAreReported(t *testing.T) {
	line := []byte(`{"message":"done","records":3,"stage":"count"}`)
	for pattern, says := range map[string]string{
		`{ ($.message = "done") && ($.records = *) && ($.stage = *) }`: "",
		`{ ($.message = "done") && ($.records > 2) && ($.stage = *) }`: "",
		`{ ($.message = "done") && ($.records = *) }`:                  "dimension $.stage is not in the pattern",
		`{ ($.message = "done") && ($.records > 3) }`:                  "nothing that is logged matches",
		`{ ($.message = "undone") }`:                                   "nothing that is logged matches",
		`{ ($.message = "done") }`:                                     "not in the pattern",
		`{ ($.message = "done") || ($.records = *) }`:                  "is not understood",
		`"done"`: "not one for JSON",
	} {
		template := watchtest.Template{"Resources": map[string]any{"F": map[string]any{
			"Type": "AWS::Logs::MetricFilter",
			"Properties": map[string]any{"FilterPattern": pattern, "MetricTransformations": []any{map[string]any{
				"MetricValue": "$.records", "Dimensions": []any{map[string]any{"Key": "Stage", "Value": "$.stage"}},
			}}},
		}}}
		err := watchtest.CheckFilters(template, [][]byte{line})
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", pattern, err, says)
		}
	}
}
