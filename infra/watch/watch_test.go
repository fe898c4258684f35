package watch_test

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"footfall/infra/watch/watchtest"
	"footfall/shared/pipeline"
)

func TestEveryDeploymentIsWatched(t *testing.T) {
	for _, d := range deployments() {
		t.Run(d.name, func(t *testing.T) {
			template := d.parsed(t)
			for what, err := range map[string]error{
				"alarms":    watchtest.CheckAlarms(template, runbook(t)),
				"complete":  watchtest.CheckComplete(template, prefix, pipeline.Default(), d.settings, d.size),
				"topic":     watchtest.CheckTopic(template),
				"filters":   watchtest.CheckFilters(template, logLines(t)),
				"dashboard": watchtest.CheckDashboard(template, pipeline.Default()),
			} {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			metrics := 0
			for _, a := range template.Alarms() {
				metrics += max(1, strings.Count(mustJSON(t, a.Properties["Metrics"]), `"MetricStat"`))
			}
			// CloudWatch bills an alarm by the number of its metrics.
			t.Logf("%d alarms on %d metrics at $0.10, %d metrics from logs at $0.30 a month",
				len(template.Alarms()), metrics, len(template.Resources("AWS::Logs::MetricFilter")))
		})
	}
}

func TestRunbookHasNoSectionOfAnAlarmThatIsGone(t *testing.T) {
	var templates []watchtest.Template
	for _, d := range deployments() {
		templates = append(templates, d.parsed(t))
	}
	if err := watchtest.CheckNoOrphans(runbook(t), templates...); err != nil {
		t.Error(err)
	}
	stale := runbook(t) + "\n## Alarms\n\n### Disk of the mainframe\n"
	if err := watchtest.CheckNoOrphans(stale, templates...); err == nil || !strings.Contains(err.Error(), "#disk-of-the-mainframe") {
		t.Errorf("a section of no alarm was reported as: %v", err)
	}
}

// runbookLink is a link of the runbook to a section, of itself or of another
// document.
var runbookLink = regexp.MustCompile(`\]\(([a-z.]*)#([a-z0-9-]+)\)`)

func TestLinksOfTheRunbookLeadSomewhere(t *testing.T) {
	links := runbookLink.FindAllStringSubmatch(runbook(t), -1)
	if len(links) == 0 {
		t.Fatal("found no links")
	}
	for _, l := range links {
		file := cmp.Or(l[1], "runbook.md")
		text, err := os.ReadFile(filepath.Join("../../docs", file))
		if err != nil || !slices.Contains(watchtest.Headings(string(text)), l[2]) {
			t.Errorf("%s#%s is no heading: %v", file, l[2], err)
		}
	}
}

// TestPlantedFaultsAreFound breaks the template of size small in one place at a
// time. The named property must report the broken resource by name.
func TestPlantedFaultsAreFound(t *testing.T) {
	small := deployments()[1]
	alarms := func(template watchtest.Template) error { return watchtest.CheckAlarms(template, runbook(t)) }
	complete := func(template watchtest.Template) error {
		return watchtest.CheckComplete(template, prefix, pipeline.Default(), small.settings, small.size)
	}
	filters := func(template watchtest.Template) error { return watchtest.CheckFilters(template, logLines(t)) }
	board := func(template watchtest.Template) error {
		return watchtest.CheckDashboard(template, pipeline.Default())
	}
	const victim = prefix + "-no-progress-detect-sightings"
	set := func(key string, value any) func(watchtest.Template) {
		return func(template watchtest.Template) { alarmNamed(t, template, victim).Properties[key] = value }
	}
	unset := func(key string) func(watchtest.Template) {
		return func(template watchtest.Template) { delete(alarmNamed(t, template, victim).Properties, key) }
	}
	for _, c := range []struct {
		fault string
		plant func(watchtest.Template)
		check func(watchtest.Template) error
		says  string
	}{
		{"an alarm is gone", func(x watchtest.Template) { x.Remove(alarmNamed(t, x, victim).ID) }, complete, "alarm " + victim + " is missing"},
		{"an alarm is on what only another deployment has", set("AlarmName", prefix+"-broker-disk-cluster"), complete,
			"broker-disk-cluster is about something that is not there"},
		{"nobody is told", unset("AlarmActions"), alarms, victim},
		{"nobody is told that it is over", set("OKActions", []any{}), alarms, victim},
		{"its actions are off", set("ActionsEnabled", false), alarms, victim},
		{"it does not say what it means", unset("AlarmDescription"), alarms, victim},
		{"it names a section that is not there", set("AlarmDescription",
			strings.Repeat("What it means. ", 9)+"What to do: nothing. Runbook: docs/runbook.md#nowhere"), alarms, "#nowhere"},
		{"missing data is left to chance", unset("TreatMissingData"), alarms, victim},
		{"it goes to another topic", set("AlarmActions", []any{map[string]any{"Ref": "Other"}}), watchtest.CheckTopic, victim},
		{"its name is outside of the topic's policy", set("AlarmName", "other-"+victim), watchtest.CheckTopic, "other-" + victim},
		{"the topic is in the clear", func(x watchtest.Template) { delete(only(t, x, "AWS::SNS::Topic"), "KmsMasterKeyId") },
			watchtest.CheckTopic, "not encrypted"},
		{"anybody may publish over HTTP", dropStatement(t, "Deny"), watchtest.CheckTopic, "plain HTTP"},
		{"CloudWatch may not publish", dropStatement(t, "Allow"), watchtest.CheckTopic, "does not let cloudwatch.amazonaws.com publish"},
		{"a filter looks for another line", editFilters(t, "FilterPattern", "event handled", "event done"), filters, "nothing that is logged matches"},
		{"a filter looks at another field", editFilters(t, "FilterPattern", "oldestMs", "oldest"), filters, "nothing that is logged matches"},
		{"a filter takes another field", editFilters(t, "MetricTransformations", "$.oldestMs", "$.ageMs"), filters, "value $.ageMs"},
		{"a filter looks for another status", editFilters(t, "FilterPattern", "$.status = 401", "$.status = 402"), filters, "nothing that is logged matches"},
		{"a filter reads a number in the log of the API", editFilters(t, "FilterPattern", `($.status = "429")`, `($.status > 428)`), filters, "nothing that is logged matches"},
		{"a filter tells apart by what is not logged", editFilters(t, "MetricTransformations", "$.code", "$.reason"), filters, "dimension Code"},
		{"a filter's dimension is no field", editFilters(t, "MetricTransformations", "$.stage", "$.function"), filters, "dimension Stage"},
		{"a stage has no row", editBoard(t, "**enrich**", "**enriched**"), board, "row of stage enrich"},
		{"a row has no graph of rejections", editBoard(t, `"title":"rejections: `, `"title":"no: `), board, `no graph "rejections: "`},
		{"a row has no graph of lag", editBoard(t, `"title":"lag: `, `"title":"behind: `), board, `no graph "lag: "`},
		{"an alarm is not shown", editBoard(t, prefix+"-function-errors-count", "none"), board, "function-errors-count"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			template := small.parsed(t)
			if err := c.check(template); err != nil {
				t.Fatalf("before the fault: %v", err)
			}
			c.plant(template)
			if err := c.check(template); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("reported as: %v\nwant: %s", err, c.says)
			}
		})
	}
}

