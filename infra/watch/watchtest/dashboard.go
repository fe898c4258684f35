package watchtest

import (
	"errors"
	"fmt"
	"strings"

	"footfall/shared/pipeline"
)

// CheckDashboard returns an error with the stages and tables without a row on the
// dashboard, and the alarms that it does not show.
func CheckDashboard(t Template, g pipeline.Graph) error {
	boards := t.Resources("AWS::CloudWatch::Dashboard")
	if len(boards) != 1 {
		return fmt.Errorf("there are %d dashboards, not one", len(boards))
	}
	var body string
	for _, p := range boards {
		body = flat(p["DashboardBody"])
	}
	var errs []error
	// Every stage, table and alarm is on the dashboard.
	for _, s := range g.Stages {
		errs = append(errs, checkRow(body, s))
	}
	for _, table := range g.Tables {
		if !strings.Contains(body, `"`+table.Name+`: units`) {
			errs = append(errs, fmt.Errorf("the dashboard has no graph of table %s", table.Name))
		}
	}
	for _, a := range t.Alarms() {
		if !strings.Contains(body, ":alarm:"+a.Name+`"`) && !strings.Contains(body, "{Fn::GetAtt:"+a.ID+"Arn}") {
			errs = append(errs, fmt.Errorf("the dashboard does not show alarm %s", a.Name))
		}
	}
	return errors.Join(errs...)
}

// checkRow checks the graphs between the heading of a stage and the next heading.
func checkRow(body string, s pipeline.Stage) error {
	_, row, ok := strings.Cut(body, `"**`+s.Name+`**`)
	if !ok {
		return fmt.Errorf("the dashboard has no row of stage %s", s.Name)
	}
	row, _, _ = strings.Cut(row, `"**`)
	graphs := []string{"in: ", "out: ", "errors", "latency: ", "cost: "}
	if len(s.Reads) > 0 {
		graphs = append(graphs, "lag: ")
	}
	if s.HTTP {
		graphs = append(graphs, "rejections: ")
	}
	for _, title := range graphs {
		if !strings.Contains(row, `"title":"`+title) {
			return fmt.Errorf("the dashboard's row of stage %s has no graph %q", s.Name, title)
		}
	}
	return nil
}