func TestMailAndSlack(t *testing.T) {
	all := deployments()
	if n := len(all[1].parsed(t).Resources("AWS::SNS::Subscription")); n != 0 {
		t.Errorf("nobody asked for mail, and there are %d subscriptions", n)
	}
	template := all[3].parsed(t)
	if mail := only(t, template, "AWS::SNS::Subscription"); mail["Protocol"] != "email" || mail["Endpoint"] != "ops@example.com" {
		t.Errorf("subscription: %v", mail)
	}
	slack := only(t, template, "AWS::Chatbot::SlackChannelConfiguration")
	if slack["SlackWorkspaceId"] != "T0000000" || slack["SlackChannelId"] != "C0000000" || len(slack["SnsTopicArns"].([]any)) != 1 {
		t.Errorf("Slack: %v", slack)
	}
	if guard := mustJSON(t, slack["GuardrailPolicies"]); strings.Count(guard, ":policy/") != 1 || !strings.Contains(guard, ":iam::aws:policy/AWSDenyAll") {
		t.Errorf("from the channel one can do what %s allows", guard)
	}
	for id, p := range template.Resources("AWS::IAM::Role") {
		if principal := mustJSON(t, p["AssumeRolePolicyDocument"]); strings.Contains(principal, "chatbot") && (p["Policies"] != nil || p["ManagedPolicyArns"] != nil) {
			t.Errorf("role %s of the channel may do something: %v", id, p)
		}
	}
}

func TestKeyAdmitsAlarms(t *testing.T) {
	template := deployments()[1].parsed(t)
	if err := watchtest.CheckKeyAdmitsAlarms(template); err == nil {
		t.Error("a key that knows nothing of CloudWatch passed")
	}
	policy := only(t, template, "AWS::KMS::Key")["KeyPolicy"].(map[string]any)
	policy["Statement"] = append(policy["Statement"].([]any), map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"Service": "cloudwatch.amazonaws.com"},
		"Action": []any{"kms:Decrypt", "kms:GenerateDataKey"}, "Resource": "*",
	})
	if err := watchtest.CheckKeyAdmitsAlarms(template); err != nil {
		t.Error(err)
	}
}

// TestAlarmsOfDeploymentsStayApart has two deployments in an account: no metric of
// a log may be both's.
func TestAlarmsOfDeploymentsStayApart(t *testing.T) {
	for id, p := range deployments()[1].parsed(t).Resources("AWS::Logs::MetricFilter") {
		if text := mustJSON(t, p); !strings.Contains(text, `"Footfall/`+prefix+`"`) {
			t.Errorf("metric filter %s is not in the namespace of the deployment: %s", id, text)
		}
	}
}

func alarmNamed(t *testing.T, template watchtest.Template, name string) watchtest.Alarm {
	t.Helper()
	all := template.Alarms()
	i := slices.IndexFunc(all, func(a watchtest.Alarm) bool { return a.Name == name })
	if i < 0 {
		t.Fatalf("there is no alarm %s", name)
	}
	return all[i]
}

// only returns the properties of the only resource of a type.
func only(t *testing.T, template watchtest.Template, kind string) map[string]any {
	t.Helper()
	found := slices.Collect(maps.Values(template.Resources(kind)))
	if len(found) != 1 {
		t.Fatalf("there are %d of %s, not one", len(found), kind)
	}
	return found[0]
}

// dropStatement takes the statements of an effect out of the topic's policy.
func dropStatement(t *testing.T, effect string) func(watchtest.Template) {
	return func(template watchtest.Template) {
		document := only(t, template, "AWS::SNS::TopicPolicy")["PolicyDocument"].(map[string]any)
		document["Statement"] = slices.DeleteFunc(document["Statement"].([]any), func(s any) bool {
			return s.(map[string]any)["Effect"] == effect
		})
	}
}

func editFilters(t *testing.T, key, from, to string) func(watchtest.Template) {
	return func(template watchtest.Template) {
		for _, p := range template.Resources("AWS::Logs::MetricFilter") {
			p[key] = replaced(t, p[key], from, to)
		}
	}
}

func editBoard(t *testing.T, from, to string) func(watchtest.Template) {
	return func(template watchtest.Template) {
		board := only(t, template, "AWS::CloudWatch::Dashboard")
		board["DashboardBody"] = replaced(t, board["DashboardBody"], from, to)
	}
}
